"""Frozen layers: a network is cut in two, and the lower part is run once per image.

What the frozen part says about an image never changes, so it is computed once, kept on disk, and
only the upper part is trained on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from model_training.augmentation import View
from model_training.evaluation import batch_within_memory
from model_training.files import whole_file


class Stopped(Exception):
    """The caller asked to stop between two chunks."""


class FeatureViews:
    """Draws batches from features: each image shows another of its views every epoch.

    Args:
        views: for each view an array (count, ...).
    """

    def __init__(self, views: list[NDArray[np.float16]], seed: int) -> None:
        self._views = views
        count = len(views[0])
        self._first = np.random.default_rng([seed, 3]).integers(0, len(views), count)

    def batch(self, chosen: NDArray[np.int64], epoch: int, place: int) -> NDArray[np.float16]:
        """The features of images `chosen` in `epoch`."""
        which = (self._first[chosen] + epoch) % len(self._views)
        found = np.empty((len(chosen), *self._views[0].shape[1:]), np.float16)
        for number, view in enumerate(self._views):
            found[which == number] = view[chosen[which == number]]
        return found


def cut(model: keras.Model, first: str) -> tuple[keras.Model, keras.Model]:
    """Cut `model` before the layer `first`: the part below it, and the part from it on.

    Both share their layers, so their weights, with `model`.

    Raises:
        ValueError: the network has no such layer, or something by-passes it.
    """
    boundary = model.get_layer(first)._inbound_nodes[0].input_tensors[0]
    return keras.Model(model.input, boundary), keras.Model(boundary, model.output)


def extract(
    lower: keras.Model,
    images: NDArray[np.uint8],
    views: tuple[View, ...],
    folder: Path,
    *,
    on_images: Callable[[int], None] = lambda count: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[NDArray[np.float16]]:
    """What `lower` says about each view of each image, from `folder` where it is there already.

    Args:
        images: uint8 (count, height, width, 3).
        on_images: told how many more are done; those found in `folder` are told at once.

    Returns:
        For each view float16 (count, ...), read from disk as it is used.

    Raises:
        Stopped: `stop` said so; the views that are whole stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    of_network = _digest(lower, images)
    found = []
    for view in views:
        name = hashlib.sha256(f"{of_network} {view}".encode()).hexdigest()[:32]
        path = folder / f"{name}.npy"
        if path.exists():
            on_images(len(images))
        else:
            with whole_file(path) as temporary:
                _write(lower, images, view, temporary, on_images, stop)
        found.append(np.load(path, mmap_mode="r"))
    return found


def _write(
    lower: keras.Model,
    images: NDArray[np.uint8],
    view: View,
    path: Path,
    on_images: Callable[[int], None],
    stop: Callable[[], bool],
) -> None:
    stored: np.memmap[Any, np.dtype[np.float16]] | None = None
    size = batch_within_memory(lower)
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        if stop():
            raise Stopped
        # Half precision holds three digits, as many as bfloat16 training uses.
        features = np.asarray(lower.predict_on_batch(view(images[part])), np.float16)
        if stored is None:
            shape = (len(images), *features.shape[1:])
            stored = np.lib.format.open_memmap(path, "w+", np.float16, shape)
        stored[part] = features
        on_images(len(features))
    assert stored is not None
    stored.flush()


def _digest(lower: keras.Model, images: NDArray[np.uint8]) -> str:
    digest = hashlib.sha256()
    for layer in lower.layers:
        digest.update(f"{type(layer).__name__} {layer.name} {layer.output.shape}".encode())
    for weight in lower.get_weights():
        digest.update(np.ascontiguousarray(weight).data)
    digest.update(keras.config.floatx().encode() + str(lower.compute_dtype).encode())
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()
