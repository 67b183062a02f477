"""The server's time for each page about results: `python -m benchmarks.pages`

Serves the shipped models in one process, and requests the pages in turns, again and again.  No
network is run for any of them.
"""

from __future__ import annotations

import argparse
import statistics
import time

from webapp import create_app
from webapp.library import load_library


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()

    app = create_app({"TESTING": True})
    library = load_library(app)
    first, second, *_ = library.results_on(next(iter(library.data_sets.values())))
    addresses = [
        "/models/",
        "/models/?sort=calibration&order=up",
        "/models.csv",
        f"/models/{first}",
        f"/models/{first}.json",
        f"/models/compare?left={first}&right={second}",
        "/gallery/",
        f"/gallery/?model={first}&differs={second}&sort=entropy&order=down",
        "/gallery/?true=cat&outcome=wrong&low=10&high=95&sort=margin",
        "/gallery/?sort=random&seed=5&page=3",
        "/gallery.json?outcome=wrong&sort=confidence",
        "/gallery/33?outcome=right",
        "/dataset/?seed=3",
    ]
    client = app.test_client()
    seconds: dict[str, list[float]] = {address: [] for address in addresses}
    for number in range(arguments.rounds + 1):
        for address in addresses:
            started = time.perf_counter()
            answer = client.get(address)
            took = time.perf_counter() - started
            assert answer.status_code == 200, (address, answer.status_code)
            if number:  # The first round fills the caches.
                seconds[address].append(took)
    print(f"{len(library.results)} models, {arguments.rounds} rounds\n")
    print(f"{'':64} {'median ms':>10} {'most':>8}")
    for address, values in seconds.items():
        print(f"{address:64} {statistics.median(values) * 1e3:10.1f} {max(values) * 1e3:8.1f}")


if __name__ == "__main__":
    main()
