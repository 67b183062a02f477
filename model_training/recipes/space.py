"""The space that a search goes through: which settings of a recipe may change, within which bounds.

Data only; `tuning` makes the shared defaults from a recipe's phases, and searches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model_training.recipes.recipe import Recipe

SETTINGS = {
    "learning_rate": "learning rate",
    "weight_decay": "weight decay",
    "label_smoothing": "label smoothing",
    "augmentation": "augmentation",
    "dropout": "dropout",
    "batch_size": "batch size",
    "width": "width",
}
"""All that can be searched for, and what each is called.

Rate, decay, smoothing and batch size are those of the last phase, or where it has no decay or
smoothing the largest of earlier phases; the other phases change in proportion.  Augmentation,
dropout and width are multiples of the recipe's own.
"""
MULTIPLES = ("augmentation", "dropout", "width")


@dataclass(frozen=True)
class Range:
    """Every number from `low` to `high`; with `log`, each order of magnitude is as likely."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            ValueError: they enclose nothing, or have no logarithm.
        """
        if self.high < self.low or (self.log and self.low <= 0):
            raise ValueError(f"no range goes from {self.low:g} to {self.high:g}")

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    @property
    def is_one_value(self) -> bool:
        """Return whether there is nothing to search."""
        return self.low == self.high


@dataclass(frozen=True)
class Choice:
    """One of several numbers, in their order."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that there is something to choose.

        Raises:
            ValueError: there is nothing, or it is not in order.
        """
        if not self.values or list(self.values) != sorted(set(self.values)):
            raise ValueError(f"these are not different numbers in their order: {self.values}")

    def __contains__(self, value: float) -> bool:
        return value in self.values

    @property
    def is_one_value(self) -> bool:
        """Return whether there is nothing to search."""
        return len(self.values) == 1


Bounds = Range | Choice


@dataclass(frozen=True)
class Space:
    """What a recipe declares about a search for better settings.

    Args:
        bounds: by the names in `SETTINGS`: those that differ from the shared defaults, which are
            made of the recipe's phases, and those that only its network has.  None: a search
            leaves this setting alone.
        rebuild: returns the recipe with another network: with so many times the filters (its
            second argument), and so many times the augmentation that its own layers do (its
            third).  Needed where `bounds` has a width, or an augmentation that no phase does.
    """

    bounds: Mapping[str, Bounds | None] = field(default_factory=dict)
    rebuild: Callable[[Recipe, float, float], Recipe] | None = None

    def __post_init__(self) -> None:
        """Check what does not go together.

        Raises:
            ValueError: a setting has no such name, or nothing can change the width.
        """
        if unknown := set(self.bounds) - set(SETTINGS):
            raise ValueError(f"no setting is called {', '.join(sorted(unknown))}")
        if self.bounds.get("width") is not None and self.rebuild is None:
            raise ValueError("a width can be searched only where the network can be rebuilt")


DROPOUT = Space({"dropout": Range(0.0, 1.5)})
"""That of a network with dropout layers whose rates are up to 0.6."""


@dataclass(frozen=True)
class Tuned:
    """The trial of a study that found the settings of a recipe.

    Args:
        accuracy: what the trial reached on validation images, after `epochs` epochs on `images`
            images.
        trials: finished in the study by then.
    """

    study: str
    trial: int
    values: Mapping[str, float]
    accuracy: float
    trials: int
    images: int
    epochs: int

    @property
    def identity(self) -> dict[str, Any]:
        """Return what stays the same while the study goes on."""
        return {"study": self.study, "trial": self.trial, "values": dict(self.values)}


def write_value(name: str, value: float) -> str:
    """Return `value` of the setting `name` for people: three digits, or so many times the own."""
    if name == "batch_size":
        return f"{value:,.0f}"
    return f"{value:.3g}×" if name in MULTIPLES else f"{value:.3g}"


def write_values(values: Mapping[str, float]) -> str:
    """Return settings for people, such as `learning rate 0.83, width 1.25×`."""
    return ", ".join(f"{SETTINGS[name]} {write_value(name, one)}" for name, one in values.items())
