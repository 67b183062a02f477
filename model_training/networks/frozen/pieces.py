"""Features on disk: whole, or in part while they are computed."""

from __future__ import annotations

import errno
import io
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_training.files import whole_file

SUFFIXES = (".npy", ".seconds", ".part", ".progress", ".lock", ".rank")


class FullDisk(Exception):
    """The disk has no room for features; the message says how much they need.

    How to go on when there is room is another thing in every command.
    """


@contextmanager
def full_disk_said(said: str) -> Iterator[None]:
    """Turn the error of a full disk into one that says so, and `said`.

    Raises:
        FullDisk: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise FullDisk(f"The disk is full: {said}.") from error


class Pieces:
    """The features of one view, which grow piece by piece until they are whole.

    In part they are a whole `.npy` file but for its end, with a count of the images that are safely
    in it beside it, so that whatever a killed process or a full disk left behind the last whole
    piece is written over.

    Args:
        path: where the features are put when all are there.
        shape: of all of them, (count, ...).

    `done` is the number of images whose features are kept, `seconds` what they took to compute, and
    `whole` whether all are there and in place.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path, self.shape, self._count = path, shape, shape[0]
        self._partial, self._progress = path.with_suffix(".part"), path.with_suffix(".progress")
        self._header = _header(shape)
        self._row = 2 * math.prod(shape[1:])
        self.look()

    def look(self) -> None:
        """See what is kept by now."""
        self.whole = self.open() is not None
        self.done, self.seconds = (self._count, self.took()) if self.whole else (0, 0.0)
        if self.whole:
            return
        try:
            told = json.loads(self._progress.read_text(encoding="utf-8"))
            done, seconds = int(told["images"]), float(told["seconds"])
            enough = self._partial.stat().st_size >= len(self._header) + done * self._row
        except (OSError, ValueError, KeyError, TypeError):  # Missing or damaged: begun anew.
            return
        if enough and 0 <= done <= self._count:
            self.done, self.seconds = done, seconds

    def open(self) -> NDArray[np.float16] | None:
        """Return the features, read from disk as they are used; None if they are not whole."""
        try:
            self._read_seconds()
            stored: NDArray[np.float16] = np.load(self.path, mmap_mode="r")
        except (OSError, EOFError, ValueError):  # Missing, empty or damaged: computed again.
            return None
        return stored if len(stored) == self._count else None

    def took(self) -> float:
        """Return the seconds that computing them took, by whomever; 0 if they are not whole."""
        try:
            return self._read_seconds()
        except (OSError, ValueError):
            return 0.0

    def _read_seconds(self) -> float:
        return float(self.path.with_suffix(".seconds").read_text(encoding="utf-8"))

    def rows(self, start: int, stop: int) -> NDArray[np.float16]:
        """Return the features of the images from `start` to `stop`, which have to be kept."""
        path = self.path if self.whole else self._partial
        with path.open("rb") as file:
            file.seek(len(self._header) + start * self._row)
            content = file.read((stop - start) * self._row)
        return np.frombuffer(content, np.float16).reshape(stop - start, *self.shape[1:])

    def append(self, features: NDArray[np.float16], seconds: float) -> None:
        """Keep the features of the next images, which took so long to compute.

        Raises:
            FullDisk: there is no room; what was kept before stays.
            OSError: it cannot be written.
        """
        end = len(self._header) + self.done * self._row
        with full_disk_said(
            f"what frozen layers say about {self.done:,} of {self._count:,} images is kept in "
            f"{self.path.parent}. Make room for {self.lacking() / 1e9:.1f} GB more"
        ):
            # Written, not mapped: storing into a mapped file kills the process on a full disk.
            with self._partial.open("r+b" if self.done else "w+b") as file:
                if not self.done:
                    file.write(self._header)
                file.truncate(end)
                file.seek(end)
                file.write(np.ascontiguousarray(features).tobytes())
                file.flush()
                os.fsync(file.fileno())
            told = {"images": self.done + len(features)}
            self._write_progress(told | {"seconds": round(self.seconds + seconds, 1)})
        self.done += len(features)
        self.seconds += seconds

    def finish(self) -> None:
        """Put the whole file into place.

        Raises:
            FullDisk: there is no room to say that it is whole; what was kept before stays.
            OSError: it cannot be written.
        """
        with full_disk_said(
            f"what frozen layers say about all {self._count:,} images is kept in "
            f"{self.path.parent}, but not a word more fits there. Make room"
        ):
            with whole_file(self.path.with_suffix(".seconds")) as temporary:
                temporary.write_text(f"{self.seconds:.1f}", encoding="utf-8")
            os.replace(self._partial, self.path)
        self._progress.unlink(missing_ok=True)
        self.whole = True

    def lacking(self) -> int:
        """Return how many bytes are still to be written."""
        return (self._count - self.done) * self._row

    def _write_progress(self, told: dict[str, float]) -> None:
        with whole_file(self._progress) as temporary:
            temporary.write_text(json.dumps(told), encoding="utf-8")


def kept(folder: Path) -> list[Path]:
    """Return the files of features in `folder`, whole and in part."""
    return [path for path in sorted(folder.glob("*")) if path.suffix in SUFFIXES]


def _header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    told = {"descr": "<f2", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, told)
    return buffer.getvalue()
