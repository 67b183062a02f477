"""The settings of a run, which those of the state that it goes on with have to equal, and whether
they fit its images."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from model_training.recipes import Phase, Recipe
from model_training.training.checkpoint import CheckpointError
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
        "precision": recipe.precision,
        "phases": [dataclasses.asdict(phase) for phase in phases],
    }
    if recipe.tuned is not None:
        settings["tuned"] = recipe.tuned.identity
    # Through JSON, as the saved ones come back: tuples are lists there.
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def check_same_settings(saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Compare the settings of a state with those it is to go on with, both of `settings_of`.

    Raises:
        CheckpointError: they differ; the message says in what.
    """
    # States of versions before do not tell their precision.
    saved, wanted = _flat({"precision": wanted.get("precision")} | saved), _flat(wanted)
    changed = [
        f"{name} was {saved.get(name)}, now {wanted.get(name)}"
        for name in sorted(saved.keys() | wanted.keys())
        if saved.get(name) != wanted.get(name)
    ]
    if changed:
        raise CheckpointError(
            f"The unfinished training had other settings ({'; '.join(changed)}). Resume it with "
            "its own, or start anew with --restart."
        )


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


def _flat(settings: Any, name: str = "") -> dict[str, Any]:
    # {"phases": [{"epochs": 2}]} as {"phases 1 epochs": 2}: a name that a message can show.
    if isinstance(settings, dict):
        parts = [(f"{name} {key}".strip(), value) for key, value in settings.items()]
    elif isinstance(settings, list):
        parts = [(f"{name} {number}", value) for number, value in enumerate(settings, start=1)]
    else:
        return {name: settings}
    return {key: value for part, inner in parts for key, value in _flat(inner, part).items()}
