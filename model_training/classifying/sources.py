"""Find pictures to classify, in files, folders, archives and object stores, unpacking nothing."""

from __future__ import annotations

import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import cast

from model_training.classifying.stores import (
    Stored,
    StoreError,
    StoreGone,
    find_all_stored,
    read_stored,
)

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")

_AT_ONCE = 2**20
"""Bytes; more memory is not set aside before it is known what is read."""


class SourceError(Exception):
    """A path leads to nothing that can be classified; the message says what to do."""


class Unreadable(Exception):
    """A picture cannot be read, though it was found; the message says why."""


@dataclass(frozen=True)
class Picture:
    """A picture that was found.

    Args:
        name: its path; of a picture in an archive, the archive's path, `!/`, and its path in there.
        read: returns at most so many of its bytes.
        ordered: whether it has to be read before the next one is asked for, as in an archive.

    Raises:
        Unreadable: by `read`.
        SourceError: by `read`, where no other picture of that place can be read either.
    """

    name: str
    read: Callable[[int], bytes]
    ordered: bool = False


Place = Path | Stored
"""A file, a folder or an archive, or what an address such as `s3://bucket/photos` leads to."""


def find_pictures(places: Iterable[Place]) -> Iterator[Picture]:
    """Yield what is to be classified in `places`, in order; files of a folder by their names.

    Hidden files and folders are left out, and so are links to folders, which may lead in circles.
    Every other file counts as a picture: whether it is one is told by its bytes.

    Raises:
        SourceError: a place is not there, an archive is damaged, or a file in one has a name that
            leads out of it.
    """
    for place in find_files(places):
        yield from pictures_of(place)


def find_files(places: Iterable[Place]) -> Iterator[Place]:
    """Yield each file and each archive of `places`, in order, without looking into any.

    Raises:
        SourceError: a place is not there.
    """
    for stored, some in groupby(places, lambda place: isinstance(place, Stored)):
        if stored:
            try:
                yield from find_all_stored(cast(Iterator[Stored], some))
            except StoreError as error:
                raise SourceError(str(error)) from error
        else:
            yield from _on_disk(cast(Iterator[Path], some))


def _on_disk(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from _in_folder(place)
        elif not place.exists():
            raise SourceError(f"There is no file or folder {place}.")
        else:
            yield place


def pictures_of(file: Place) -> Iterator[Picture]:
    """Yield the picture that `file` is, or those that it holds, being an archive.

    Raises:
        SourceError: the archive is damaged, or a file in it has a name that leads out of it.
    """
    if is_archive(file):
        assert isinstance(file, Path)
        yield from _in_archive(file)
    else:
        yield Picture(str(file), partial(read_file, file))


def is_archive(file: Place) -> bool:
    """Return whether `file` is looked into; in an object store no archive is."""
    return isinstance(file, Path) and file.name.lower().endswith(ARCHIVES)


def picture_names(places: Iterable[Place]) -> Iterator[str]:
    """Yield the name of each picture that `find_pictures` finds, and raise what it raises.

    So a damaged archive is told before an hour's work, not after it.
    """
    return (picture.name for picture in find_pictures(places))


def _in_folder(folder: Path) -> Iterator[Path]:
    # Not with `iterdir`, which asks the disk about every file again.
    with os.scandir(folder) as scanned:
        entries = sorted(scanned, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if not entry.is_dir():
            yield Path(entry.path)
        elif not entry.is_symlink():
            yield from _in_folder(Path(entry.path))


def read_file(file: Place, most: int) -> bytes:
    """Return at most so many bytes of a file.

    Raises:
        Unreadable: it is no file, or cannot be read.
        SourceError: the object store that it lies in cannot be read any more.
    """
    try:
        if isinstance(file, Stored):
            return read_stored(file, most)
        # A pipe or a device would be waited for, or read without end.
        opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            about = os.fstat(opened)
            if not stat.S_ISREG(about.st_mode):
                raise Unreadable("That is no file.")
            # One call reads nearly every file; a large one, or one that grows, takes more.
            data = os.read(opened, min(most, about.st_size + 1, _AT_ONCE))
            if len(data) < min(most, about.st_size):
                with os.fdopen(os.dup(opened), "rb") as rest:
                    data += rest.read(most - len(data))
            return data
        finally:
            os.close(opened)
    except StoreGone as error:
        raise SourceError(str(error)) from error
    except (OSError, ValueError, StoreError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Unreadable(f"It cannot be read: {why}.") from error


def _in_archive(path: Path) -> Iterator[Picture]:
    try:
        if path.suffix.lower() == ".zip":
            yield from _in_zip(path)
        else:
            yield from _in_tar(path)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        raise SourceError(f"{path} is not a whole archive: {error}.") from error


def _in_tar(path: Path) -> Iterator[Picture]:
    # As a stream, from front to back: what is yielded has to be read before the next is asked for.
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            if not member.isfile() or _is_hidden(path, member.name):
                continue
            content = archive.extractfile(member)
            assert content is not None
            yield Picture(_named(path, member.name), _once(content.read), ordered=True)


def _in_zip(path: Path) -> Iterator[Picture]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.is_dir() or _is_hidden(path, member.filename):
                continue

            def read(most: int, member: zipfile.ZipInfo = member) -> bytes:
                with archive.open(member) as content:
                    return content.read(most)

            yield Picture(_named(path, member.filename), _once(read), ordered=True)


def _once(read: Callable[[int], bytes]) -> Callable[[int], bytes]:
    def reading(most: int) -> bytes:
        try:
            return read(most)
        except (
            OSError,
            EOFError,
            ValueError,
            NotImplementedError,
            RuntimeError,  # a file with a password
            tarfile.TarError,
            zipfile.BadZipFile,
            zlib.error,  # which these two modules let through
            lzma.LZMAError,
        ) as error:
            raise Unreadable(f"It cannot be read from its archive: {error}.") from error

    return reading


def _is_hidden(archive: Path, name: str) -> bool:
    """Return whether a file in an archive is left out.

    Raises:
        SourceError: its name leads out of the archive, so whoever made that meant harm.
    """
    parts = PurePosixPath(name).parts
    if name.startswith(("/", "\\")) or ".." in parts:
        raise SourceError(
            f"{archive} holds a file that is called {name!r}, which leads out of it. Nothing of "
            "the archive was looked at; unpack it yourself if you trust it."
        )
    return any(part.startswith(".") for part in parts) or "__MACOSX" in parts


def _named(archive: Path, name: str) -> str:
    return f"{archive}!/{name}"
