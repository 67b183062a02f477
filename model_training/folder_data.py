"""A data set of one's own: a folder with a folder of pictures for each class."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

KINDS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
"""Endings of the files that are taken for pictures."""


class FolderError(Exception):
    """A folder holds no data set; the message says what one looks like."""


@dataclass(frozen=True)
class FolderData:
    """Labelled pictures.

    `images` is uint8 (count, side, side, 3), the middle square of each; `labels` int64 (count,),
    places in `classes`; `names` are the files, relative to the folder; `unreadable` says of each
    file that is no picture why.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    unreadable: Mapping[str, str]


def class_files(folder: Path) -> dict[str, list[Path]]:
    """The picture files in each class folder of `folder`, in the order of their names.

    Hidden files and folders, and class folders without pictures, are left out.
    """
    children = sorted(folder.iterdir()) if folder.is_dir() else []
    classes = {
        child.name: [
            path
            for path in sorted(child.rglob("*"))
            if path.suffix.lower() in KINDS and path.is_file() and not path.name.startswith(".")
        ]
        for child in children
        if child.is_dir() and not child.name.startswith(".")
    }
    return {name: files for name, files in classes.items() if files}


def read_folder(
    folder: Path, side: int, on_files: Callable[[int, int], None] = lambda done, total: None
) -> FolderData:
    """Read every picture below `folder`, upright, its middle square reduced or enlarged to `side`.

    Args:
        on_files: told how many of how many files are read.

    Raises:
        FolderError: there are not two class folders with pictures, or no picture can be read.
    """
    classes = class_files(folder)
    if len(classes) < 2:
        raise FolderError(
            f"{folder} holds no data set: it needs a folder of pictures for each of two or more "
            "classes, such as cats/1.jpg and dogs/1.jpg."
        )
    files = [(path, number) for number, each in enumerate(classes.values()) for path in each]
    images, labels, names, unreadable = [], [], [], {}
    for done, (path, label) in enumerate(files, start=1):
        name = path.relative_to(folder).as_posix()
        try:
            images.append(_read(path, side))
        except Exception as error:  # Pillow raises nearly anything for a damaged file.
            unreadable[name] = str(error) or type(error).__name__
        else:
            labels.append(label)
            names.append(name)
        on_files(done, len(files))
    if not images:
        raise FolderError(f"None of the {len(files):,} files in {folder} is a picture.")
    return FolderData(np.array(images), np.array(labels), tuple(classes), tuple(names), unreadable)


def _read(path: Path, side: int) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        # What Pillow only warns about (a picture too large to be one) is an error here.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as picture:
            picture.draft("RGB", (2 * side, 2 * side))
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    return np.asarray(ImageOps.fit(upright, (side, side), Image.Resampling.LANCZOS))
