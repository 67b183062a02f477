"""The time of an answer: `python -m benchmarks.serving`

Compares the compiled function that the site calls with `model.predict`, the decoding of a
12-megapixel JPEG straight to a smaller size with decoding all of it, and the page of one photo,
quick map included, with the answer of `/api/classify`, by the default model and by the one before.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from flask import Flask
from PIL import Image

from benchmarks.timing import alternate, print_table
from model_training.bundles.reading import read_bundle
from model_training.datasets.pictures.opener import open_photo
from model_training.networks.loading import load_network
from webapp import create_app
from webapp.library import load_library
from webapp.serving.classifier import Classifier

MODEL = Path(__file__).resolve().parent.parent / "instance" / "models" / "custom-cnn"
EARLIER = "mobilenetv2-frozen"
"""The model that answered by default before, three views at 161 pixels."""
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
    photo_like(3000, 4000).save(encoded, "JPEG")
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

    app = create_app({"TESTING": True, "WTF_CSRF_ENABLED": False})
    load_library(app)
    for title, sent in (("1024x768", _smaller(photo)), ("12-megapixel", photo)):
        print(f"\none {title} JPEG, sent by a form and answered by the default model")
        print_table(alternate(_requests(app, sent), ROUNDS), 1, "photo")


def photo_like(height: int, width: int) -> Image.Image:
    """Return noise with the spectrum of photos: its power falls as the square of the frequency."""
    noise = np.random.default_rng(1).standard_normal((height // 4, width // 4, 3))
    rows = np.fft.fftfreq(height // 4)[:, None, None]
    columns = np.fft.rfftfreq(width // 4)[None, :, None]
    amplitude = 1 / np.maximum(np.hypot(rows, columns), 1 / width)
    shaped = np.fft.irfft2(np.fft.rfft2(noise, axes=(0, 1)) * amplitude, noise.shape[:2], (0, 1))
    levels = 128 + 50 * shaped / shaped.std()
    image = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _smaller(photo: bytes) -> bytes:
    encoded = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as whole:
        whole.resize((1024, 768)).save(encoded, "JPEG")
    return encoded.getvalue()


def _requests(app: Flask, photo: bytes) -> dict[str, Callable[[], object]]:
    client = app.test_client()

    def ask(address: str) -> None:
        answer = client.post(address, data={"image": (io.BytesIO(photo), "photo.jpg")})
        assert answer.status_code == 200, (address, answer.status_code)

    return {
        "/api/classify": lambda: ask("/api/classify"),
        "the page, with its quick map": lambda: ask("/"),
        f"/api/classify, {EARLIER}": lambda: ask(f"/api/classify?model={EARLIER}"),
    }


if __name__ == "__main__":
    main()
