"""Divide what is to be classified into parts, each of which one task of a cluster reads."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice

from model_training.classifying.sources import (
    Picture,
    Place,
    Unreadable,
    each_once,
    find_files,
    is_archive,
    pictures_of,
)
from model_training.classifying.stores import AT_ONCE, Stored

PICTURES = 512
"""Of a part: two seconds of a processor.  More is hardly faster, and what a node loses is more."""


@dataclass(frozen=True)
class Read:
    """A picture that was read.

    Args:
        name: as in `Picture`.
        data: its bytes; None where they cannot be read.
        why: why they cannot.
        stamp: of its file, as in `Picture`; None where it cannot be read.
    """

    name: str
    data: bytes | None
    why: str | None = None
    stamp: str | None = None

    @classmethod
    def of(cls, picture: Picture, most: int) -> Read:
        """Return at most so many bytes of `picture`."""
        stamp = picture.stamp()
        try:
            return cls(picture.name, picture.read(most), stamp=stamp)
        except Unreadable as error:
            return cls(picture.name, None, str(error))


@dataclass(frozen=True)
class Part:
    """Files that are read together, or one archive.

    Args:
        files: as `find_files` yields them.
        done: the names of pictures in an archive that are done already.
    """

    files: tuple[Place, ...]
    done: frozenset[str] = frozenset()

    @property
    def stored(self) -> bool:
        """Return whether every machine can read it: it lies in an object store."""
        return all(isinstance(file, Stored) for file in self.files)

    def read(self, most: int) -> Iterator[Read]:
        """Yield each picture once, in order, with at most so many bytes.

        Raises:
            SourceError: an archive is damaged.
        """
        pictures = each_once(chain.from_iterable(map(pictures_of, self.files)), self.done)
        if not self.stored:
            # What is in an archive is read in its order.
            yield from (Read.of(picture, most) for picture in pictures)
            return
        with ThreadPoolExecutor(AT_ONCE) as readers:
            while some := list(islice(pictures, AT_ONCE)):
                yield from readers.map(Read.of, some, [most] * len(some))


def divide(places: Iterable[Place], done: Collection[str], most: int = PICTURES) -> Iterator[Part]:
    """Yield parts that hold each file of `places` once, but for those that are `done`.

    Files of this machine and of object stores are never in one part.

    Raises:
        SourceError: a place is not there.
    """
    seen: set[str] = set()
    local: list[Place] = []
    stored: list[Place] = []
    ordered: list[str] | None = None  # Looked through once, however many archives there are.
    for file in find_files(places):
        name = str(file)
        if name in seen or name in done:
            continue
        seen.add(name)
        if is_archive(file):
            if local:
                yield Part(tuple(local))
                local = []
            if ordered is None:
                ordered = sorted(done)
            # What begins with "NAME!/": in order, "0" follows the slash.
            first, last = (bisect_left(ordered, f"{name}!{sign}") for sign in "/0")
            yield Part((file,), frozenset(ordered[first:last]))
            continue
        group = stored if isinstance(file, Stored) else local
        group.append(file)
        if len(group) == most:
            yield Part(tuple(group))
            group.clear()
    for group in (local, stored):
        if group:
            yield Part(tuple(group))
