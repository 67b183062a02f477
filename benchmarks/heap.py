"""What a network's memory costs, given back at once or kept for its next call: `python -m
benchmarks.heap`

Asks the network about one picture, again and again, in processes that differ in how malloc keeps
what is free: as the site sets it, with all that is larger than 256 kB given back at once, and as
glibc does by itself.  They take turns within one run.  A kernel that gives a page back clears it
first, so the price is time of the system's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

import numpy as np

from benchmarks.site import PROJECT
from webapp.serving.memory import KEPT, LARGE, keep_in_bounds

MODEL = "efficientnet-lite0"
WAYS = {
    "as the site does": (LARGE, KEPT),
    "from 256 kB given back at once": (256 * 1024, 128 * 1024),
    "glibc's own way": None,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(*_measure(given.way, given.model, given.calls))
        return
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(given.rounds):
        for way, rounds in found.items():
            user, system = _in_a_process(way, given.model, given.calls)
            rounds.append((user, system))
    print(f"{given.model}: processor milliseconds to ask the network about one picture")
    for way, rounds in found.items():
        user, system = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"  {way}: {user + system:.1f}, {system:.1f} of it the system's")
    ours, *others = (tuple(map(sum, rounds)) for rounds in found.values())
    for way, theirs in zip(list(WAYS)[1:], others, strict=True):
        ratios = sorted(one / other for one, other in zip(ours, theirs, strict=True))
        print(
            f"the site's way takes {statistics.median(ratios):.2f} of “{way}” "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


def _in_a_process(way: str, model: str, calls: int) -> tuple[float, float]:
    again = ("benchmarks.heap", "--way", way, "--model", model, "--calls", str(calls))
    printed = subprocess.run(
        [sys.executable, "-m", *again], stdout=subprocess.PIPE, text=True, check=True, cwd=PROJECT
    ).stdout.split()
    return float(printed[-2]), float(printed[-1])


def _measure(way: str, model: str, calls: int) -> tuple[float, float]:
    """Return the milliseconds of a call in which programs ran, and those of the system."""
    bounds = WAYS[way]
    if bounds is not None:
        keep_in_bounds(*bounds)
    from model_training.bundles.reading import read_bundle
    from webapp.serving.classifier import Classifier

    classifier = Classifier(read_bundle(PROJECT / "instance" / "models" / model))
    side = classifier.judge.plan.side
    pixels = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        classifier.backend.features(pixels)
    before = os.times()
    for _ in range(calls):
        classifier.backend.features(pixels)
    after = os.times()
    each = 1000 / calls
    return each * (after.user - before.user), each * (after.system - before.system)


if __name__ == "__main__":
    main()
