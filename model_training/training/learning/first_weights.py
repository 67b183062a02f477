"""The weights with which a network begins."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from model_training.networks.imagenet.pretrained_file import PretrainedFile
from model_training.networks.pretrained import load_pretrained
from model_training.recipes import Recipe


def give_first_weights(
    recipe: Recipe, model: keras.Model, weights: Path | None, images: NDArray[np.uint8]
) -> str | None:
    """Give `model`, fresh as `recipe` built it, the weights with which its training begins.

    Args:
        weights: a file of pretrained ones, for a recipe that begins with some.
        images: those that it will learn from.

    Returns:
        Where pretrained ones came from, in words.

    Raises:
        WeightsError: the pretrained weights cannot be had.
    """
    told = None
    if isinstance(recipe.pretrained, PretrainedFile):
        told = recipe.pretrained.load(model, weights)
    elif recipe.pretrained is not None:
        told = load_pretrained(model, recipe.pretrained, recipe.input_size, weights)
    if recipe.prepare is not None:
        recipe.prepare(model, images)
    return told
