"""ImageNet weights for the first layers of a network."""

from __future__ import annotations

from pathlib import Path

import keras

from model_training.files import file_digest
from model_training.recipes import Recipe


class WeightsError(Exception):
    """Pretrained weights could not be had or do not fit; the message says what to do."""


def load_pretrained(model: keras.Model, recipe: Recipe, path: Path | None) -> str | None:
    """Put `recipe`'s ImageNet weights, if it begins with some, into the layers of `model`.

    Args:
        model: with layers named as in the application.
        path: a file of weights for the application without its top; None: Keras' own, downloaded
            on first use.

    Returns:
        What was loaded, in words for the card; None if the recipe begins with none.

    Raises:
        WeightsError: nothing could be loaded.
    """
    pretrained = recipe.pretrained
    if pretrained is None:
        return None
    base = _load_application(pretrained.application, recipe.input_size, path)
    ours = {layer.name: layer for layer in model.layers}
    for layer in base.layers:
        if layer.weights:
            weights = pretrained.adapt(layer.name, layer.get_weights())
            ours[layer.name].set_weights(weights)
    source = "Keras' own file" if path is None else describe_file(path)
    return f"ImageNet weights of {pretrained.application}: {source}"


def describe_file(path: Path) -> str:
    """A file of weights by name and content, for the card.

    Raises:
        WeightsError: there is no such file.
    """
    if not path.is_file():
        raise WeightsError(f"There is no file {path}. Give --weights a file of ImageNet weights.")
    return f"{path.name}, SHA-256 {file_digest(path)}"


def _load_application(name: str, size: int, path: Path | None) -> keras.Model:
    if path is not None:
        describe_file(path)
    build = getattr(keras.applications, name)
    shape = (size, size, 3)
    try:
        return build(include_top=False, input_shape=shape, weights=str(path or "imagenet"))
    # Keras and h5py promise nothing about what a bad file or a missing host raises.
    except Exception as error:
        if path is None:
            raise WeightsError(
                f"The ImageNet weights of {name} could not be downloaded ({error}). Try again, or "
                f"give --weights a file of {name} weights without the top."
            ) from error
        raise WeightsError(
            f"{path} does not hold weights of {name} without its top ({error})."
        ) from error
