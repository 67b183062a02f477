"""What threads for a judge's products of matrices cost: `python -m benchmarks.products`

Judges the features of one image while others ask the network, with one thread for each product and
with as many as there are processors, in turns within one run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.site import PROJECT
from model_training.bundles.reading import read_bundle
from webapp.serving.classifier import Classifier

MODEL = "efficientnet-lite0"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=200)
    given = parser.parse_args()
    path: Path = PROJECT / "instance" / "models" / given.model
    classifier = Classifier(read_bundle(path))
    side = classifier.judge.plan.side
    pixels = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    features = classifier.backend.features(pixels)
    ending = threading.Event()

    def ask() -> None:
        while not ending.is_set():
            classifier.backend.features(pixels)

    processors = os.cpu_count() or 1
    asking = [threading.Thread(target=ask) for _ in range(processors)]
    for one in asking:
        one.start()
    taken: dict[int, list[list[float]]] = {1: [], processors: []}
    try:
        for _ in range(given.rounds):
            for threads in taken:
                times = []
                with threadpool_limits(threads, user_api="blas"):
                    for _ in range(given.images):
                        begun = time.perf_counter()
                        classifier.judge.judge_features(features)
                        times.append(1000 * (time.perf_counter() - begun))
                taken[threads].append(times)
    finally:
        ending.set()
        for one in asking:
            one.join()
    print(f"{given.model}: milliseconds to judge the features of an image, the network busy")
    for threads, rounds in taken.items():
        every = [one for times in rounds for one in times]
        ninth = statistics.quantiles(every, n=10)[-1]
        print(
            f"  {threads} threads for a product: median {statistics.median(every):.2f}, "
            f"mean {statistics.fmean(every):.2f}, one in ten over {ninth:.2f}"
        )
    ratios = sorted(
        statistics.median(one) / statistics.median(many)
        for one, many in zip(taken[1], taken[processors], strict=True)
    )
    print(
        f"with one thread {statistics.median(ratios):.2f} of the time of {processors} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


if __name__ == "__main__":
    main()
