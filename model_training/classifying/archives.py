"""Files in archives, one after the other, without unpacking any to the disk."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, Self, cast

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")

_PACKED: tuple[tuple[re.Pattern[bytes], Callable[[BinaryIO], IO[bytes]]], ...] = (
    (re.compile(rb"\x1f\x8b\x08"), lambda file: cast(IO[bytes], gzip.open(file))),
    (re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), lambda file: bz2.open(file)),
    (re.compile(rb"\xfd7zXZ|\x5d\0\0\x80"), lambda file: lzma.open(file)),
)
"""By how they begin.  `tarfile` would unpack them too, and look at no checksum of gzip."""
_BLOCK = 2**16
"""Bytes that are read at a time."""
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    OSError,
    ValueError,
    zlib.error,  # which these two modules let through
    lzma.LZMAError,
)


class ArchiveError(Exception):
    """An archive is damaged, or a file in it has a name that leads out of it; the message says."""


class MemberError(Exception):
    """A file in an archive cannot be read; the message says why."""


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Args:
        name: its path in there; of a second file of one path, ` (2)` follows.
        read: returns at most so many of its bytes; asked before the next member is.

    Raises:
        MemberError: by `read`.
    """

    name: str
    read: Callable[[int], bytes]


def find_members(archive: Path) -> Iterator[Member]:
    """Yield the files in `archive`, in its order, without hidden ones.

    Raises:
        ArchiveError: it is damaged, which may show at its end only, or a name leads out of it.
    """
    found = _in_zip if archive.suffix.lower() == ".zip" else _in_tar
    names: dict[str, int] = {}
    try:
        for name, read in found(archive):
            if not _is_hidden(archive, name):
                yield Member(_told_apart(name, names), partial(_read, read))
    except _DAMAGED as error:
        why = str(error) or "it ends too soon"
        raise ArchiveError(f"{archive} is not a whole archive: {why}.") from error


def _in_tar(path: Path) -> Iterator[tuple[str, Callable[[int], bytes]]]:
    class Header(tarfile.TarInfo):
        """Remembers the last block that was taken for a header."""

        last = b""

        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
            Header.last = bytes(buf)
            return super().frombuf(buf, encoding, errors)

    # As a stream, from front to back: what is yielded has to be read before the next is asked for.
    with (
        path.open("rb") as file,
        _unpacked(file) as plain,
        tarfile.open(fileobj=plain, mode="r|", tarinfo=Header, bufsize=_BLOCK) as archive,
    ):
        while member := archive.next():
            if member.isfile():
                content = archive.extractfile(member)
                assert content is not None
                yield member.name, content.read
            elif member.issym() or member.islnk():
                # What it leads to may have gone by in the stream.
                yield member.name, partial(_refuse_link, member.linkname)
            # Which keeps all that it has seen, for those who go back.
            archive.members.clear()  # type: ignore[attr-defined]
        # Where a header is damaged, or there is none, `tarfile` takes that for the end.
        if Header.last != bytes(tarfile.BLOCKSIZE):
            raise EOFError("it does not end as an archive does; something is damaged or cut off")
        while plain.read(_BLOCK):  # The checksum comes last.
            pass


def _refuse_link(to: str, _most: int) -> bytes:
    raise MemberError(f"It is a link to {to[:200]!r} in its archive: unpack the archive for it.")


def _unpacked(file: BinaryIO) -> IO[bytes]:
    start = file.read(10)
    file.seek(0)
    for pattern, opened in _PACKED:
        if pattern.match(start):
            return opened(file)
    return file


def _in_zip(path: Path) -> Iterator[tuple[str, Callable[[int], bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir():

                def read(most: int, member: zipfile.ZipInfo = member) -> bytes:
                    with archive.open(member) as content:
                        return content.read(most)

                yield member.filename, read


def _read(read: Callable[[int], bytes], most: int) -> bytes:
    try:
        return read(most)
    except (
        *_DAMAGED,
        NotImplementedError,
        RuntimeError,  # a file with a password
    ) as error:
        raise MemberError(f"It cannot be read from its archive: {error}.") from error


def _is_hidden(archive: Path, name: str) -> bool:
    """Return whether a file in an archive is left out.

    Raises:
        ArchiveError: its name leads out of the archive, so whoever made that meant harm.
    """
    # On Windows both lead into folders, and archives come from there.
    first, *inner = parts = re.split(r"[/\\]", name)
    if not first or (inner and re.fullmatch("[A-Za-z]:", first)) or ".." in parts:
        raise ArchiveError(
            f"{archive} holds a file that is called {name!r}, which leads out of it. Nothing of "
            "the archive was looked at; unpack it yourself if you trust it."
        )
    return any(part.startswith(".") and part != "." for part in parts) or "__MACOSX" in parts


def _told_apart(name: str, names: dict[str, int]) -> str:
    """Return `name`, with a number where it is in `names` already, and put it there."""
    told = name
    while told in names:
        names[name] += 1
        told = f"{name} ({names[name]})"
    names[told] = 1
    return told
