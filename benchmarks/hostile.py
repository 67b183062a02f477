"""What pages wait while sixteen clients send hostile pictures: `python -m benchmarks.hostile`

For each kind of hostile picture, and for all of them mixed: sixteen send one after the other to a
real gunicorn, as `make serve` starts it, while two read `/`, one asks `/livez`, and one sends an
honest photo.  The bar: p99 of `/` at most one second.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.crowd import photo
from benchmarks.load.clients import Visitor, Waits, ask, form, together
from benchmarks.load.hostile_pictures import hostile_pictures
from tests import server

HOSTILE = 16
BAR = 1.0  # seconds
Going = Callable[[], bool]


def main() -> None:
    """Measure, print, and fail where the bar is missed."""
    parser = argparse.ArgumentParser(description="Pages under hostile uploads.")
    parser.add_argument("--seconds", type=float, default=20, help="for each kind")
    given = parser.parse_args()
    kinds = hostile_pictures()
    tried = {"none": [], **{name: [data] for name, data in kinds.items()}, "all": [*kinds.values()]}
    missed = []
    print(
        "| hostile pictures | sent | `/` p99 | `/` most | `/livez` p99 | honest: 200, 503, median |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        with server.running(Path(folder) / "log") as address:
            under(address, [], 2)  # whoever comes first waits for what is made only once
            for name, sent in tried.items():
                waits = under(address, sent, given.seconds)
                honest = waits.statuses["honest"]
                page = waits.quantile("/", 0.99)
                print(
                    f"| {name} | {len(waits.seconds.get('hostile', ()))} | {page:.2f} s | "
                    f"{waits.quantile('/', 1):.2f} s | {waits.quantile('/livez', 0.99):.2f} s | "
                    f"{honest[200]}, {honest[503]}, {waits.quantile('honest', 0.5):.2f} s |",
                    flush=True,
                )
                if page > BAR or waits.faults():
                    missed.append(f"{name}: p99 {page:.2f} s, {waits.faults()} faults")
    if missed:
        raise SystemExit("missed: " + "; ".join(missed))


def under(address: str, hostile: list[bytes], seconds: float) -> Waits:
    """Let sixteen clients send `hostile` in turn, and others ask meanwhile."""
    waits, honest = Waits(), form(photo())
    bodies = [form(data) for data in hostile]

    def sends(first: int) -> Callable[[Going], None]:
        def run(going: Going) -> None:
            for number in itertools.count(first):
                body = bodies[number % len(bodies)]
                if not going():
                    return
                waits.add("hostile", ask(address, "POST", "/api/classify", *body))

        return run

    def reads(path: str) -> Callable[[Going], None]:
        def run(going: Going) -> None:
            while going():
                waits.add(path, ask(address, "GET", path))

        return run

    def is_honest(going: Going) -> None:
        visitor = Visitor(address, source="127.0.0.2")  # another client than the hostile ones
        while going():
            waits.add("honest", visitor.post("/api/classify", *honest))

    others = [reads("/"), reads("/"), reads("/livez"), is_honest]
    clients = range(HOSTILE if hostile else 0)
    together([*(sends(number) for number in clients), *others], seconds)
    return waits


if __name__ == "__main__":
    main()
