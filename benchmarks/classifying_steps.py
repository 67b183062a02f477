"""What `flask classify` does beside the network: `python -m benchmarks.classifying_steps [NAME]`

Each step by itself, on PNG files of 32 pixels, in microseconds of a processor for each picture: the
least of a few rounds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from benchmarks.photos import MAX_PIXELS, MODELS
from model_training.bundles.reading import read_bundle
from model_training.classifying.journal import Journal
from model_training.classifying.pipeline import batch_of
from model_training.classifying.rows import Row
from model_training.classifying.sources import find_pictures
from model_training.classifying.tables import write_table
from model_training.datasets.catalog.cifar10 import NAME
from model_training.datasets.pictures.opener import open_photo
from model_training.datasets.pictures.sprites import read_test_images
from webapp.cli.classifying.inputs import find_all

IMAGES, ROUNDS = 2048, 5
Result = TypeVar("Result")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", nargs="?", default="custom-cnn", help="of a bundle")
    judge = read_bundle(MODELS / parser.parse_args(arguments).name).judge
    assert judge is not None
    images = read_test_images(MODELS.parent / "data" / NAME / "test", 32).images[:IMAGES]
    drawn = np.random.default_rng(0).random((IMAGES, judge.width), np.float32)
    together = batch_of(judge)
    with tempfile.TemporaryDirectory() as temporary, threadpool_limits(1, user_api="blas"):
        folder = Path(temporary)
        for number, image in enumerate(images):
            Image.fromarray(image).save(folder / f"{number:05}.png")
        pictures = _step("finding", lambda: list(find_pictures([folder])))
        files = _step("reading", lambda: [one.read(20_000_000) for one in pictures])
        opened = _step("decoding", lambda: [_open(file) for file in files])
        _step("cutting views", lambda: [judge.views(image) for image in opened])
        judged = _step(
            f"judging, {together} at once",
            lambda: [
                judge.judge_features(drawn[at : at + together]) for at in range(0, IMAGES, together)
            ],
        )
        judgements = [one for some in judged for one in some]
        rows = [
            Row.of(picture.name, one, judge.classes)
            for picture, one in zip(pictures, judgements, strict=True)
        ]
        _step(
            "rows, as JSON",
            lambda: [Row.of("a.png", one, judge.classes).to_json() for one in judgements],
        )
        output = folder / "rows.jsonl"
        with Journal(output, {}) as journal:
            _step("listing, before", lambda: find_all([folder], (output, journal.path), ()))
            journal.add(rows)
            names = [row.file for row in rows]
            _step(
                "the table, after", lambda: write_table(output, journal.rows(names), judge.classes)
            )
            journal.remove()


def _open(file: bytes) -> Image.Image:
    return open_photo(file, max_pixels=MAX_PIXELS).image


def _step(name: str, run: Callable[[], Result]) -> Result:
    """Print what `run` takes for each picture, and return what it returned."""
    least = np.inf
    for _ in range(ROUNDS):
        started = time.thread_time()
        result = run()
        least = min(least, time.thread_time() - started)
    print(f"{name:24}{least / IMAGES * 1e6:8.0f} µs")
    return result


if __name__ == "__main__":
    main()
