"""A training in several processes: each takes the same steps, with its share of every batch.

Keras' own distribution API on JAX does it (`keras.distribution.DataParallel`): the variables are
copied to every process, gradients and batch statistics are those of the whole batch.  Whatever is
drawn is drawn for the whole batch before it is divided, so the result is that of one process but
for rounding.  Rank 0 leads: it alone writes anything.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_training.networks.frozen.sharing import ending_together

_FACT_BYTES = 16
RESUME = (
    "The state of the last epoch is kept: start all processes again with --resume, as many as you "
    "like."
)


class TeamError(Exception):
    """The processes cannot train together; the message says what to check."""


@dataclass(frozen=True)
class Team:
    """The processes of a training, and which of them this one is.

    Args:
        processes: their number.
        rank: the number of this one, from 0; 0 leads.
    """

    processes: int = 1
    rank: int = 0

    @property
    def leads(self) -> bool:
        """Return whether this process writes what is to be written."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return which of the `count` images of a batch are this process' own."""
        part = count // self.processes
        return slice(self.rank * part, (self.rank + 1) * part)

    def gather(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return what each process gives, (processes, ...); all of them have to ask."""
        if self.processes == 1:
            return values[np.newaxis]
        from jax.experimental import multihost_utils

        with lost_processes_named():
            found: NDArray[Any] = np.asarray(multihost_utils.process_allgather(values))
        return found

    def any(self, flag: bool) -> bool:
        """Return whether any process says so; all of them have to ask."""
        return self.processes > 1 and bool(self.gather(np.array(flag)).any()) or flag

    def told(self, data: bytes | None, source: int = 0) -> bytes:
        """Return the `data` of process number `source`; all of them have to ask."""
        if self.processes == 1:
            assert data is not None
            return data
        from jax.experimental import multihost_utils

        with lost_processes_named():
            mine, tells = data or b"", self.rank == source

            def tell(values: NDArray[Any]) -> NDArray[Any]:
                return np.asarray(multihost_utils.broadcast_one_to_all(values, is_source=tells))

            length = int(tell(np.array(len(mine), np.int32)))
            content = np.frombuffer(mine, np.uint8) if tells else np.zeros(length, np.uint8)
            return tell(content).astype(np.uint8).tobytes()

    def check_batch(self, size: int) -> None:
        """Refuse a batch that cannot be divided.

        Raises:
            TeamError: it cannot.
        """
        if size % self.processes:
            raise TeamError(
                f"A batch of {size} images cannot be divided among {self.processes} processes "
                "evenly. Choose a --batch-size that can, or another number of processes."
            )

    def check_same(self, facts: Mapping[str, str]) -> None:
        """Check that all processes are about to do the same; all of them have to ask.

        Args:
            facts: what must be the same, by what it is called.

        Raises:
            TeamError: something is not.
        """
        digests = [
            hashlib.sha256(value.encode()).digest()[:_FACT_BYTES] for value in facts.values()
        ]
        found = self.gather(np.frombuffer(b"".join(digests), np.uint8))
        others = found.reshape(self.processes, len(facts), _FACT_BYTES) != found[0].reshape(
            len(facts), _FACT_BYTES
        )
        for place, name in enumerate(facts):
            ranks = np.flatnonzero(others[:, place].any(axis=1))
            if len(ranks):
                which = ", ".join(str(rank) for rank in ranks)
                raise TeamError(
                    f"Rank {which} has other {name} than rank 0. All processes need the same "
                    "command, the same images and the same versions."
                )

    def beginning(self) -> contextlib.AbstractContextManager[None]:
        """Let what keeps one process from beginning end all of them; all of them have to ask.

        The others raise a TeamError.
        """
        return ending_together(
            self,
            (Exception,),
            lambda ranks: TeamError(
                f"Rank {ranks} cannot begin; why, it says itself. Mend that, and start all "
                "processes again."
            ),
        )


ALONE = Team()


@contextlib.contextmanager
def lost_processes_named() -> Iterator[None]:
    """Turn what JAX raises when another process is gone into a sentence."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if not _is_loss(error):
            raise
        raise TeamError(
            "Another process of this training no longer answers, so it cannot go on "
            f"({first_line(error)}). {RESUME}"
        ) from error


def first_line(error: Exception) -> str:
    """Return the first line of what `error` says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _is_loss(error: Exception) -> bool:
    said = str(error)
    words = ("Gloo", "gloo", "Connection", "UNAVAILABLE", "heartbeat", "DEADLINE", "coordination")
    return any(word in said for word in words)
