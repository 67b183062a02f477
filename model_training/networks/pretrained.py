"""ImageNet weights for the first layers of a network."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model_training.files import file_digest

if TYPE_CHECKING:
    import keras

WHITENING = "input_whitening"
"""The layer, with weights, that a run may put before any network."""
STALLED_SECONDS = 15.0
"""Without a byte arriving, before a download is given up."""

Weights = list[NDArray[Any]]


class WeightsError(Exception):
    """Pretrained weights could not be loaded or do not fit; the message says what to do."""


@dataclass(frozen=True)
class Pretrained:
    """The source of a network's first layers.

    Args:
        application: the name in `keras.applications`, built without its top; or, with `layers`, a
            name for people of a network that Keras does not have.
        adapt: called with each layer's name and weights before they are set; returns the weights
            to set, changed where the recipe's preprocessing needs it.
        layers: the layers of a network that Keras does not have, for which a file must be given:
            one that an older Keras wrote, with the weights by the layers' names ("/" for our "_").
    """

    application: str
    adapt: Callable[[str, Weights], Weights] = lambda name, weights: weights
    layers: tuple[str, ...] = ()


def load_pretrained(
    model: keras.Model, pretrained: Pretrained, size: int, path: Path | None
) -> str:
    """Put ImageNet weights into the layers of `model` that come from the application.

    Args:
        size: the side in pixels that the application is built for.
        path: a file of weights for the application without its top; None: Keras' own, downloaded
            on first use.

    Returns:
        A description of what was loaded, for the card.

    Raises:
        WeightsError: nothing could be loaded; `model` is as it was.
    """
    name = pretrained.application
    if pretrained.layers:
        there = _from_file(pretrained, path)
    else:
        base = _load_application(name, size, path)
        there = [(layer.name, layer.get_weights()) for layer in base.layers if layer.weights]
    adapted = [(layer, pretrained.adapt(layer, weights)) for layer, weights in there]
    pairs = list(_paired(model, adapted, name))
    for layer, weights in pairs:
        layer.set_weights(weights)
    source = "Keras' own file" if path is None else describe_file(path)
    return f"ImageNet weights of {name}: {source}"


def describe_file(path: Path) -> str:
    """Return a description of a file of weights by name and digest, for the card.

    Raises:
        WeightsError: there is no such file.
    """
    if not path.is_file():
        raise WeightsError(f"There is no file {path}. Give --weights a file of ImageNet weights.")
    return f"{path.name}, SHA-256 {file_digest(path)}"


def _paired(
    model: keras.Model, there: list[tuple[str, Weights]], application: str
) -> Iterator[tuple[keras.layers.Layer, Weights]]:
    """Yield each layer of `model` that has a counterpart in `there`, with its weights.

    Raises:
        WeightsError: a shape differs, or a layer is missing.
    """
    ours = {layer.name: layer for layer in model.layers}
    # Some applications number their layers by how many a process has made, so that only the order
    # in which they stand is the same.
    in_order = [one for one in model.layers if one.weights and one.name != WHITENING]
    named = all(name in ours for name, _weights in there)
    for number, (name, weights) in enumerate(there):
        if not named and number >= len(in_order):
            raise WeightsError(f"This network is not made of {application}: {name} is missing.")
        layer = ours[name] if named else in_order[number]
        shapes = [tuple(weight.shape) for weight in layer.weights]
        theirs = [weight.shape for weight in weights]
        if shapes != theirs:
            raise WeightsError(
                f"The weights do not fit: {name} of {application} has the shapes {theirs}, and "
                f"{layer.name} of this network {shapes}."
            )
        yield layer, weights


def _load_application(name: str, size: int, path: Path | None) -> keras.Model:
    # Imported here, so that reading a recipe's data does not load a deep-learning framework.
    import keras

    if path is not None:
        describe_file(path)
    build = getattr(keras.applications, name)
    shape = (size, size, 3)
    try:
        with _impatient():
            return build(include_top=False, input_shape=shape, weights=str(path or "imagenet"))
    # Keras and h5py do not document what a bad file or a missing host raises.
    except Exception as error:
        if path is None:
            raise WeightsError(
                f"The ImageNet weights of {name} could not be downloaded ({_first_line(error)}). "
                "Connect this machine to the internet and try again, or download the file "
                f"elsewhere and give --weights a file of {name} weights without the top."
            ) from error
        raise WeightsError(
            f"{path} does not hold weights of {name} without its top ({_first_line(error)})."
        ) from error


def _from_file(pretrained: Pretrained, path: Path | None) -> list[tuple[str, Weights]]:
    """Read the weights of `pretrained.layers` from a file that an older Keras wrote.

    Raises:
        WeightsError: it does not hold them.
    """
    import h5py

    name = pretrained.application
    if path is None:
        raise WeightsError(
            f"Keras has no weights of {name} to download. Give --weights an .h5 file of {name} "
            "trained on ImageNet, with its layers' names (docs/pretrained-weights.md)."
        )
    describe_file(path)
    found: dict[str, Weights] = {}
    try:
        with h5py.File(path) as file:
            for layer in file.attrs["layer_names"]:
                group = file[layer]
                names = group.attrs["weight_names"]
                found[_text(layer).replace("/", "_")] = [np.asarray(group[one]) for one in names]
    except Exception as error:  # h5py does not document what a bad file raises.
        raise WeightsError(
            f"{path} does not hold weights of {name} by layer ({_first_line(error)})."
        ) from error
    if missing := [layer for layer in pretrained.layers if layer not in found]:
        raise WeightsError(f"{path} does not hold weights of {name}: it has no {missing[0]}.")
    return [(layer, found[layer]) for layer in pretrained.layers]


def _text(name: object) -> str:
    return name.decode("utf-8") if isinstance(name, bytes) else str(name)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


@contextmanager
def _impatient() -> Iterator[None]:
    """Give up what waits on the network for `STALLED_SECONDS`; Keras would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALLED_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
