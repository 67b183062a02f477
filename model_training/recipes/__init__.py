"""Every network that can be trained by name."""

from __future__ import annotations

import difflib

from model_training.networks.pretrained import Pretrained
from model_training.recipes import airbench, custom_cnn, mobilenetv2, resnet50, vgg16
from model_training.recipes.recipe import (
    Lookahead,
    Optimizer,
    Phase,
    Recipe,
    Reported,
    Schedule,
    Use,
)

__all__ = [
    "RECIPES",
    "Lookahead",
    "Optimizer",
    "Phase",
    "Pretrained",
    "Recipe",
    "Reported",
    "Schedule",
    "UnknownRecipe",
    "Use",
    "find_recipe",
]

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for family in (custom_cnn, airbench, mobilenetv2, vgg16, resnet50)
    for recipe in family.RECIPES
}


class UnknownRecipe(KeyError):
    """There is no recipe of that name; the message offers the nearest."""

    def __str__(self) -> str:
        return str(self.args[0])


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        UnknownRecipe: there is none.
    """
    try:
        return RECIPES[name]
    except KeyError:
        near = difflib.get_close_matches(name, RECIPES, n=3, cutoff=0.4) or sorted(RECIPES)
        raise UnknownRecipe(
            f"There is no recipe called {name!r}. Did you mean {' or '.join(near)}?"
        ) from None
