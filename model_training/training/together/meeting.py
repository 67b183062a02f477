"""The processes of a training meet at rank 0, before anything is asked of JAX.

JAX ends a process with a stack trace where another does not come, or was told another number of
them.  Here each says over a connection who it is, and all are told whether they begin.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import Any

from model_training.training.together.team import Team, TeamError

_GREETING = b"model_training: here all processes of a training meet\n"
_BEGIN = "begin"
_SECONDS_TO_CONNECT, _SECONDS_TO_GREET, _SECONDS_TO_TELL, _PAUSE = 5.0, 10.0, 5.0, 0.2

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def meet(team: Team, coordinator: str, seconds: float) -> None:
    """Wait until all processes of `team` are at `coordinator`.

    Raises:
        TeamError: they did not all come in time, or were not started alike.
    """
    told = asyncio.run((_lead if team.leads else _come)(team, coordinator, seconds))
    if told != _BEGIN:
        raise TeamError(told)


async def _lead(team: Team, coordinator: str, seconds: float) -> str:
    """Be rank 0, to which the others come; return what all are told."""
    meeting = _Meeting(team)
    port = int(coordinator.rpartition(":")[2])
    try:
        server = await asyncio.start_server(meeting.receive, port=port)
    except OSError as error:
        raise TeamError(
            f"Rank 0 cannot listen at port {port} of its machine ({error.strerror}). Check that no "
            "other program has it, nor another training, or give all processes another port."
        ) from error
    try:
        # JAX, too, reaches rank 0 at this address from rank 0 itself.
        own = asyncio.create_task(_come(team, coordinator, seconds))
        await asyncio.wait({own, meeting.told}, timeout=seconds + _PAUSE)
        if own.done():  # At another machine's rank 0, or at none, if nothing was told here.
            problem = own.exception()
            meeting.tell(own.result() if problem is None else str(problem))
        meeting.tell(meeting.who_is_missing(coordinator, seconds))
    finally:
        server.close()  # JAX listens here next.
    await meeting.over(own)
    return meeting.told.result()


class _Meeting:
    """Who is there, as rank 0 knows it, and what all are told in the end."""

    def __init__(self, team: Team) -> None:
        self._team = team
        self._there: set[int] = set()
        self._talks: set[asyncio.Task[None]] = set()
        self.told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Ask one that came who it is, and tell it what all are told."""
        # It may be gone at any moment, and it may be none of ours.
        with contextlib.suppress(OSError, ValueError), contextlib.closing(writer):
            writer.write(_GREETING)
            said = re.fullmatch(rb"(\d{1,9}) of (\d{1,9})\n", await reader.readline())
            if said is None:
                return
            rank, processes = map(int, said.groups())
            task = asyncio.current_task()
            assert task is not None
            self._talks.add(task)
            self._enter(rank, processes)
            gone = asyncio.create_task(reader.read(1))
            either: set[asyncio.Future[Any]] = {self.told, gone}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self.told.done():
                gone.cancel()
                writer.write(f"{self.told.result()}\n".encode())
                await writer.drain()
            else:
                self._there.discard(rank)  # It may come again.

    def tell(self, sentence: str) -> None:
        """Tell all `sentence`, unless they were told another."""
        if not self.told.done():
            self.told.set_result(sentence)

    def who_is_missing(self, coordinator: str, seconds: float) -> str:
        """Return a sentence about the ranks that did not come."""
        missing = [str(rank) for rank in range(self._team.processes) if rank not in self._there]
        return (
            f"Rank {', '.join(missing)} of {self._team.processes} processes did not come to "
            f"{coordinator} within {seconds:.0f} s. {self._check}"
        )

    async def over(self, own: asyncio.Task[str]) -> None:
        """Wait until all have been told."""
        if self._talks:
            await asyncio.wait(self._talks, timeout=_SECONDS_TO_TELL)
        own.cancel()
        await asyncio.gather(own, return_exceptions=True)

    def _enter(self, rank: int, processes: int) -> None:
        if processes != self._team.processes:
            self.tell(
                f"Rank {rank} was started with --processes {processes}, and rank 0 with "
                f"{self._team.processes}. {self._check}"
            )
        elif rank in self._there:
            self.tell(f"Two processes were started as rank {rank}. {self._check}")
        self._there.add(rank)
        if len(self._there) == self._team.processes:
            self.tell(_BEGIN)

    @property
    def _check(self) -> str:
        return (
            f"Check that each was started with its own --rank, 0 to {self._team.processes - 1}, "
            "and the same --processes and --coordinator, and that none has ended."
        )


async def _come(team: Team, coordinator: str, seconds: float) -> str:
    """Go to rank 0, and return what it tells all."""
    reader, writer = await _reach(coordinator, seconds)
    told = b""
    with contextlib.suppress(OSError), contextlib.closing(writer):
        writer.write(f"{team.rank} of {team.processes}\n".encode())
        # Rank 0 may have begun to wait much later.
        async with asyncio.timeout(seconds + _SECONDS_TO_TELL):
            told = await reader.readline()
    if not told.endswith(b"\n"):
        raise TeamError(
            f"Rank 0 ended at {coordinator} before all processes had come. Look what it says, and "
            "start all of them again."
        )
    return told.decode().strip()


async def _reach(coordinator: str, seconds: float) -> _Connection:
    """Connect to rank 0, which may not have been started yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await _greeted(coordinator, max(_PAUSE, deadline - time.monotonic()))
        except (OSError, UnicodeError) as error:  # The latter of a host that can be no name.
            if time.monotonic() + _PAUSE > deadline:
                raise TeamError(
                    f"Nobody answered at {coordinator} for {seconds:.0f} s "
                    f"({error or 'no connection'}). Check that rank 0 is running there, that the "
                    "name and the port are right, and that no firewall is between."
                ) from error
        await asyncio.sleep(_PAUSE)


async def _greeted(coordinator: str, seconds: float) -> _Connection:
    host, _, port = coordinator.rpartition(":")
    async with asyncio.timeout(min(_SECONDS_TO_CONNECT, seconds)):
        reader, writer = await asyncio.open_connection(host, int(port))
    said = None
    with contextlib.suppress(TimeoutError, ValueError):
        async with asyncio.timeout(min(_SECONDS_TO_GREET, seconds)):
            said = await reader.readline()
    if said == _GREETING:
        return reader, writer
    writer.close()
    if said == b"":
        raise ConnectionError("it hung up")
    raise TeamError(
        f"What answers at {coordinator} is another program, or a training that has begun already. "
        "Check the name and the port, or give all processes another port."
    )
