"""Rows on disk while they are made: a run that is killed goes on, and no row is lost or doubled.

A journal lies beside the file that is asked for, as `NAME.rows`.  Its first line says what the run
is; then comes a line for each row.  A batch is with the system as soon as it was judged, so that a
kill takes none, and on the disk within a second, so that a power cut takes a second's work, which
is done again.  A last line that was cut off is cut off whole.

A row holds the stamp of its file.  The run that goes on keeps the rows whose files are asked for
now and are as they were; what else stands in the journal is in no table.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from model_training.classifying.rows import Row

EVERY = 1.0
"""Seconds after which what was written is on the disk: to wait for it takes milliseconds."""


class JournalError(Exception):
    """A journal cannot be used; the message says what to do."""


class Journal:
    """The rows that are done of the run that makes `output`.

    `done` has the names of the pictures that have one, and where its line begins; of several lines
    of one name the last counts.

    Args:
        run: what decides what the rows say, such as the digests of model and judge: a journal of
            another run is not gone on with.
        restart: throw an earlier journal away, once there is a row to write.

    Raises:
        JournalError: there is one of another run, or another process is writing it now.
        OSError: it cannot be written.
    """

    def __init__(self, output: Path, run: dict[str, str], *, restart: bool = False) -> None:
        self.path = output.with_name(f"{output.name}.rows")
        self.done: dict[str, int] = {}
        self._stamps: dict[str, str | None] = {}
        self._synced, self._on_disk, self._first = 0.0, 0, 0
        self._header = json.dumps(run).encode() + b"\n"
        self._file = self._locked()
        try:
            if not restart:
                self._go_on()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # While it is locked: nobody has begun to write it.
        if os.fstat(self._file.fileno()).st_size <= self._first:
            self.remove()
        self._file.close()

    def keep(self, stamps: Mapping[str, str | None]) -> None:
        """Keep, of the rows of an earlier run, those of pictures that are what they were.

        Args:
            stamps: of each picture that is asked for now, by its name.
        """
        self.done = {
            name: at
            for name, at in self.done.items()
            if (stamp := stamps.get(name)) is not None and stamp == self._stamps.get(name)
        }
        self._stamps.clear()

    def add(self, rows: Sequence[Row]) -> None:
        """Write `rows`; a kill does not take them any more when this returns.

        Raises:
            OSError: they cannot be written; then none of them is.
        """
        if not self._first:
            self._begin()
        at = start = self._file.seek(0, os.SEEK_END)
        lines = [f"{row.to_json()}\n".encode() for row in rows]
        try:
            self._write(b"".join(lines))
        except OSError:
            # Half a batch, on a disk that is full, is none.
            self._file.truncate(start)
            raise
        if time.monotonic() - self._synced >= EVERY:
            self.sync()
        for row, line in zip(rows, lines, strict=True):
            self.done[row.file] = at
            at += len(line)

    def sync(self) -> None:
        """Wait until all that was written is on the disk.

        Raises:
            OSError: it cannot be; then what was not there before is taken back.
        """
        try:
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(self._on_disk)
            raise
        self._on_disk, self._synced = self._file.seek(0, os.SEEK_END), time.monotonic()

    def rows(self, names: Iterable[str]) -> Iterator[Row]:
        """Yield the rows of the pictures called `names`, in that order.

        Raises:
            KeyError: one has none.
        """
        with self.path.open("rb") as file:
            for name in names:
                if file.tell() != (at := self.done[name]):
                    file.seek(at)
                yield Row.from_json(file.readline().decode())

    def remove(self) -> None:
        """Remove the file: its rows are elsewhere now."""
        self.path.unlink(missing_ok=True)

    def _locked(self) -> io.FileIO:
        while True:
            # Without a buffer, which would keep, and write later, what a full disk did not take.
            file = io.FileIO(self.path, "a+")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.close()
                raise JournalError(
                    f"Another run is writing {self.path} now. Wait for it, or name another "
                    "--output."
                ) from error
            if os.fstat(file.fileno()).st_nlink:
                return file
            # The run that wrote it removed it between these two steps.
            file.close()

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]

    def _begin(self) -> None:
        self._file.truncate(0)
        self._write(self._header)
        self._on_disk = self._first = len(self._header)

    def _go_on(self) -> None:
        with self.path.open("rb") as file:
            first = file.readline()
            if not first.endswith(b"\n"):
                return
            if first != self._header:
                raise JournalError(
                    f"{self.path} was begun by a run with another model or other settings. "
                    "Repeat that command to finish it, or begin anew with --restart."
                )
            self._first = len(first)
            self._on_disk = self._read(file)
        self._file.truncate(self._on_disk)

    def _read(self, lines: Iterable[bytes]) -> int:
        """Read what the rows are of, and return where the last whole one ends."""
        at = self._first
        for line in lines:
            if not line.endswith(b"\n"):
                break
            try:
                row = Row.from_json(line.decode())
            except ValueError:
                break
            self.done[row.file], self._stamps[row.file] = at, row.stamp
            at += len(line)
        return at
