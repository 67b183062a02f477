"""Options for a training in several processes."""

from __future__ import annotations

import atexit
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from model_training.training.together.team import Team

_SIZES = ("TENCLASSES_PROCESSES", "SLURM_NTASKS")
_RANKS = ("TENCLASSES_RANK", "SLURM_PROCID", "JOB_COMPLETION_INDEX")


def together_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` --processes, --rank and --coordinator."""
    for option in (
        click.option(
            "--coordinator",
            metavar="HOST:PORT",
            envvar="TENCLASSES_COORDINATOR",
            help="The address at which the other processes reach rank 0. With it, --processes and "
            "--rank may come from Slurm's variables, and --rank from that of Kubernetes.",
        ),
        click.option(
            "--rank",
            type=click.IntRange(0),
            metavar="I",
            help="Which of the processes this is, from 0; rank 0 measures and writes.",
        ),
        click.option(
            "--processes",
            type=click.IntRange(1),
            metavar="N",
            help="Train in this many processes, each started with this command (only with JAX: "
            "KERAS_BACKEND=jax).",
        ),
    ):
        command = option(command)
    return command


@dataclass(frozen=True)
class Together:
    """What a command was told of its processes; None of it where there is one."""

    processes: int = 1
    rank: int = 0
    coordinator: str = ""

    @classmethod
    def asked(cls, processes: int | None, rank: int | None, coordinator: str | None) -> Together:
        """Return what the options say, or the environment where they say nothing.

        Raises:
            click.UsageError: they do not go together.
        """
        # Without it only our own: a training by itself within a job of Slurm is one by itself.
        known = None if coordinator else 1
        processes = _number(_SIZES[:known]) if processes is None else processes
        rank = _number(_RANKS[:known]) if rank is None else rank
        if processes is None:
            if coordinator:
                raise click.UsageError("--coordinator needs --processes: how many are there?")
            if rank is not None:
                raise click.UsageError("--rank needs --processes: how many are there?")
            return cls()
        if processes < 1:
            raise click.UsageError(f"--processes must be at least 1, not {processes}.")
        if processes == 1 and not rank:
            return cls()
        if rank is None:
            raise click.UsageError(
                f"Which of the {processes} processes is this? --rank 0 to {processes - 1}."
            )
        if not 0 <= rank < processes:
            ranks = f"from 0 to {processes - 1} with {processes} processes"
            raise click.UsageError(
                f"--rank must be {ranks if processes > 1 else '0 with one process'}, not {rank}."
            )
        host_and_port = re.fullmatch(r"[^\s:]+:(\d{1,5})", coordinator or "", re.ASCII)
        if not host_and_port or not 0 < int(host_and_port[1]) < 65_536:
            raise click.UsageError(
                "Where do the processes meet? --coordinator HOST:PORT, the same for all: the "
                "machine of rank 0, and a port from 1 to 65535 that is free there."
            )
        return cls(processes, rank, coordinator or "")

    @property
    def helps(self) -> bool:
        """Return whether another process leads."""
        return self.rank > 0

    @contextmanager
    def joined(self) -> Iterator[Team]:
        """Wait for the other processes, and train with them.

        Raises:
            click.ClickException: they did not come, or cannot train together.
        """
        from model_training.training.together.team import ALONE, Team, TeamError

        if self.processes == 1:
            yield ALONE
            return
        from model_training.training.learning.outcome import Interrupted
        from model_training.training.together.joining import join, leave_at_once

        team = Team(self.processes, self.rank)
        try:
            join(team, self.coordinator)
            yield team
        except Interrupted:
            raise  # All of them are.
        except BaseException as error:
            # JAX would wait for the others before this process may end, after it has said why.
            atexit.register(leave_at_once, 1)
            if isinstance(error, TeamError):
                raise click.ClickException(str(error)) from error
            raise


def _number(names: tuple[str, ...]) -> int | None:
    """Return the number that the first variable of these holds that is there."""
    found = next((os.environ[name] for name in names if os.environ.get(name)), None)
    try:
        return None if found is None else int(found)
    except ValueError as error:
        raise click.UsageError(f"{' or '.join(names)} is {found!r}, which is no number.") from error
