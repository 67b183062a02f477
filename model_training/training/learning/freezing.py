"""The frozen layers of a phase, and the room on the disk that all phases of a run need for what
theirs say."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import keras

from model_training.datasets.augmentation import Transform
from model_training.datasets.dataset import ImageSet
from model_training.networks.cutting import cut
from model_training.networks.frozen.features import check_room, missing_of, steps_of
from model_training.networks.frozen.pieces import Pieces
from model_training.networks.frozen.sharing import failing_together
from model_training.recipes import Phase
from model_training.training.together.team import Team


def make_ready(
    model: keras.Model, always_frozen: set[str], input_size: int, phase: Phase
) -> tuple[list[keras.Model], keras.Model]:
    """Freeze and unfreeze the layers of `model` for `phase`, and let it see images as large as that
    wants them.

    Args:
        always_frozen: names of layers that stay frozen whatever the phase.
        input_size: the size in pixels to which a network that resizes does so, but where `phase`
            has its own.

    Returns:
        The frozen part as `divide` gives it, and the part that learns.
    """
    for layer in model.layers:
        layer.trainable = layer.name not in always_frozen
    resize_to(phase.input_size or input_size, model)
    return divide(model, phase)


def divide(model: keras.Model, phase: Phase) -> tuple[list[keras.Model], keras.Model]:
    """Freeze the layers of `model` that do not learn in `phase`.

    Returns:
        Their parts from the bottom up, none where every layer learns, and the part that learns.
    """
    if phase.learns_from is None:
        return [], model
    lower, upper = cut(model, phase.learns_from)
    lower.trainable = False
    return [lower] if phase.through is None else [*cut(lower, phase.through)], upper


def resize_to(size: int, model: keras.Model) -> None:
    """Let the layers of `model` that resize images do so to `size`."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Resizing):
            layer.height = layer.width = size


def check_room_for(
    phases: Iterable[Phase],
    model: keras.Model,
    always_frozen: set[str],
    input_size: int,
    fit: ImageSet,
    validation: ImageSet | None,
    folder: Path,
    team: Team,
) -> None:
    """Check that the disk has room for all that frozen layers are to say in `phases`.

    Args:
        model, always_frozen, input_size: as for `make_ready`.
        fit, validation: the images of a run.
        folder: where it is kept.

    Raises:
        FullDisk: it has too little, in any process of `team`.
        OSError: `folder` cannot be made.
    """
    wanted: dict[Path, Pieces] = {}  # Two phases may have the same frozen layers.
    for phase in phases:
        parts, _upper = make_ready(model, always_frozen, input_size, phase)
        if not parts:
            continue
        sets = [(fit, phase.views)]
        if validation is not None:
            sets.append((validation, (Transform(),)))
        for images, views in sets:
            for steps in steps_of(parts, images.images, views, folder):
                wanted |= {pieces.path: pieces for pieces in missing_of(steps)}
    # Together also where this process lacks nothing: another may.
    with failing_together(team):
        if wanted:
            check_room("the images of this run", wanted.values())
