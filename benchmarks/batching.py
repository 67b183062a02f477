"""Questions of several threads, one by one or together: `python -m benchmarks.batching`

For a network of 32 pixels and one of 224, with threads that each ask again and again about one
image: one; three, as many as a worker of the site lets ask at a time; ten and sixteen.  In turns,
as ratios to a call for each thread.  Where others use the machine, too, more threads get more of
it: the processor's time for an image says what a batch saves.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from pathlib import Path

import numpy as np

from model_training.bundles.reading import read_bundle
from model_training.judging.backend import Backend
from webapp.serving.batching import MicroBatching
from webapp.serving.classifier import AT_ONCE, Classifier

MODELS = Path(__file__).resolve().parent.parent / "instance" / "models"
NAMES = ("custom-cnn", "efficientnet-lite0")
THREADS = (1, 3, 10, 16)
"""Three is the site's `WORK_AT_ONCE`, ten its `WORK_ADMITTED`."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn")
    arguments = parser.parse_args()
    for name in NAMES:
        classifier = Classifier(read_bundle(MODELS / name))
        side = classifier.judge.plan.side
        image = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
        ways: dict[str, Backend] = {
            "each for itself": classifier.backend,
            "together": MicroBatching(classifier.backend),
            f"together beyond {AT_ONCE}": MicroBatching(classifier.backend, at_once=AT_ONCE),
            "together, waiting 2 ms": MicroBatching(classifier.backend, wait=0.002),
        }
        for count in range(1, 17):  # Numbers of images that were not seen before take longer.
            classifier.backend.features(np.repeat(image, count, axis=0))
        print(f"\n{name}, {side} pixels")
        print(
            f"{'':10} {'':24} {'images/s':>9} {'ms each':>9} {'processor ms':>13} "
            f"{'ratio of images/s':>22} {'of processor time':>22}"
        )
        for threads in THREADS:
            _compare(ways, image, threads, arguments.rounds, arguments.seconds)


def _compare(
    ways: dict[str, Backend], image: np.ndarray, threads: int, rounds: int, seconds: float
) -> None:
    rates: dict[str, list[float]] = {way: [] for way in ways}
    times: dict[str, list[float]] = {way: [] for way in ways}
    spent: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, backend in ways.items():
            before = time.process_time()
            took = _asked(backend, image, threads, seconds)
            spent[way].append((time.process_time() - before) / len(took))
            rates[way].append(len(took) / seconds)
            times[way] += took
    first = next(iter(ways))
    for way in ways:
        print(
            f"{f'{threads} threads':10} {way:24} {statistics.median(rates[way]):9.1f} "
            f"{1000 * statistics.median(times[way]):9.1f} "
            f"{1000 * statistics.median(spent[way]):13.1f} "
            f"{_ratio(rates[way], rates[first]):>22} {_ratio(spent[way], spent[first]):>22}"
        )


def _ratio(mine: list[float], base: list[float]) -> str:
    pairs = [one / other for one, other in zip(mine, base, strict=True)]
    return f"{statistics.median(pairs):.2f} ({min(pairs):.2f}..{max(pairs):.2f})"


def _asked(backend: Backend, image: np.ndarray, threads: int, seconds: float) -> list[float]:
    """Return the seconds of each question that `threads` ask within `seconds`."""
    took: list[float] = []
    until = time.perf_counter() + seconds

    def work() -> None:
        while (begun := time.perf_counter()) < until:
            backend.features(image)
            took.append(time.perf_counter() - begun)

    working = [threading.Thread(target=work) for _ in range(threads)]
    for thread in working:
        thread.start()
    for thread in working:
        thread.join()
    return took


if __name__ == "__main__":
    main()
