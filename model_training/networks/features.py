"""Frozen layers: the lower part of a network that is cut in two is run once per image.

The output of the frozen part for an image never changes, so it is computed once, kept on disk, and
only the upper part is trained on it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.augmentation import Transform
from model_training.files import remove_leftovers, whole_file
from model_training.networks.memory import batch_within_memory

if TYPE_CHECKING:
    import keras


class Stopped(Exception):
    """The caller asked to stop between two chunks."""


class FeatureViews:
    """Draws batches from features: another view of each image every epoch.

    Args:
        views: for each transform the features of all images so transformed, (count, ...).
    """

    def __init__(self, views: list[NDArray[np.float16]], seed: int) -> None:
        self._views = views
        count = len(views[0])
        self._first = np.random.default_rng([seed, 3]).integers(0, len(views), count)

    def batch(self, chosen: NDArray[np.int64], epoch: int, number: int) -> NDArray[np.float16]:
        """Return the features of the images `chosen` in `epoch`."""
        which = (self._first[chosen] + epoch) % len(self._views)
        found = np.empty((len(chosen), *self._views[0].shape[1:]), np.float16)
        for place, view in enumerate(self._views):
            found[which == place] = view[chosen[which == place]]
        return found


@dataclass(frozen=True)
class Features:
    """The output of frozen layers: for each transform an array (count, ...), read from disk.

    `seconds` is the time that computing them took, whenever that was.
    """

    views: list[NDArray[np.float16]]
    seconds: float


def extract(
    lower: keras.Model,
    images: NDArray[np.uint8],
    views: tuple[Transform, ...],
    folder: Path,
    *,
    on_images: Callable[[int], None] = lambda count: None,
    stop: Callable[[], bool] = lambda: False,
) -> Features:
    """Return the output of `lower` for each view of the images, from `folder` if it is kept there.

    Args:
        images: uint8 (count, height, width, 3).
        views: the transforms of the images.
        on_images: called with the number of images just done; those kept in `folder` count at once.

    Raises:
        Stopped: `stop` returned True; the views that are complete stay.
        OSError: the disk is full; nothing unfinished stays.
    """
    of_network = _digest(lower, images)
    found, seconds = [], 0.0
    for transform in views:
        name = hashlib.sha256(f"{of_network} {transform.key}".encode()).hexdigest()[:32]
        path, clock_path = folder / f"{name}.npy", folder / f"{name}.seconds"
        there = _open(path, clock_path, len(images))
        if there is not None:
            on_images(len(images))
        else:
            remove_leftovers(path, older_than=3600)
            started = time.monotonic()
            with whole_file(path) as temporary:
                _write(lower, images, transform, temporary, on_images, stop)
            there = np.load(path, mmap_mode="r"), time.monotonic() - started
            with whole_file(clock_path) as temporary:
                temporary.write_text(f"{there[1]:.1f}", encoding="utf-8")
        found.append(there[0])
        seconds += there[1]
    return Features(found, seconds)


def kept(folder: Path) -> list[Path]:
    """Return the files that `extract` keeps in `folder`."""
    return [path for path in sorted(folder.glob("*")) if path.suffix in (".npy", ".seconds")]


def _open(path: Path, clock_path: Path, count: int) -> tuple[NDArray[np.float16], float] | None:
    try:
        seconds = float(clock_path.read_text(encoding="utf-8"))
        stored: NDArray[np.float16] = np.load(path, mmap_mode="r")
    except (OSError, ValueError):  # Missing or damaged: it is computed again.
        return None
    return (stored, seconds) if len(stored) == count else None


def _write(
    lower: keras.Model,
    images: NDArray[np.uint8],
    transform: Transform,
    path: Path,
    on_images: Callable[[int], None],
    stop: Callable[[], bool],
) -> None:
    size = batch_within_memory(lower)
    # Written, not mapped: storing into a mapped file kills the process when the disk is full.
    with path.open("wb") as file:
        for start in range(0, len(images), size):
            if stop():
                raise Stopped
            part = transform(images[start : start + size])
            # Eleven significant bits: more than bfloat16 has, fewer than float32.
            features = np.asarray(lower.predict_on_batch(part), np.float16)
            if start == 0:
                header = {"descr": "<f2", "fortran_order": False}
                shape = {"shape": (len(images), *features.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header | shape)
            file.write(features.tobytes())
            on_images(len(features))


def _digest(lower: keras.Model, images: NDArray[np.uint8]) -> str:
    import keras

    # A layer's configuration includes its precision.
    configuration = [[type(layer).__name__, layer.get_config()] for layer in lower.layers]
    said = json.dumps([keras.backend.backend(), configuration], sort_keys=True, default=str)
    digest = hashlib.sha256(said.encode())
    for weight in lower.get_weights():
        digest.update(np.ascontiguousarray(weight).data)
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()
