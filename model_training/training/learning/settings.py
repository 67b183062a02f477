"""The settings of a run, which those of the state that it goes on with have to equal, and whether
they fit its images."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from model_training.recipes import Phase, Recipe
from model_training.training.together.team import Team


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


def check_batches(phases: tuple[Phase, ...], images: int, team: Team) -> None:
    """Check that a batch of each phase can be made of so many images, and divided among `team`.

    Raises:
        ValueError: there are fewer images than the batch size.
        TeamError: a batch cannot be divided.
    """
    for phase in phases:
        team.check_batch(phase.batch_size)
        if images < phase.batch_size:
            raise ValueError(
                f"A batch of {phase.batch_size} needs as many images; there are {images} to "
                "train on. Give more images or a smaller --batch-size."
            )
