"""The official batches of CIFAR-10 and CIFAR-100: pickles, rows of bytes, and archives of them
(A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009).
"""

from __future__ import annotations

import pickle
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.dataset import ImageSet
from model_training.datasets.sources import Arrays, SourceError, read_cache

SIDE = 32
PIXEL_BYTES = 3 * SIDE * SIDE
"""The bytes of an image: its red plane, then the green, then the blue, row by row."""

Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images (count, 32, 32, 3) and labels (count,)."""
Forms = Mapping[str, Callable[[Path], Arrays]]
"""For each file name, the function that reads a folder with a file of that name."""


def read_path(path: Path, forms: Forms, batches: str) -> Arrays:
    """Read a folder, or the parent of it, an archive (`.tar.gz`, `.tgz`), or a cache (`.npz`).

    Args:
        batches: a description of what such a folder holds, for the message of an error.

    Raises:
        SourceError: there is nothing at `path`, or none of these.
    """
    if not path.exists():
        raise SourceError("there is no such file or folder")
    if path.is_dir():
        return _read_folder(path, forms, batches)
    if path.suffix == ".npz":
        return read_cache(path)
    try:
        with tempfile.TemporaryDirectory() as temporary, tarfile.open(path) as archive:
            # The "data" filter refuses links and paths that lead out of the folder.
            archive.extractall(temporary, filter="data")
            return _read_folder(Path(temporary), forms, batches)
    except SourceError:
        raise
    except Exception as error:  # A damaged archive can raise nearly anything.
        raise SourceError(f"it is not a whole .tar.gz archive ({error})") from error


def read_python_batch(path: Path, labels: bytes) -> Batch:
    """Read a pickled batch.

    Args:
        labels: the key of the labels in it.

    Raises:
        SourceError: it is damaged, missing, or asks for more than arrays.
    """
    try:
        batch = read_pickle(path)
        planes = np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, SIDE, SIDE)
        return planes.transpose(0, 2, 3, 1), np.asarray(batch[labels], np.uint8)
    except Exception as error:  # A damaged pickle can raise nearly anything.
        raise SourceError(f"{path.name} is damaged or missing ({error})") from error


def read_binary_batch(path: Path, label_bytes: int = 1) -> Batch:
    """Read rows of label bytes, of which the last is used, and `PIXEL_BYTES`.

    Raises:
        SourceError: it is damaged or missing.
    """
    try:
        rows = np.fromfile(path, np.uint8).reshape(-1, label_bytes + PIXEL_BYTES)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path.name} is damaged or missing ({error})") from error
    planes = rows[:, label_bytes:].reshape(-1, 3, SIDE, SIDE)
    return planes.transpose(0, 2, 3, 1), rows[:, label_bytes - 1]


def assembled(train: list[Batch], test: Batch) -> Arrays:
    """Return the arrays of the batches to train on, joined, and of the one to test on."""
    return {
        "train_images": np.concatenate([images for images, _ in train]),
        "train_labels": np.concatenate([labels for _, labels in train]),
        "test_images": np.ascontiguousarray(test[0]),
        "test_labels": np.ascontiguousarray(test[1]),
    }


def image_sets(
    arrays: Arrays, title: str, train_count: int, test_count: int
) -> tuple[ImageSet, ImageSet]:
    """Return the training and the test images of `arrays`, as many as the data set `title` has.

    Raises:
        SourceError: there are more or fewer, or they are not of 32x32 pixels.
    """
    train, test = (
        ImageSet(arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in ("train", "test")
    )
    for kind, images, count in (("training", train, train_count), ("test", test, test_count)):
        if images.images.shape != (count, SIDE, SIDE, 3) or images.labels.shape != (count,):
            raise SourceError(
                f"its {kind} images have the shape {images.images.shape} and their labels "
                f"{images.labels.shape}; {title} has {count:,} of {SIDE}x{SIDE} pixels"
            )
    return train, test


def fetch_with_keras(name: str) -> Arrays:
    """Fetch `keras.datasets.NAME` with Keras' own loader: its cache, else the official archive.

    Keras prints its own progress, and compares the archive with a SHA-256.

    Raises:
        SourceError: it could not be fetched.
    """
    import keras

    try:
        train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras promises nothing about what it raises here.
        raise SourceError(str(error)) from error
    return {
        "train_images": np.ascontiguousarray(train[0], np.uint8),
        "train_labels": np.asarray(train[1], np.uint8).reshape(-1),
        "test_images": np.ascontiguousarray(test[0], np.uint8),
        "test_labels": np.asarray(test[1], np.uint8).reshape(-1),
    }


def read_pickle(path: Path) -> Any:
    """Read an official pickle, in which strings are bytes.

    Raises:
        Exception: any; a damaged pickle can raise nearly anything.
    """
    with path.open("rb") as file:
        return _ArraysOnlyUnpickler(file, encoding="bytes").load()


def _read_folder(folder: Path, forms: Forms, batches: str) -> Arrays:
    for inner in (folder, *sorted(child for child in folder.iterdir() if child.is_dir())):
        for marker, read in forms.items():
            if (inner / marker).is_file():
                return read(inner)
    raise SourceError(f"it holds no {batches}")


class _ArraysOnlyUnpickler(pickle.Unpickler):
    """An unpickler of official batches that lets only arrays through: a pickle can run code."""

    _allowed = {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch needs")
        # The official batches use the old name of what NumPy 2 has moved.
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)
