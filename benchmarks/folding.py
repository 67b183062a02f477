"""What folding batch normalisation is worth to an answer: `python -m benchmarks.folding [NAME ...]`

Times the compiled function of shipped models with the network as it was saved and with its batch
normalisation folded into the layers in front of it (`model_training.networks.folding`), in turns in
one process, for one image and for 64; and says what folding takes when a model is loaded.
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import numpy as np

from benchmarks.photos import MODELS
from benchmarks.timing import alternate, print_table
from model_training.bundles.reading import read_bundle
from model_training.networks.folding import fold_normalization
from model_training.networks.loading import load_network
from webapp.serving.tensorflow_backend import TensorFlowBackend

NAMES = ("custom-cnn", "fast-cnn", "best-cnn", "mobilenetv2-finetuned")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", default=NAMES, help="of bundles with a network")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    for name in asked.names:
        bundle = read_bundle(MODELS / name)
        assert bundle.model_path is not None and bundle.judge is not None
        saved = load_network(bundle.model_path)
        started = time.perf_counter()
        folded = fold_normalization(saved)
        took = time.perf_counter() - started
        backends = {
            "as it was saved": TensorFlowBackend(saved),
            "folded": TensorFlowBackend(folded),
        }
        side = bundle.judge.plan.side
        print(f"\n{name}, {side} pixels; to fold it took {took:.2f} s")
        for images, calls in ((1, 32), (64, 2)):
            pixels = np.random.default_rng(0).integers(0, 256, (images, side, side, 3), np.uint8)
            apart = np.subtract(*(backend.features(pixels) for backend in backends.values()))
            print(f"{images} at a time; features differ by {np.abs(apart).max():.1e} at most")

            def ask(backend: TensorFlowBackend, pixels: np.ndarray, calls: int) -> None:
                for _ in range(calls):
                    backend.features(pixels)

            candidates = {
                which: partial(ask, backend, pixels, calls) for which, backend in backends.items()
            }
            print_table(alternate(candidates, asked.rounds), calls * images, "image")


if __name__ == "__main__":
    main()
