"""The CIFAR-10 test images in the compact, lossless form in which they ship with the project.

A folder of 100 WebP sheets (lossless; 16.4 MB against 21.6 MB as one PNG), `00.webp` to `99.webp`.
Each is a 10x10 grid of 32x32 images in the official order, row by row: one page of the gallery.
`labels.npy` holds the 10,000 labels.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_training.datasets.cifar10_sources import SourceError
from model_training.datasets.dataset import IMAGE_SIZE, ImageSet, check_test_images
from model_training.files import whole_folder

GRID = 10
SHEET_IMAGES = GRID * GRID


def sheet_name(number: int) -> str:
    """The file name of sheet `number`, from 0."""
    return f"{number:02d}.webp"


def tile(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay `images`, uint8 (100, 32, 32, 3), out as one sheet, uint8 (320, 320, 3)."""
    grid = images.reshape(GRID, GRID, IMAGE_SIZE, IMAGE_SIZE, 3)
    return grid.transpose(0, 2, 1, 3, 4).reshape(GRID * IMAGE_SIZE, GRID * IMAGE_SIZE, 3)


def untile(sheet: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The inverse of `tile`."""
    rows = sheet.reshape(GRID, IMAGE_SIZE, GRID, IMAGE_SIZE, 3)
    return rows.transpose(0, 2, 1, 3, 4).reshape(SHEET_IMAGES, IMAGE_SIZE, IMAGE_SIZE, 3)


def write_test_images(folder: Path, test: ImageSet) -> None:
    """Write `test`, a multiple of 100 images, as sheets; `folder` appears whole or not at all."""
    with whole_folder(folder) as temporary:
        np.save(temporary / "labels.npy", test.labels)
        for number in range(len(test) // SHEET_IMAGES):
            start = number * SHEET_IMAGES
            sheet = tile(test.images[start : start + SHEET_IMAGES])
            encoded = io.BytesIO()
            Image.fromarray(sheet).save(encoded, "WEBP", lossless=True, quality=100, method=6)
            (temporary / sheet_name(number)).write_bytes(encoded.getvalue())


def read_test_images(folder: Path) -> ImageSet:
    """Read the 10,000 images back and check them against CIFAR-10's digest.

    Raises:
        SourceError: the folder is missing, incomplete or damaged.
    """
    try:
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        sheets = []
        for number in range(len(labels) // SHEET_IMAGES):
            with Image.open(folder / sheet_name(number), formats=["WEBP"]) as picture:
                sheets.append(untile(np.asarray(picture.convert("RGB"))))
        test = ImageSet(np.concatenate(sheets), labels)
    except (OSError, ValueError, EOFError) as error:
        raise SourceError(f"{error}") from error
    check_test_images(test)
    return test
