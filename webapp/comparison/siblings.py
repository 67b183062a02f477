"""Other trainings of a model's network: what training alone is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model_training.recipes import RECIPES
from webapp.library import Result


@dataclass(frozen=True)
class Sibling:
    """A model with the network of another, trained by another recipe.

    Args:
        accuracy: on the test images.
        ahead: its accuracy minus that of the other; None where that has not been trained.
        is_original: it was trained as the source of the network trained it.
    """

    name: str
    title: str
    accuracy: float
    ahead: float | None
    is_original: bool


def siblings(
    recipe: str, others: Mapping[str, Result], accuracy: float | None = None
) -> list[Sibling]:
    """Return the models among `others` with the network of `recipe`, trained by other recipes.

    Args:
        others: measured on the same test images, by name.
        accuracy: that of `recipe` itself on them, where it has been trained.
    """
    network = _network(recipe)
    return [
        Sibling(
            name,
            other.bundle.card.title,
            other.accuracy,
            None if accuracy is None else other.accuracy - accuracy,
            other.bundle.card.recipe == network,
        )
        for name, other in others.items()
        if other.bundle.card.recipe != recipe and _network(other.bundle.card.recipe) == network
    ]


def _network(recipe: str) -> str:
    """Return the name of the recipe whose network that of the recipe `recipe` is."""
    found = RECIPES.get(recipe)
    return (found.network_of if found else "") or recipe
