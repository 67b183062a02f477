"""Pictures in object stores: `s3://`, `gs://`, and whatever else PyArrow's file systems reach.

They are the file systems that Ray's readers read with.  `file://` is one of them: on a cluster it
says that every machine has the folder, so that each reads for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://")


class StoreError(Exception):
    """An object store cannot be read; the message says what to do."""


@dataclass(frozen=True)
class Stored:
    """A file or a folder in an object store.

    Args:
        address: what was asked for: it says which store that is, and how it is reached.
        path: of a file that was found there; empty of the address itself.
    """

    address: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.address.partition('://')[0]}://{self.path}" if self.path else self.address


def is_address(text: str) -> bool:
    """Return whether `text` is an address, and no path of this machine."""
    return _ADDRESS.match(text) is not None


def find_stored(place: Stored) -> Iterator[Stored]:
    """Yield the files under `place`, in the order of their names; hidden ones are left out.

    Raises:
        StoreError: nothing is there, the store does not answer or refuses, or PyArrow is missing.
    """
    store, root = _opened(place.address)
    fs = _arrow()
    try:
        found = store.get_file_info(root)
        if found.type == fs.FileType.File:
            yield Stored(place.address, found.path)
            return
        if found.type == fs.FileType.NotFound:
            raise StoreError(f"There is nothing at {place}.")
        files = store.get_file_info(fs.FileSelector(root, recursive=True))
    except OSError as error:
        raise StoreError(
            f"{place} cannot be listed ({_why(error)}). Is the address right, and may this machine "
            "read it? Credentials come from where the store's own tools look for them."
        ) from error
    for path in sorted(one.path for one in files if one.type == fs.FileType.File):
        parts = PurePosixPath(path).relative_to(root).parts
        if not any(part.startswith(".") for part in parts):
            yield Stored(place.address, path)


def read_stored(file: Stored, most: int) -> bytes:
    """Return at most so many bytes of `file`.

    Raises:
        StoreError: the store is not to be reached from here.
        OSError: the file cannot be read.
    """
    store, _root = _opened(file.address)
    try:
        with store.open_input_stream(file.path) as opened:
            data: bytes = opened.read(most)
            return data
    except OSError as error:
        raise StoreError(_why(error)) from error


@lru_cache(maxsize=16)
def _opened(address: str) -> tuple[Any, str]:
    """Return the file system of `address`, and the path in it."""
    try:
        store, path = _arrow().FileSystem.from_uri(address)
    except (ValueError, OSError) as error:
        raise StoreError(f"{address} is no address that can be read ({_why(error)}).") from error
    return store, path.rstrip("/") or path


def _arrow() -> Any:
    try:
        import pyarrow.fs
    except ImportError as error:
        raise StoreError(
            "An address of an object store needs PyArrow: `pip install -r "
            "requirements-parquet.txt` installs it."
        ) from error
    return pyarrow.fs


def _why(error: Exception) -> str:
    """Return the first sentence of what PyArrow says, which may go on for a page."""
    return str(error).partition("\n")[0].rstrip(". ")[:200]
