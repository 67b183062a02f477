"""What computing features in shares needs of the processes that do it together."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model_training.networks.frozen.pieces import FullDisk, full_disk_said


class Sharing(Protocol):
    """Processes that compute together, and which of them this one is.

    Every method has to be called by all of them, in the same order.
    """

    @property
    def processes(self) -> int:
        """Return their number."""

    @property
    def rank(self) -> int:
        """Return the number of this one, from 0."""

    def gather(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return what each process gives, (processes, ...)."""

    def any(self, flag: bool) -> bool:
        """Return whether any process says so."""

    def told(self, data: bytes | None, source: int = 0) -> bytes:
        """Return the `data` of process number `source`."""


class OneProcess:
    """A process that computes by itself."""

    processes, rank = 1, 0

    def gather(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return `values` as (1, ...)."""
        return values[None]

    def any(self, flag: bool) -> bool:
        """Return `flag`."""
        return flag

    def told(self, data: bytes | None, source: int = 0) -> bytes:
        """Return `data`."""
        assert data is not None
        return data


@contextmanager
def ending_together(
    team: Sharing, caught: tuple[type[Exception], ...], others: Callable[[str], Exception]
) -> Iterator[None]:
    """Let an error of one process end all of them, rather than leave them waiting.

    Args:
        caught: the errors for which that is so; all of the team have to ask.
        others: returns the error of the other processes, from the ranks of those with one.
    """
    problem: Exception | None = None
    try:
        yield
    except caught as error:
        problem = error
    if team.processes == 1 and problem is None:
        return
    failed = np.flatnonzero(team.gather(np.array(problem is not None)))
    if problem is not None:
        raise problem
    if len(failed):
        raise others(", ".join(str(rank) for rank in failed))


def failing_together(team: Sharing) -> AbstractContextManager[None]:
    """Let a failure of one process to write end all of them."""
    return ending_together(
        team,
        (FullDisk, OSError),
        lambda ranks: FullDisk(
            f"Rank {ranks} cannot keep what frozen layers say of the images; why, it says itself. "
            "Mend that, and start all processes with --resume."
        ),
    )


def is_first_in(folder: Path, team: Sharing) -> bool:
    """Return whether of the processes that see this very `folder` this is the one of lowest rank.

    Processes of one machine, or with a network's disk between them, share a folder; others have one
    each under the same name.

    Raises:
        FullDisk: there is no room for the file that says that a process is here.
        OSError: nothing can be written there.
    """
    if team.processes == 1:
        return True
    token = team.told(secrets.token_hex(8).encode() if team.rank == 0 else None).decode()
    names = [folder / f"{token}-{rank}.rank" for rank in range(team.processes)]
    try:
        with failing_together(team), full_disk_said(f"nothing fits into {folder}. Make room"):
            names[team.rank].touch()
        team.any(False)  # From here on all of them are there.
        first = next(rank for rank, name in enumerate(names) if name.exists())
        team.any(False)
    finally:
        names[team.rank].unlink(missing_ok=True)
    return first == team.rank
