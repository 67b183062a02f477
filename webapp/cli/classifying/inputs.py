"""What is asked for: the paths of the command and of a list, and the pictures that they lead to."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Container, Iterable
from pathlib import Path

import click

from model_training.classifying.addresses import Address, is_address
from model_training.classifying.sources import Place, find_pictures
from model_training.classifying.stores import Stored


def places_of(paths: Iterable[str]) -> list[Place]:
    """Return what `paths` lead to; of `-`, what the list on standard input does.

    Raises:
        click.ClickException: that is no list.
    """
    listed: list[str] = []
    for path in paths:
        if path == "-":
            listed += _read_list(sys.stdin.buffer.read())
        elif not path:
            # Such as an unset "$PHOTOS": the folder that one is in is `.`.
            raise click.UsageError("A PATH is empty. Give the folder or file that is meant.")
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


def _read_list(data: bytes) -> list[str]:
    """Return the lines of `data`; a name may be any bytes."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and b"\0" in data:
        raise click.ClickException(
            "The list on standard input is written in UTF-16: write it in UTF-8."
        )
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\0" in data:  # As `find -print0` ends each: what is between them is kept whole.
        lines = data.split(b"\0")
    else:
        lines = [line.removesuffix(b"\r") for line in data.split(b"\n") if line.strip()]
    return [os.fsdecode(line) for line in lines if line]


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
