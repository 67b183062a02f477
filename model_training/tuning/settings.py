"""Settings that a search found, put into a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from model_training.recipes import DropoutSchedule, Phase, Recipe
from model_training.recipes.space import SETTINGS
from model_training.tuning.spaces import own_values


def with_values(recipe: Recipe, values: Mapping[str, float]) -> Recipe:
    """Return `recipe` with `values` of the settings that they name.

    Those of the last phase become exactly these, and the other phases change in proportion; where
    the last has none, the largest of the others becomes this.  What no phase has, the last is
    given.

    Raises:
        ValueError: the recipe has no such setting.
    """
    if unknown := set(values) - set(SETTINGS):
        raise ValueError(f"no setting is called {', '.join(sorted(unknown))}")
    own = own_values(recipe, values)
    # A setting that is its own is left as it is, to the last bit.
    changes = {name: one for name, one in values.items() if one != own[name]}
    shares = {name: one / own[name] for name, one in changes.items() if own[name]}
    new = {name: one for name, one in changes.items() if not own[name]}
    width, augmentation = shares.get("width", 1.0), shares.get("augmentation", 1.0)
    *before, last = (_changed(phase, shares) for phase in recipe.phases)
    changed = replace(recipe, phases=(*before, _given(last, new)))
    if recipe.space.rebuild is not None and (width, augmentation) != (1.0, 1.0):
        changed = recipe.space.rebuild(changed, width, augmentation)
    return changed


def _changed(phase: Phase, shares: Mapping[str, float]) -> Phase:
    told = phase.optimizer
    optimizer = replace(
        told,
        learning_rate=told.learning_rate * shares.get("learning_rate", 1.0),
        weight_decay=told.weight_decay * shares.get("weight_decay", 1.0),
    )
    dropout = phase.dropout
    if (share := shares.get("dropout")) is not None:
        before = dropout or DropoutSchedule(1.0, 1.0)
        dropout = DropoutSchedule(before.start * share, before.end * share)
    return replace(
        phase,
        optimizer=optimizer,
        dropout=dropout,
        batch_size=max(1, round(phase.batch_size * shares.get("batch_size", 1.0))),
        label_smoothing=phase.label_smoothing * shares.get("label_smoothing", 1.0),
        augmentation=phase.augmentation.times(shares.get("augmentation", 1.0)),
    )


def _given(phase: Phase, new: Mapping[str, float]) -> Phase:
    """Return `phase` with the settings in `new`, which no phase has had."""
    told = phase.optimizer
    return replace(
        phase,
        optimizer=replace(told, weight_decay=new.get("weight_decay", told.weight_decay)),
        label_smoothing=new.get("label_smoothing", phase.label_smoothing),
    )
