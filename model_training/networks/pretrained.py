"""ImageNet weights for the first layers of a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from model_training.files import file_digest

if TYPE_CHECKING:
    import keras


class WeightsError(Exception):
    """Pretrained weights could not be loaded or do not fit; the message says what to do."""


@dataclass(frozen=True)
class Pretrained:
    """The source of a network's first layers.

    Args:
        application: the name in `keras.applications`, built without its top.
        adapt: called with each layer's name and weights before they are set; returns the weights
            to set, changed where the recipe's preprocessing needs it.
    """

    application: str
    adapt: Callable[[str, list[NDArray[Any]]], list[NDArray[Any]]] = lambda name, weights: weights


def load_pretrained(
    model: keras.Model, pretrained: Pretrained, size: int, path: Path | None
) -> str:
    """Put ImageNet weights into the layers of `model` that are named as in the application.

    Args:
        size: the side in pixels that the application is built for.
        path: a file of weights for the application without its top; None: Keras' own, downloaded
            on first use.

    Returns:
        A description of what was loaded, for the card.

    Raises:
        WeightsError: nothing could be loaded.
    """
    base = _load_application(pretrained.application, size, path)
    ours = {layer.name: layer for layer in model.layers}
    for layer in base.layers:
        if layer.weights:
            weights = pretrained.adapt(layer.name, layer.get_weights())
            ours[layer.name].set_weights(weights)
    source = "Keras' own file" if path is None else describe_file(path)
    return f"ImageNet weights of {pretrained.application}: {source}"


def describe_file(path: Path) -> str:
    """Return a description of a file of weights by name and digest, for the card.

    Raises:
        WeightsError: there is no such file.
    """
    if not path.is_file():
        raise WeightsError(f"There is no file {path}. Give --weights a file of ImageNet weights.")
    return f"{path.name}, SHA-256 {file_digest(path)}"


def _load_application(name: str, size: int, path: Path | None) -> keras.Model:
    # Imported here, so that reading a recipe's data does not load a deep-learning framework.
    import keras

    if path is not None:
        describe_file(path)
    build = getattr(keras.applications, name)
    shape = (size, size, 3)
    try:
        return build(include_top=False, input_shape=shape, weights=str(path or "imagenet"))
    # Keras and h5py do not document what a bad file or a missing host raises.
    except Exception as error:
        if path is None:
            raise WeightsError(
                f"The ImageNet weights of {name} could not be downloaded ({error}). Try again, or "
                f"give --weights a file of {name} weights without the top."
            ) from error
        raise WeightsError(
            f"{path} does not hold weights of {name} without its top ({error})."
        ) from error
