"""Bring the processes of a training together, or say why they do not meet."""

from __future__ import annotations

import os
import socket
import time

import keras

from model_training.training.together.team import Team, TeamError, first_line

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

    if not team.leads:
        _wait_for(coordinator, seconds)
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
            f"Not all {team.processes} processes came to {coordinator} within {seconds:.0f} s "
            f"({first_line(error)}). Check that each was started with its own --rank, 0 to "
            f"{team.processes - 1}, and the same --processes and --coordinator."
        ) from error
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))


def leave_at_once(status: int) -> None:
    """End this process without waiting for others that will not come."""
    os._exit(status)


def _wait_for(coordinator: str, seconds: float) -> None:
    host, _, port = coordinator.rpartition(":")
    deadline = time.monotonic() + seconds
    problem: OSError | None = None
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((host, int(port)), timeout=5):
                return
        except OSError as error:
            problem = error
            time.sleep(0.2)
    raise TeamError(
        f"Nobody answered at {coordinator} for {seconds:.0f} s ({problem}). Check that rank 0 is "
        "running there, that the name and the port are right, and that no firewall is between."
    )
