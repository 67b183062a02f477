"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class DamagedFile(Exception):
    """A file does not hold what it should; the message says in what way."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes `path`'s place in one step.

    On any exception the temporary file is removed and what was at `path` before stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept because writers such as NumPy and Keras choose their format by it.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _flush_to_disk(temporary)
        # mkstemp makes files that only their owner can read; the website may run as another user.
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it takes `path`'s place.

    On any exception the temporary folder is removed and the folder that was at `path` before, if
    any, stays whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    replaced = temporary.with_name(f"{temporary.name}-replaced")
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _flush_to_disk(file)
        temporary.chmod(0o755)
        if path.exists():
            os.replace(path, replaced)
        try:
            os.replace(temporary, path)
        except OSError:
            if replaced.exists():
                os.replace(replaced, path)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def remove_leftovers(path: Path, older_than: float = 0.0) -> None:
    """Remove what a killed process left beside `path` while it was writing it.

    Args:
        older_than: seconds since it was last written, where another process may be writing now.
    """
    # The names that `tempfile` makes for a file and a folder, and nothing else that somebody may
    # keep there.
    file = rf"\.{re.escape(path.stem)}-[a-z0-9_]{{8}}{re.escape(path.suffix)}"
    folder = rf"\.{re.escape(path.name)}-[a-z0-9_]{{8}}(-replaced)?"
    temporary = re.compile(f"{file}|{folder}")
    for other in path.parent.iterdir() if path.parent.is_dir() else ():
        if temporary.fullmatch(other.name):
            if time.time() - other.stat().st_mtime < older_than:
                continue
            if other.is_dir():
                shutil.rmtree(other, ignore_errors=True)
            else:
                other.unlink(missing_ok=True)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all of an `.npz` file.

    Raises:
        DamagedFile: it is not a whole one, or holds more than plain arrays.
        FileNotFoundError: there is none.
    """
    try:
        # NumPy leaves a file open that it cannot read, so it is opened, and closed, here.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise
    except Exception as error:  # A flipped bit makes zipfile, zlib and NumPy raise nearly anything.
        raise DamagedFile(str(error) or "it ends too soon") from error


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush_to_disk(path: Path) -> None:
    # Without this a power cut after the rename can leave an empty file under the final name.
    with open(path, "rb") as file:
        os.fsync(file.fileno())
