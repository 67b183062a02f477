"""Bring the processes of a training together, or say why they do not meet."""

from __future__ import annotations

import os
import sys

import keras

from model_training.training.together.last_words import leave_last_words, take_back
from model_training.training.together.meeting import meet
from model_training.training.together.team import (
    RESUME,
    Team,
    TeamError,
    first_line,
    lost_processes_named,
)

WAIT_SECONDS = 120
"""How long the processes wait for each other at the start."""


def join(team: Team, coordinator: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait for the other processes of `team`, and train together from now on.

    Args:
        coordinator: host and port at which rank 0 is reached.

    Raises:
        TeamError: they did not all come, or Keras does not run on JAX.
    """
    if keras.backend.backend() != "jax":
        raise TeamError(
            "Several processes train together on JAX only: set KERAS_BACKEND=jax, and install it "
            "with `pip install -r requirements-jax.txt`."
        )
    import jax

    meet(team, coordinator, seconds)
    leave_last_words(_words(team))
    try:
        # Not by keras.distribution.initialize, which waits for five minutes and says nothing.
        jax.distributed.initialize(
            coordinator,
            team.processes,
            team.rank,
            initialization_timeout=max(1, int(seconds)),
        )
    except Exception as error:  # JAX promises nothing about what it raises.
        raise TeamError(
            f"All {team.processes} processes came to {coordinator}, but JAX could not connect them "
            f"({first_line(error)}). Start all of them again; if that does not help, at another "
            "port."
        ) from error
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))


def _words(team: Team) -> str:
    or_else = "" if team.leads else ", or ended by JAX because rank 0 is gone: see what that says"
    return f"Rank {team.rank} of this training was killed{or_else}. {RESUME}"


def part(team: Team) -> None:
    """Leave the others, once all of them have taken the last step, and go on alone.

    JAX would else keep those who are done until the last process ends, for five minutes at most,
    and end that one too where they are gone by then.

    Raises:
        TeamError: one of them is gone already.
    """
    if team.processes == 1:
        return
    import jax

    keras.distribution.set_distribution(None)
    with lost_processes_named():
        jax.distributed.shutdown()


def leave_at_once(status: int) -> None:
    """End this process without waiting for others that will not come."""
    take_back()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
