"""The settings of a run, which those of the state that it goes on with have to equal."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from model_training.recipes import Phase, Recipe


def settings_of(
    recipe: Recipe, phases: tuple[Phase, ...], seed: int, images: int, data_digest: str
) -> dict[str, Any]:
    """Return what makes a run of `recipe` the one that it is, as plain JSON.

    Args:
        images: how many it learns from.
        data_digest: names them.
    """
    settings: dict[str, Any] = {
        "recipe": recipe.name,
        "seed": seed,
        "images": images,
        "data": data_digest[:12],
        "change": recipe.change,
        "phases": [dataclasses.asdict(phase) for phase in phases],
    }
    if recipe.tuned is not None:
        settings["tuned"] = recipe.tuned.identity
    # Through JSON, as the saved ones come back: tuples are lists there.
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain
