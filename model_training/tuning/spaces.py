"""The space of one recipe: shared defaults made of its phases, and what the recipe declares."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from model_training.recipes import Phase, Recipe
from model_training.recipes.space import SETTINGS, Bounds, Choice, Range
from model_training.training.options import LEAST_STEPS

Bounded = dict[str, Bounds]
"""Bounds by the names of settings, each with several values, in the order of `SETTINGS`."""
LEAST_BATCH = 8


class SpaceError(ValueError):
    """There is nothing to search; the message says why, and what can be done."""


def space_of(recipe: Recipe, images: int, only: Collection[str] = ()) -> Bounded:
    """Return the space that a search for better settings of `recipe` goes through.

    A learning rate goes from a quarter to four times the recipe's own and a weight decay from a
    tenth to ten times it, both by orders of magnitude; a label smoothing from none to twice it; an
    augmentation from none to twice as much; a batch from a quarter to twice as many images.  What
    a recipe does not have, no search changes, and what it declares comes before all that.

    Args:
        images: that a trial learns from, which limit its batches.
        only: names of settings; all others stay as they are.

    Raises:
        SpaceError: nothing can change, or `only` names what does not.
    """
    shared = dict(_shared(recipe.phases, images))
    found = shared | dict(recipe.space.bounds)
    nothing_varies = "augmentation" not in shared and recipe.space.rebuild is None
    if nothing_varies and found.get("augmentation") is not None:
        raise SpaceError(
            f"{recipe.name} declares an augmentation to search, and none of its phases varies its "
            "images, so no multiple of it is another one. Take it out of the space in its module."
        )
    bounds = {name: one for name in SETTINGS if (one := found.get(name)) is not None}
    if unknown := [name for name in only if name not in bounds]:
        raise SpaceError(
            f"{recipe.name} has nothing that is called {' or '.join(unknown)}. A search can change "
            f"{', '.join(bounds) or 'nothing'}."
        )
    chosen = {name: one for name, one in bounds.items() if not only or name in only}
    several = {name: one for name, one in chosen.items() if not one.is_one_value}
    if not several:
        fixed = ", ".join(chosen)
        raise SpaceError(
            "There is nothing to search: "
            + (f"{fixed} can have one value only. " if fixed else f"{recipe.name} declares none. ")
            + f"Give more images or other settings, or widen the space of {recipe.name} in its "
            "module."
        )
    return several


def own_values(recipe: Recipe, names: Collection[str]) -> dict[str, float]:
    """Return the recipe's own values of the settings `names`."""
    last = recipe.phases[-1]
    own = {
        "learning_rate": last.optimizer.learning_rate,
        "weight_decay": _decay(recipe.phases),
        "label_smoothing": _smoothing(recipe.phases),
        "augmentation": 1.0,
        "dropout": 1.0,
        "batch_size": float(last.batch_size),
        "width": 1.0,
    }
    return {name: own[name] for name in own if name in names}


def write_bounds(bounds: Mapping[str, Bounds]) -> dict[str, list[float | str]]:
    """Return `bounds` as plain JSON: the ends and the scale of a range, or the numbers."""
    told: dict[str, list[float | str]] = {}
    for name, one in bounds.items():
        if isinstance(one, Range):
            told[name] = ["log" if one.log else "linear", float(one.low), float(one.high)]
        else:
            told[name] = ["choice", *map(float, one.values)]
    return told


def _shared(phases: tuple[Phase, ...], images: int) -> Iterator[tuple[str, Bounds]]:
    last = phases[-1]
    rate, decay, smoothing = last.optimizer.learning_rate, _decay(phases), _smoothing(phases)
    yield "learning_rate", Range(_short(rate / 4), _short(rate * 4), log=True)
    if decay:
        yield "weight_decay", Range(_short(decay / 10), _short(decay * 10), log=True)
    if smoothing:
        yield "label_smoothing", Range(0.0, min(0.4, _short(2 * smoothing)))
    if any(phase.learns_from is None and phase.augmentation.varies for phase in phases):
        yield "augmentation", Choice((0.0, 0.5, 1.0, 1.5, 2.0))
    own = last.batch_size
    sizes = (own // 4, own // 2, own, own * 2)
    usable = {
        size for size in sizes if size <= own or images >= LEAST_STEPS * size if size >= LEAST_BATCH
    }
    yield "batch_size", Choice(tuple(float(size) for size in sorted(usable | {own})))


def _decay(phases: tuple[Phase, ...]) -> float:
    return phases[-1].optimizer.weight_decay or max(one.optimizer.weight_decay for one in phases)


def _smoothing(phases: tuple[Phase, ...]) -> float:
    return phases[-1].label_smoothing or max(one.label_smoothing for one in phases)


def _short(number: float) -> float:
    return float(f"{number:.3g}")
