"""The pictures on which methods are compared: some to choose by, others to report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from model_training.datasets.dataset import ImageSet
from model_training.datasets.pictures.opener import PhotoError, open_photo

Pictures = list[Image.Image]

_SEED = 0


def of_test_images(test: ImageSet, count: int) -> tuple[Pictures, Pictures]:
    """Return `count` test images to choose by and as many others to report, drawn by lot.

    Raises:
        ValueError: there are fewer.
    """
    if len(test) < 2 * count:
        raise ValueError(f"there are only {len(test):,} test images, and twice {count:,} are asked")
    drawn = np.random.default_rng(_SEED).permutation(len(test))[: 2 * count]
    pictures = [Image.fromarray(test.images[index]) for index in drawn]
    return pictures[:count], pictures[count:]


def of_photos(
    folder: Path, classes: Sequence[str], count: int, max_pixels: int
) -> tuple[Pictures, Pictures]:
    """Return `count` photos to choose by and as many others to report, alike many of each class.

    Every second photo of a class, in the order of names, is one to choose by.  What cannot be
    opened is left out.

    Args:
        folder: has a folder of photos for each class, named after it; others are not looked at.
        max_pixels: a larger photo is left out.

    Raises:
        ValueError: no folder is named after a class, or there are fewer photos.
    """
    kinds = [folder / name for name in classes if (folder / name).is_dir()]
    if not kinds:
        raise ValueError(f"{folder} has no folder that is named after one of the classes")
    halves = [
        _alternating([sorted(kind.iterdir())[start::2] for kind in kinds], count, max_pixels)
        for start in (0, 1)
    ]
    if short := [half for half in halves if len(half) < count]:
        raise ValueError(
            f"{folder} has only {len(short[0]):,} photos of the classes in one half, and "
            f"{count:,} are asked"
        )
    return halves[0], halves[1]


def _alternating(kinds: Sequence[Sequence[Path]], count: int, max_pixels: int) -> Pictures:
    found: Pictures = []
    rng = np.random.default_rng(_SEED)
    orders = [[kind[place] for place in rng.permutation(len(kind))] for kind in kinds]
    for turn in range(max((len(order) for order in orders), default=0)):
        for order in orders:
            if turn < len(order) and len(found) < count:
                try:
                    photo = open_photo(order[turn].read_bytes(), max_pixels=max_pixels)
                except (PhotoError, OSError):
                    continue
                found.append(photo.image)
    return found
