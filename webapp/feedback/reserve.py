"""Room that is set aside beside a database file, so that deleting works on a full disk.

SQLite writes what it is about to change before it changes it.  To delete needs free room too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

RESERVE_BYTES = 6 * 1024 * 1024
"""Enough to delete some of the largest photos at once (`store.AT_ONCE`), twice over."""


class Reserve:
    """A file of random bytes, which no file system can store in less room."""

    def __init__(self, database: Path) -> None:
        self._file = database.with_name(f"{database.name}-reserve")
        self._users, self._counting = 0, Lock()

    def make(self) -> None:
        """Set the room aside, or nothing where there is not as much, or while it is in use."""
        with self._counting:
            if not self._users:
                self._make()

    @contextmanager
    def released(self) -> Iterator[None]:
        """Give the room back for a moment."""
        with self._counting:
            self._users += 1
            with suppress(OSError):
                self._file.unlink(missing_ok=True)
        try:
            yield
        finally:
            with self._counting:
                self._users -= 1
            self.make()

    def _make(self) -> None:
        with suppress(OSError):
            if self._file.stat().st_size == RESERVE_BYTES:
                return
        try:
            opened = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(opened, "wb") as file:
                file.write(os.urandom(RESERVE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            # Half a reserve would only take room away from the photos.
            with suppress(OSError):
                self._file.unlink(missing_ok=True)
