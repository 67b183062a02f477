"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MOST_ARRAYS = 10_000
"""In one file: a training's state has some thousands."""


class DamagedFile(Exception):
    """A file does not hold what it should; the message says in what way."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes `path`'s place in one step.

    On any exception the temporary file is removed and what was at `path` before stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _file_beside(path)
    try:
        yield temporary
        move_into_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raise now what `whole_file` would raise in the end, such as of a name that is too long.

    Raises:
        OSError: there can be no file beside `path`.
    """
    _file_beside(path).unlink()


def _file_beside(path: Path) -> Path:
    # The suffix is kept because writers such as NumPy and Keras choose their format by it.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    return Path(name)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it takes `path`'s place.

    On any exception the temporary folder is removed and the folder that was at `path` before, if
    any, stays whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        yield temporary
        move_into_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def move_into_place(made: Path, path: Path) -> None:
    """Move the file or folder `made` to `path` on the same disk, for what is there, if anything.

    On any exception what was at `path` before is there whole.
    """
    files = [file for file in made.rglob("*") if file.is_file()] if made.is_dir() else [made]
    for file in files:
        _flush_to_disk(file)
    # `tempfile` makes what only its owner can read; the website may run as another user.
    made.chmod(0o755 if made.is_dir() else 0o644)
    if not (made.is_dir() and path.exists()):
        os.replace(made, path)
        return
    # A folder with something in it cannot be replaced in one step.
    replaced = made.with_name(f"{made.name}-replaced")
    os.replace(path, replaced)
    try:
        os.replace(made, path)
    except BaseException:  # Ctrl-C too.
        os.replace(replaced, path)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def put_back(path: Path) -> None:
    """Undo a `move_into_place` of a folder that was killed between its two steps, if one was."""
    name = re.compile(rf"\.{re.escape(path.name)}-[a-z0-9_]{{8}}-replaced")
    if path.exists() or not path.parent.is_dir():
        return
    if left := [one for one in path.parent.iterdir() if name.fullmatch(one.name)]:
        os.replace(max(left, key=lambda one: one.stat().st_mtime), path)


def remove_leftovers(path: Path, older_than: float = 0.0) -> None:
    """Remove what a killed process left beside `path` while it was writing it.

    What was at `path` before is put back where the process had moved it aside, and no more.

    Args:
        older_than: seconds since it was last written, where another process may be writing now.
    """
    # The names that `tempfile` makes for a file and a folder, and nothing else that somebody may
    # keep there.
    file = rf"\.{re.escape(path.stem)}-[a-z0-9_]{{8}}{re.escape(path.suffix)}"
    folder = rf"\.{re.escape(path.name)}-[a-z0-9_]{{8}}(-replaced)?"
    temporary = re.compile(f"{file}|{folder}")
    put_back(path)
    for other in path.parent.iterdir() if path.parent.is_dir() else ():
        if temporary.fullmatch(other.name):
            if time.time() - other.stat().st_mtime < older_than:
                continue
            if other.is_dir():
                shutil.rmtree(other, ignore_errors=True)
            else:
                other.unlink(missing_ok=True)


def read_arrays(path: Path, most_bytes: int = 2**33) -> dict[str, NDArray[Any]]:
    """Read all of an `.npz` file.

    Args:
        most_bytes: the arrays may take together, unpacked; looked at before anything is unpacked.

    Raises:
        DamagedFile: it is not a whole one, holds more than plain arrays, or too much.
        FileNotFoundError: there is none.
    """
    try:
        # NumPy leaves a file open that it cannot read, so it is opened, and closed, here.
        with path.open("rb") as file:
            _check_sizes(file, most_bytes)
            with np.load(file, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise
    except DamagedFile:
        raise
    except Exception as error:  # A flipped bit makes zipfile, zlib and NumPy raise nearly anything.
        raise DamagedFile(str(error) or "it ends too soon") from error


def _check_sizes(file: BinaryIO, most_bytes: int) -> None:
    # What a packed array says of its size is believed by NumPy, which takes the memory at once.
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if len(entries) > MOST_ARRAYS or sum(one.file_size for one in entries) > most_bytes:
            raise DamagedFile(f"it would unpack to more than {most_bytes / 1e6:,.0f} MB")
        for entry in entries:
            with archive.open(entry) as packed:
                version = np.lib.format.read_magic(packed)
                read_header = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, _order, kind = read_header(packed)
            if kind.hasobject or math.prod(shape) * kind.itemsize > entry.file_size:
                raise DamagedFile(f"{entry.filename} is not the array that it says")
    file.seek(0)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush_to_disk(path: Path) -> None:
    # Without this a power cut after the rename can leave an empty file under the final name.
    with open(path, "rb") as file:
        os.fsync(file.fileno())
