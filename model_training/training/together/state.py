"""The state to resume from, for every process of a training."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from model_training.training import checkpoint
from model_training.training.together.team import Team


def read_of(team: Team, folder: Path) -> checkpoint.Saved:
    """Return the state in `folder` of the process of `team` that leads; all of them have to ask.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    if team.processes == 1:
        return checkpoint.read(folder)
    path = folder / checkpoint.STATE_NAME
    mine = path.read_bytes() if team.leads and path.is_file() else None
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / checkpoint.STATE_NAME).write_bytes(team.told(mine))
        return replace(checkpoint.read(Path(temporary)), folder=folder)
