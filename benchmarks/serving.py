"""The time of an answer: `python -m benchmarks.serving`

Compares the compiled function that the site calls with `model.predict`, and the decoding of a
12-megapixel JPEG straight to a smaller size with decoding all of it.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.timing import alternate, print_table
from model_training.bundles.reading import read_bundle
from model_training.datasets.pictures.opener import open_photo
from model_training.networks.loading import load_network
from webapp.serving.classifier import Classifier

MODEL = Path(__file__).resolve().parent.parent / "instance" / "models" / "custom-cnn"
ROUNDS = 15


def main() -> None:
    """Measure and print."""
    bundle = read_bundle(MODEL)
    classifier = Classifier(bundle)
    assert bundle.model_path is not None
    model = load_network(bundle.model_path)
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    print("one image through the custom CNN")
    print_table(
        alternate(
            {
                "compiled function": lambda: classifier.judge.judge_features(
                    classifier.backend.features(image)
                ),
                "model(image), eager": lambda: model(image, training=False),
                "model.predict": lambda: model.predict(image, verbose=0),
            },
            ROUNDS,
        ),
        1,
        "image",
    )

    encoded = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(noise).resize((4000, 3000), Image.Resampling.BICUBIC).save(encoded, "JPEG")
    photo = encoded.getvalue()

    def decode_all() -> None:
        with Image.open(io.BytesIO(photo)) as whole:
            whole.load()
            whole.thumbnail((1024, 1024), Image.Resampling.BICUBIC, reducing_gap=3.0)

    print("\na 12-megapixel JPEG to at most 1024 pixels")
    print_table(
        alternate(
            {
                "open_photo, decoded small": lambda: open_photo(photo, max_pixels=64_000_000),
                "decoded whole, then reduced": decode_all,
            },
            ROUNDS,
        ),
        1,
        "photo",
    )


if __name__ == "__main__":
    main()
