"""Test images in the compact form in which they are kept for the gallery: sheets of 10x10, WebP.

`00.webp`, `01.webp` and so on hold a hundred images each, in their order, row by row: one page of
the gallery.  `labels.npy` holds the labels.  Small images are kept without loss (CIFAR-10's 10,000
take 16.4 MB so, and 21.6 MB as PNG).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_training.datasets.dataset import ImageSet
from model_training.datasets.pictures.resizing import resized
from model_training.files import DamagedFile, whole_folder

LABELS = "labels.npy"
GRID = 10
SHEET_IMAGES = GRID * GRID
LOSSLESS_SIDE = 64
"""In pixels; larger images are kept with an invisible loss, in a fifth of the bytes."""
LARGEST_SIDE = 96
"""In pixels; larger images are reduced to this side before they are kept."""
MOST_IMAGES = 100_000


def sheet_name(number: int) -> str:
    """Return the file name of sheet `number`, from 0."""
    return f"{number:02d}.webp"


def tile(images: NDArray[np.uint8], columns: int = GRID) -> NDArray[np.uint8]:
    """Lay out `images`, uint8 (count, side, side, 3), in rows of `columns`; the rest is black.

    Returns:
        uint8 (rows * side, columns * side, 3).
    """
    count, side = images.shape[:2]
    rows = max(1, -(-count // columns))
    grid = np.zeros((rows * columns, side, side, 3), np.uint8)
    grid[:count] = images
    grid = grid.reshape(rows, columns, side, side, 3)
    return grid.transpose(0, 2, 1, 3, 4).reshape(rows * side, columns * side, 3)


def untile(sheet: NDArray[np.uint8], side: int, columns: int = GRID) -> NDArray[np.uint8]:
    """Return the images of a sheet, the inverse of `tile`: uint8 (rows * columns, side, side, 3).

    Raises:
        ValueError: the sheet is not `columns` images wide, or not a whole number of images high.
    """
    rows = sheet.reshape(-1, side, columns, side, 3)
    return rows.transpose(0, 2, 1, 3, 4).reshape(-1, side, side, 3)


def as_kept(test: ImageSet) -> ImageSet:
    """Return `test` with its images reduced to `LARGEST_SIDE` if they are larger."""
    if test.side <= LARGEST_SIDE:
        return test
    return ImageSet(resized(test.images, LARGEST_SIDE), test.labels)


def write_test_images(
    folder: Path,
    test: ImageSet,
    on_images: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write `test` as sheets; `folder` appears whole or not at all.

    Args:
        on_images: called with the number of images written so far and their total.
    """
    lossless = test.side <= LOSSLESS_SIDE
    with whole_folder(folder) as temporary:
        np.save(temporary / LABELS, test.labels)
        for number, start in enumerate(range(0, len(test), SHEET_IMAGES)):
            sheet = tile(test.images[start : start + SHEET_IMAGES])
            encoded = io.BytesIO()
            # Of lossless pictures this is the effort: with 100 a sheet takes 28 times as long, and
            # is no smaller.
            quality = 80 if lossless else 90
            Image.fromarray(sheet).save(
                encoded, "WEBP", lossless=lossless, quality=quality, method=6 if lossless else 4
            )
            (temporary / sheet_name(number)).write_bytes(encoded.getvalue())
            on_images(min(start + SHEET_IMAGES, len(test)), len(test))


def is_sheets(folder: Path) -> bool:
    """Return whether `write_test_images` wrote `folder`, which may be damaged."""
    return (folder / LABELS).is_file()


def read_test_images(folder: Path, side: int) -> ImageSet:
    """Read back what `write_test_images` wrote.

    Args:
        side: the side of the images, in pixels.

    Raises:
        DamagedFile: the folder is missing, incomplete or damaged.
    """
    try:
        labels = np.load(folder / LABELS, allow_pickle=False)
        if labels.ndim != 1 or labels.dtype != np.uint8 or not 0 < len(labels) <= MOST_IMAGES:
            raise DamagedFile(f"its labels are {labels.dtype} of the shape {labels.shape}")
        sheets = []
        for number in range(-(-len(labels) // SHEET_IMAGES)):
            with Image.open(folder / sheet_name(number), formats=["WEBP"]) as picture:
                if max(picture.size) > GRID * side:
                    raise DamagedFile(f"{sheet_name(number)} is larger than a sheet")
                sheets.append(untile(np.asarray(picture.convert("RGB")), side))
        images = np.concatenate(sheets)[: len(labels)]
    except (OSError, ValueError, EOFError) as error:
        raise DamagedFile(f"{error}") from error
    if len(images) != len(labels):
        raise DamagedFile(f"there are {len(images):,} images for {len(labels):,} labels")
    return ImageSet(images, labels)
