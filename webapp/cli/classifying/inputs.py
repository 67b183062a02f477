"""What is asked for: the paths of the command and of a list, and the pictures that they lead to."""

from __future__ import annotations

import os
import sys
from collections.abc import Container, Iterable
from pathlib import Path

from model_training.classifying.addresses import Address, is_address
from model_training.classifying.sources import Place, find_pictures
from model_training.classifying.stores import Stored


def places_of(paths: Iterable[str]) -> list[Place]:
    """Return what `paths` lead to; of `-`, what the list on standard input does."""
    listed: list[str] = []
    for path in paths:
        if path == "-":
            listed += [line.rstrip("\r\n") for line in sys.stdin if line.strip()]
        else:
            listed.append(path)
    return [Stored(path) if is_address(path) else Path(path) for path in listed]


def find_all(
    places: list[Place], own: tuple[Path, ...], done: Container[str]
) -> tuple[dict[str, str | None], set[str]]:
    """Find all that is asked for, once.  A damaged archive is told now, not after an hour's work.

    Args:
        own: the files that the run writes, which it does not classify.
        done: names of pictures that have a row from an earlier run.

    Returns:
        The pictures by name, in their order, with the stamp of each that is `done`; and the names
        of files that are left out, being `own`.

    Raises:
        SourceError: as of `find_pictures`.
    """
    found: dict[str, str | None] = {}
    left_out: set[str] = set()
    for picture in find_pictures(places):
        if any(_is(picture.name, file) for file in own):
            left_out.add(picture.name)
        else:
            found[picture.name] = picture.stamp() if picture.name in done else None
    return found, left_out


def _is(name: str, file: Path) -> bool:
    """Return whether the picture called `name` is the file `file`."""
    path = Address.parse(name).path if name.startswith("file://") else name
    # The disk is asked about few.
    if not path.endswith(file.name):
        return False
    try:
        return os.path.samefile(path, file)
    except OSError:
        return False
