"""Pictures in class folders (`FOLDER/cat/*.jpg`): which files there are, and how one is read.

The opener of the bytes is passed in, so that untrusted pictures go through the same careful opener
wherever they are read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from PIL import Image

from model_training.datasets.dataset import DataError

KINDS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
"""Suffixes by which a folder of pictures is recognised; what a file is, its bytes decide."""
LARGEST_FILE = 100 * 2**20
"""In bytes; nobody trains on larger photos, and a file is read into memory whole."""
MOST_FOLDERS = 1000
PARTS = {"train", "training", "test", "testing", "val", "valid", "validation"}


class FolderError(DataError):
    """A folder does not hold pictures in class folders; the message says what to do."""


class Opened(Protocol):
    """A picture as the opener returns it: upright RGB, perhaps reduced, with its original form."""

    @property
    def image(self) -> Image.Image: ...
    @property
    def original_size(self) -> tuple[int, int]: ...
    @property
    def format(self) -> str: ...
    @property
    def mode(self) -> str: ...


Opener = Callable[[bytes], Opened]
"""Takes a file's bytes; raises ValueError with a sentence that says what is wrong with them."""


def class_files(folder: Path) -> dict[str, list[Path]]:
    """Return the files in each class folder of `folder`, however deep, in the order of their names.

    Hidden files are skipped, and links to folders are not followed.

    Raises:
        FolderError: there are no class folders, since `folder` is that of one class or holds no
            pictures at all, or they are the parts of a divided set.
        OSError: the folder cannot be listed.
    """
    if not folder.is_dir():
        raise FolderError(f"There is no folder {folder}.")
    classes = sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    if not classes:
        check_not_one_class(folder)
        raise FolderError(
            f"{folder} holds no pictures: it has no folders in it. Put the photos of each class "
            "into a folder that is named after the class: cat/one.jpg, dog/two.jpg."
        )
    if len(classes) > MOST_FOLDERS:
        raise FolderError(
            f"{folder} has {len(classes):,} folders in it, and {MOST_FOLDERS:,} classes are the "
            "most. Is it the folder that holds the class folders?"
        )
    if all(path.name.lower() in PARTS for path in classes):
        parts = " and ".join(path.name for path in classes)
        raise FolderError(
            f"{folder} holds parts of a data set ({parts}), not classes. Take one part at a "
            f"time: {classes[0]}"
        )
    return {path.name: sorted(_files(path)) for path in classes}


def outside(folder: Path) -> list[Path]:
    """Return the files that lie beside the class folders of `folder`, and so have no class."""
    return [path for path in folder.iterdir() if path.is_file() and path.name[0] != "."]


def check_not_one_class(folder: Path) -> None:
    """Raise an error if `folder`, which has fewer than two class folders, is one itself.

    Raises:
        FolderError: pictures lie directly in it; the message names the folder to give.
    """
    pictures = sum(path.suffix.lower() in KINDS for path in outside(folder))
    if pictures:
        there = f"{pictures:,} pictures lie" if pictures > 1 else "a picture lies"
        raise FolderError(
            f"{folder} is the folder of one class: {there} directly in it. Give the folder above "
            f"it, {folder.resolve().parent}, which holds a folder for each class."
        )


def read_file(path: Path) -> bytes:
    """Return the bytes of `path`.

    Raises:
        ValueError: it is not a file, or too large to be a photo.
        OSError: it cannot be read.
    """
    # Checked before it is opened: a pipe would never end, and opening one waits for a writer.
    known = path.stat()
    if not stat.S_ISREG(known.st_mode):
        raise ValueError("It is not a file.")
    if known.st_size > LARGEST_FILE:
        raise ValueError(f"It is larger than {LARGEST_FILE // 2**20} MB.")
    return path.read_bytes()


def what_is_wrong(error: OSError | ValueError) -> str:
    """Return a sentence on why a file cannot be used as a picture."""
    if isinstance(error, OSError):
        return f"It cannot be read ({error.strerror or error})."
    return str(error).split(". ")[0].rstrip(".") + "."


def printable(name: str) -> str:
    """Return `name` as text: file names are any bytes, and those that are not text become `?`."""
    return name.encode("utf-8", "replace").decode("utf-8")


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in names if not name.startswith("."))
