"""ImageNet weights for the first layers of a network."""

from __future__ import annotations

from pathlib import Path

import keras

from model_training.files import file_digest
from model_training.recipes import Pretrained


class WeightsError(Exception):
    """Pretrained weights could not be had or do not fit; the message says what to do."""


def load_pretrained(model: keras.Model, pretrained: Pretrained, path: Path | None) -> str:
    """Put ImageNet weights into the layers of `model` that the application has too, by name.

    Args:
        path: a file of weights for the application without its top; None: Keras' own, downloaded
            on first use.

    Returns:
        What was loaded, in words for the card.

    Raises:
        WeightsError: nothing could be loaded.
    """
    base = _load_application(pretrained, path)
    ours = {layer.name: layer for layer in model.layers}
    for layer in base.layers:
        if layer.weights:
            weights = pretrained.adapt(layer.name, layer.get_weights())
            ours[layer.name].set_weights(weights)
    source = "Keras' own file" if path is None else f"{path.name}, SHA-256 {file_digest(path)}"
    return f"ImageNet weights of {pretrained.application}: {source}"


def _load_application(pretrained: Pretrained, path: Path | None) -> keras.Model:
    name = pretrained.application
    if path is not None and not path.is_file():
        raise WeightsError(f"There is no file {path}. Give --weights a file of {name} weights.")
    build = getattr(keras.applications, name)
    shape = (pretrained.size, pretrained.size, 3)
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
