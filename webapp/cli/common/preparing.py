"""What the commands that train say, and look for, before they begin."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click
from flask import current_app

from model_training.datasets.dataset import DataSet
from model_training.networks.imagenet.pretrained_file import PretrainedFile
from model_training.recipes import Recipe, UnknownRecipe, find_recipe


class Minutes(click.FloatRange):
    """A number of minutes above 0, which ends."""

    def __init__(self) -> None:
        super().__init__(0, min_open=True)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return `value` as a number.

        Raises:
            click.BadParameter: it is none, or has no end.
        """
        minutes: float = super().convert(value, param, ctx)
        if not math.isfinite(minutes):  # What is not a number is outside of no range.
            self.fail(f"{value} is no number of minutes.", param, ctx)
        return minutes


def recipe_called(name: str | None) -> Recipe:
    """Return the recipe that is meant.

    Raises:
        click.UsageError: there is none of that name.
    """
    if name is None:
        raise click.UsageError("Which recipe? `flask train --list` shows them all.")
    try:
        return find_recipe(name)
    except UnknownRecipe as error:
        raise click.UsageError(str(error)) from error


def weights_for(recipe: Recipe, given: Path | None) -> Path | None:
    """Return the file of pretrained weights: as given, or that of a bundle which has the
    pretrained layers of `recipe`, if it is here.

    Raises:
        click.UsageError: one is given, and `recipe` takes none.
    """
    if given is not None and recipe.pretrained is None:
        raise click.UsageError(f"{recipe.name} is trained from scratch; it takes no --weights.")
    if given is not None or not isinstance(recipe.pretrained, PretrainedFile):
        return given
    folder: Path = current_app.config["MODELS_FOLDER"]
    path = folder / recipe.pretrained.bundle / "model.keras"
    return path if path.is_file() else None


def say_what_is_resized(
    recipe: Recipe, data: DataSet, size: int, *, fitted: bool, advice: str = ""
) -> None:
    """Say what becomes of images that are not as large as those the recipe is made for.

    Args:
        size: that the network sees, in pixels.
        fitted: they were pictures of any size, and brought to that as they were read.
        advice: what to do about it.
    """
    if fitted:
        told = f"the pictures of {data.title} are reduced or enlarged to that."
    elif data.name == recipe.data_set or data.side == size:
        return
    else:
        how = "reduced" if data.side > size else "enlarged"
        told = f"the images of {data.title}, of {data.side} pixels, are {how} to that."
    click.echo(f"{recipe.name} sees {size} pixels: {told}{f' {advice}' if advice else ''}")


def say_if_emulated(recipe: Recipe) -> None:
    """Say where this processor trains in other numbers than `recipe` would."""
    from model_training.training.environment import usable_precision

    if usable_precision(recipe.precision) != recipe.precision:
        click.echo(
            "This processor only emulates bfloat16, which is slow: training in float32 instead."
        )
