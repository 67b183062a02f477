"""`flask classify` beside the bare network: `python -m benchmarks.classifying [NAME] [--images N]`

Test images as PNG files in a folder go the whole way that the command takes: listed, then found,
read, decoded, judged, written to disk in batches, and at last made a table; and the way without
its list and its table.  Beside it stands the compiled function on the same images, in batches and
decoded before: that of the network as it was saved, and as it answers here, its batch
normalisation folded.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.photos import MAX_PIXELS, MODELS
from benchmarks.timing import alternate, print_table
from model_training.bundles.reading import read_bundle
from model_training.classifying.journal import Journal
from model_training.classifying.pipeline import Limits, classify
from model_training.classifying.sources import find_pictures
from model_training.classifying.tables import write_table
from model_training.datasets.catalog.cifar10 import NAME
from model_training.datasets.pictures.sprites import read_test_images
from model_training.judging.backend import Backend
from model_training.networks.loading import load_network
from webapp.cli.classifying.inputs import find_all
from webapp.serving.classifier import Classifier
from webapp.serving.tensorflow_backend import TensorFlowBackend

ROUNDS = 5
TOGETHER = (64, 256)
"""Images in one call of the compiled function: whichever is quicker is what the rest is held to."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", nargs="?", default="custom-cnn", help="of a bundle")
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args(arguments)
    classifier = Classifier(read_bundle(MODELS / asked.name))
    images = read_test_images(MODELS.parent / "data" / NAME / "test", 32).images[: asked.images]
    judge, backend = classifier.judge, classifier.backend
    path = classifier.bundle.model_path
    assert path is not None
    backends = {
        "network as saved": TensorFlowBackend(load_network(path)),
        "network as it answers": backend,
    }
    views = [judge.views(Image.fromarray(image))[0].pixels for image in images]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "pictures"
        folder.mkdir()
        for number, image in enumerate(images):
            Image.fromarray(image).save(folder / f"{number:05}.png")

        output = Path(temporary) / "rows.jsonl"
        limits = Limits(20_000_000, MAX_PIXELS)

        def all_of_it() -> None:
            with Journal(output, {}, restart=True) as journal:
                names, _own = find_all([folder], (output, journal.path), journal.done)
                journal.keep(names)
                make_rows(journal)
                journal.sync()
                write_table(output, journal.rows(names), judge.classes)
                journal.remove()

        def without_list_and_table() -> None:
            with Journal(output, {}, restart=True) as journal:
                make_rows(journal)

        def make_rows(journal: Journal) -> None:
            for rows in classify(find_pictures([folder]), judge, backend, limits):
                journal.add(rows)
            assert len(journal.done) == len(images)

        def bare(backend: Backend, together: int) -> None:
            for start in range(0, len(views), together):
                backend.features(np.stack(views[start : start + together]))

        print(f"{len(images):,} PNG files of 32 pixels through {classifier.name}")
        candidates: dict[str, Callable[[], object]] = {
            "flask classify": all_of_it,
            "without its list and its table": without_list_and_table,
        }
        for together in TOGETHER:
            for which, asks in backends.items():
                candidates[f"{which}, {together} at once"] = partial(bare, asks, together)
        processor: dict[str, list[float]] = {name: [] for name in candidates}

        def measured(name: str) -> None:
            started = time.process_time()
            candidates[name]()
            processor[name].append(time.process_time() - started)

        taken = alternate({name: partial(measured, name) for name in candidates}, asked.rounds)
        print("Time by the clock:")
        print_table(taken, len(images), "image")
        print("Time of all processors, which other work on the machine changes less:")
        print_table({name: some[1:] for name, some in processor.items()}, len(images), "image")


if __name__ == "__main__":
    main()
