"""What a data set is in a few figures: counts, channel means, and the mean image of each class.

The training images do not ship, so `flask data pack` computes these and they ship instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.dataset import CLASSES, Cifar10, ImageSet, split
from model_training.files import DamagedFile, read_arrays, whole_file

PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class Overview:
    """Figures of CIFAR-10.

    `counts` are images by part and class, int64 (3, 10).  `mean` and `deviation` are of each
    channel of all 50,000 training images, 0 to 255, float64 (3,).  `mean_images` are the mean of
    each class over these, uint8 (10, 32, 32, 3).
    """

    counts: NDArray[np.int64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    mean_images: NDArray[np.uint8]


def make_overview(data: Cifar10) -> Overview:
    """Compute the figures of `data`."""
    fit, validation = split(data.train.labels)
    parts = (data.train.labels[fit], data.train.labels[validation], data.test.labels)
    images = data.train.images
    # Sums of uint8 squared fit well into 64 bits, and need no copy of the images in floats.
    count = images.size // 3
    mean = images.sum(axis=(0, 1, 2), dtype=np.int64) / count
    squares = sum(
        np.square(chunk, dtype=np.int64).sum(axis=(0, 1, 2))
        for chunk in np.array_split(images, max(1, len(images) // 1000))
    )
    return Overview(
        counts=np.array([np.bincount(labels, minlength=len(CLASSES)) for labels in parts]),
        mean=mean,
        deviation=np.sqrt(squares / count - mean**2),
        mean_images=np.array([_mean_image(data.train, number) for number in range(len(CLASSES))]),
    )


def write_overview(path: Path, overview: Overview) -> None:
    """Write `overview` to the file `path`."""
    with whole_file(path) as temporary:
        np.savez_compressed(
            temporary,
            counts=overview.counts,
            mean=overview.mean,
            deviation=overview.deviation,
            mean_images=overview.mean_images,
        )


def read_overview(path: Path) -> Overview:
    """Read what `write_overview` wrote.

    Raises:
        DamagedFile: the file is not whole or holds something else.
        FileNotFoundError: there is none.
    """
    arrays: dict[str, NDArray[Any]] = read_arrays(path)
    shapes = {name: array.shape for name, array in arrays.items()}
    classes = len(CLASSES)
    if shapes != {
        "counts": (len(PARTS), classes),
        "mean": (3,),
        "deviation": (3,),
        "mean_images": (classes, 32, 32, 3),
    }:
        raise DamagedFile(f"it holds {shapes}")
    return Overview(
        counts=arrays["counts"],
        mean=arrays["mean"],
        deviation=arrays["deviation"],
        mean_images=arrays["mean_images"],
    )


def _mean_image(images: ImageSet, number: int) -> NDArray[np.uint8]:
    mean = images.images[images.labels == number].mean(axis=0)
    return np.asarray(np.rint(mean), np.uint8)
