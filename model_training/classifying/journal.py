"""Rows on disk while they are made: a run that is killed goes on, and no row is lost or doubled.

A journal lies beside the file that is asked for, as `NAME.rows`.  Its first line says what the run
is; then comes a line for each row.  A batch is with the system before the next one is begun, so
that a kill takes none, and on the disk within a second, so that a power cut takes a second's work,
which is done again.  A last line that was cut off is cut off whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from model_training.classifying.rows import Row

EVERY = 1.0
"""Seconds after which what was written is on the disk: to wait for it takes milliseconds."""


class JournalError(Exception):
    """A journal cannot be used; the message says what to do."""


class Journal:
    """The rows that are done of the run that makes `output`.

    `done` are the names of the pictures that have one.

    Args:
        run: what decides what the rows say, such as the digests of model and judge: a journal of
            another run is not gone on with.
        restart: throw an earlier journal away.

    Raises:
        JournalError: there is one of another run, or another process is writing it now.
        OSError: it cannot be written.
    """

    def __init__(self, output: Path, run: dict[str, str], *, restart: bool = False) -> None:
        self.path = output.with_name(f"{output.name}.rows")
        self.done: set[str] = set()
        self._synced, self._on_disk = 0.0, 0
        self._file: BinaryIO = self.path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise JournalError(
                f"Another run is writing {self.path} now. Wait for it, or name another --output."
            ) from error
        try:
            if restart:
                self._file.truncate(0)
            self._begin(run)
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
        self._file.close()

    def add(self, rows: Sequence[Row]) -> None:
        """Write `rows`; a kill does not take them any more when this returns.

        Raises:
            OSError: they cannot be written; then none of them is.
        """
        start = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write("".join(f"{row.to_json()}\n" for row in rows).encode())
            self._file.flush()
        except OSError:
            # Half a batch, on a disk that is full, is none.
            self._file.truncate(start)
            raise
        if time.monotonic() - self._synced >= EVERY:
            self.sync()
        self.done.update(row.file for row in rows)

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
        self._on_disk, self._synced = self._file.tell(), time.monotonic()

    def rows(self) -> Iterator[Row]:
        """Yield every row, in order."""
        with self.path.open("rb") as file:
            file.readline()
            for line in file:
                yield Row.from_json(line.decode())

    def remove(self) -> None:
        """Remove the file: its rows are elsewhere now."""
        self.path.unlink(missing_ok=True)

    def _begin(self, run: dict[str, str]) -> None:
        self._file.seek(0)
        first = self._file.readline()
        if not first.endswith(b"\n"):
            self._file.truncate(0)
            self._file.write(json.dumps(run).encode() + b"\n")
            self._file.flush()
            self._on_disk = self._file.tell()
            return
        if _header(first) != run:
            raise JournalError(
                f"{self.path} was begun by a run with another model or other settings. Repeat "
                "that command to finish it, or begin anew with --restart."
            )
        whole = self._file.tell()
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            try:
                self.done.add(Row.from_json(line.decode()).file)
            except ValueError:
                break
            whole += len(line)
        self._file.truncate(whole)
        self._on_disk = whole


def _header(line: bytes) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None
