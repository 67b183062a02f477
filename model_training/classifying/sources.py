"""Find pictures to classify, in files, folders, archives and object stores, unpacking nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import cast

from model_training.classifying.archives import (
    SUFFIXES,
    ArchiveError,
    Member,
    MemberError,
    find_members,
)
from model_training.classifying.stores import (
    Stored,
    StoreError,
    StoreGone,
    find_all_stored,
    read_stored,
)

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
        stamp: returns size and times of its file, or of its archive, which change with what is in
            it; None where nobody can tell.  To be asked before it is read: what changes later
            is not taken for what was read.
        ordered: whether it has to be read before the next one is asked for, as in an archive.

    Raises:
        Unreadable: by `read`.
        SourceError: by `read`, where no other picture of that place can be read either.
    """

    name: str
    read: Callable[[int], bytes]
    stamp: Callable[[], str | None] = lambda: None
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
        SourceError: a place is not there, or cannot be read.
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
        try:
            is_folder = stat.S_ISDIR(os.stat(place).st_mode)
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:
            raise SourceError(f"There is no file or folder {place}.") from error
        except OSError as error:
            raise SourceError(f"{place} cannot be read: {error.strerror}.") from error
        if is_folder:
            yield from _in_folder(place)
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
        yield Picture(str(file), partial(read_file, file), partial(stamp_of, file))


def is_archive(file: Place) -> bool:
    """Return whether `file` is looked into; in an object store no archive is."""
    return isinstance(file, Path) and file.name.lower().endswith(SUFFIXES)


def each_once(pictures: Iterable[Picture], done: Collection[str]) -> Iterator[Picture]:
    """Yield each of `pictures` that is not `done`, once: two paths may lead to one."""
    seen = set(done)
    for picture in pictures:
        if picture.name not in seen:
            seen.add(picture.name)
            yield picture


def stamp_of(file: Place) -> str | None:
    """Return the size and the times of `file`, which change with what is in it; None if unknown."""
    if isinstance(file, Stored):
        return file.stamp
    try:
        about = os.stat(file)
    except (OSError, ValueError):
        return None
    # The second time changes too where a file takes the place of another of the same age.
    return f"{about.st_size}-{about.st_mtime_ns}-{about.st_ctime_ns}"


def _in_folder(folder: Path) -> Iterator[Path]:
    # Not with `iterdir`, which asks the disk about every file again.
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
    except OSError as error:
        raise SourceError(
            f"The folder {folder} cannot be read: {error.strerror}. Nobody knows what is in it: "
            "make it readable, or leave it out."
        ) from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if not _is_folder(entry):
            yield Path(entry.path)
        elif not entry.is_symlink():
            yield from _in_folder(Path(entry.path))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link that leads in a circle: what reading it says becomes its row.
        return False


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
    stamp = stamp_of(path)
    try:
        for member in find_members(path):
            read = partial(_read_member, member)
            yield Picture(f"{path}!/{member.name}", read, lambda: stamp, ordered=True)
    except ArchiveError as error:
        raise SourceError(str(error)) from error


def _read_member(member: Member, most: int) -> bytes:
    try:
        return member.read(most)
    except MemberError as error:
        raise Unreadable(str(error)) from error
