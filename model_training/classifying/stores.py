"""Pictures in object stores: `s3://`, `gs://`, and whatever else PyArrow's file systems reach.

They are the file systems that Ray's readers read with.  `file://` is one of them: on a cluster it
says that every machine has the folder, so that each reads for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, islice
from pathlib import PurePosixPath
from typing import Any

from model_training.classifying.addresses import Address

AT_ONCE = 32
"""Files that are asked for at a time: a store takes long to answer, and does not mind."""
CONNECT, ANSWER, TRIES = 5.0, 10.0, 3
"""Seconds for which S3 is waited for, and how often it is asked.  As an address alone sets it up,
PyArrow asks a server that says nothing thirty times, a hundred seconds long."""
GOOGLE = 10
"""Seconds for which GCS is asked again after a failure; PyArrow alone does so for many minutes."""

_UNCOPIED = re.compile(r"\b(tls_ca_dir_path|tls_verify_certificates|smart_defaults)=")
"""Parameters of S3 that a file system made of another's options does not have."""
_ERRORS = (OSError, ValueError, NotImplementedError)
"""What PyArrow raises."""


class StoreError(Exception):
    """An object store cannot be read; the message says what to do."""


class StoreGone(Exception):
    """A store that was read from does not answer any more, or refuses; the message says why."""


@dataclass(frozen=True)
class Stored:
    """A file or a folder in an object store.

    Args:
        address: what was asked for: it says which store that is, and how it is reached.  There may
            be credentials in it, so it is not printed; what `str` gives has none.
        path: of a file that was found there; empty of the address itself.
        stamp: size and time of that file, which change with what is in it; None where the store
            does not tell them.
    """

    address: str = field(repr=False)
    path: str = ""
    stamp: str | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        address = Address.parse(self.address)
        return address.of(self.path) if self.path else address.shown


def find_all_stored(places: Iterable[Stored]) -> Iterator[Stored]:
    """Yield the files under each of `places`, as `find_stored` does; several are asked for at once.

    Raises:
        StoreError: as there.
    """
    left = iter(places)
    with ThreadPoolExecutor(AT_ONCE) as asking:
        while some := list(islice(left, AT_ONCE)):
            if len(some) == 1:
                yield from find_stored(some[0])
            else:
                yield from chain.from_iterable(asking.map(lambda one: [*find_stored(one)], some))


def find_stored(place: Stored) -> Iterator[Stored]:
    """Yield the files under `place`, in the order of a folder on a disk, without hidden ones.

    Raises:
        StoreError: nothing is there, the store does not answer or refuses, or PyArrow is missing.
    """
    fs = _arrow()
    try:
        store, root = _opened(place.address)
        # A bucket itself is listed only: not everybody who may do that may ask about it.
        if "/" in root:
            found = store.get_file_info(root)
            if found.type == fs.FileType.File:
                yield Stored(place.address, found.path, _stamp(found))
                return
            if found.type == fs.FileType.NotFound:
                raise StoreError(f"There is nothing at {place}.")
        files = store.get_file_info(fs.FileSelector(root, recursive=True))
    except FileNotFoundError as error:
        raise StoreError(f"There is nothing at {place}.") from error
    except _ERRORS as error:
        raise StoreError(
            f"{place} cannot be read ({_why(place.address, error)}). Is the address right, and may "
            "this machine read it? Credentials come from where the store's own tools look for them."
        ) from error
    some = (one for one in files if one.type == fs.FileType.File)
    for one in sorted(some, key=lambda one: PurePosixPath(one.path).parts):
        inside = PurePosixPath(one.path).relative_to(root)
        if not any(part.startswith(".") for part in inside.parts):
            yield Stored(place.address, one.path, _stamp(one))


def _stamp(file: Any) -> str | None:
    return None if file.mtime_ns is None else f"{file.size}-{file.mtime_ns}"


def read_stored(file: Stored, most: int) -> bytes:
    """Return at most so many bytes of `file`.

    Raises:
        StoreError: the file cannot be read; its store answers.
        StoreGone: the store does not answer, or refuses: no other file can be read either.
    """
    for again in (True, False):
        try:
            store, _root = _opened(file.address)
            # Not unpacked, whatever its name ends in.
            with store.open_input_stream(file.path, compression=None) as opened:
                data: bytes = opened.read(most)
                return data
        except FileNotFoundError as error:
            raise StoreError("it is not there any more") from error
        except _ERRORS as error:
            if not again:
                raise StoreError(_why(file.address, error)) from error
            _ask(file.address)
    raise AssertionError("one of two tries returns or raises")


def _ask(address: str) -> None:
    """Find out whether it is the store, not one file, that cannot be read.

    Raises:
        StoreGone: it is the store.
    """
    try:
        store, root = _opened(address)
        store.get_file_info(root)
    except _ERRORS as error:
        raise StoreGone(
            f"{Stored(address)} cannot be read any more ({_why(address, error)})."
        ) from error


def _opened(address: str) -> tuple[Any, str]:
    """Return the file system of `address`, and the path in it."""
    parts = Address.parse(address)
    if parts.scheme in ("s3", "gs", "gcs"):
        if not parts.bucket:  # PyArrow would take every bucket.
            raise ValueError("it names no bucket")
        # One for all files of a bucket: to make one may take a question to the store.
        return _store(parts.root)[0], (parts.bucket + parts.path).rstrip("/")
    if parts.scheme == "file" and not parts.bucket:
        return _store("file:///")[0], parts.path.rstrip("/") or "/"
    store, path = _store(parts.whole)
    return store, path.rstrip("/") or path


@lru_cache(maxsize=16)
def _store(address: str) -> tuple[Any, str]:
    fs = _arrow()
    if address.startswith(("gs:", "gcs:")) and "retry_limit_seconds=" not in address:
        address += f"{'&' if '?' in address else '?'}retry_limit_seconds={GOOGLE}"
    store, path = fs.FileSystem.from_uri(address)
    if address.startswith("s3:") and not _UNCOPIED.search(address):
        # What an address cannot say: how long, and how often.
        _make, (options,) = store.__reduce__()
        store = fs.S3FileSystem(
            **options | {"connect_timeout": CONNECT, "request_timeout": ANSWER},
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=TRIES),
        )
    return store, path


def _arrow() -> Any:
    try:
        import pyarrow.fs
    except ImportError as error:
        raise StoreError(
            "An address of an object store needs PyArrow: `pip install -r "
            "requirements-parquet.txt` installs it."
        ) from error
    return pyarrow.fs


_LAST = re.compile(r"with a last message of (.+?)(?: error_info=|$)", re.DOTALL)
_REQUEST = re.compile(r" \(Request ID: .*?\)")


def _why(address: str, error: Exception) -> str:
    """Return the gist of what PyArrow says, which may go on for a page, without credentials."""
    text = Address.parse(address).hide(str(error))
    if last := _LAST.search(text):
        text = last[1]
    return _REQUEST.sub("", text.partition("\n")[0]).rstrip(". ")[:300]
