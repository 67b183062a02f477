"""Statistics of a data set: counts, channel means, and the mean image of each class.

The training images do not ship, so these are computed once and ship instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.dataset import DataSet, ImageSet, split
from model_training.files import DamagedFile, read_arrays, whole_file

PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class Statistics:
    """The statistics of a data set.

    `counts` are numbers of images by part and class, int64 (3, classes).  `mean` and `deviation`
    are those of each channel over all training images, 0 to 255, float64 (3,).  `mean_images` are
    the mean training images of the classes, uint8 (classes, side, side, 3).
    """

    counts: NDArray[np.int64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    mean_images: NDArray[np.uint8]

    @property
    def is_balanced(self) -> bool:
        """Return whether all classes have equally many training images."""
        learned = self.counts[:2].sum(axis=0)
        return bool(learned.min() == learned.max())


def make_statistics(data: DataSet) -> Statistics:
    """Compute the statistics of `data`."""
    fit, validation = split(data.train.labels)
    parts = (data.train.labels[fit], data.train.labels[validation], data.test.labels)
    classes = len(data.classes)
    return Statistics(
        counts=np.array([np.bincount(labels, minlength=classes) for labels in parts]),
        mean=data.mean,
        deviation=data.deviation,
        mean_images=np.array([_mean_image(data.train, number) for number in range(classes)]),
    )


def write_statistics(path: Path, statistics: Statistics) -> None:
    """Write `statistics` to the file `path`."""
    with whole_file(path) as temporary:
        np.savez_compressed(
            temporary,
            counts=statistics.counts,
            mean=statistics.mean,
            deviation=statistics.deviation,
            mean_images=statistics.mean_images,
        )


def read_statistics(path: Path, classes: int) -> Statistics:
    """Read what `write_statistics` wrote.

    Args:
        classes: the number of classes of the data set.

    Raises:
        DamagedFile: the file is not whole or holds something else.
        FileNotFoundError: there is none.
    """
    arrays = read_arrays(path)
    try:
        found = Statistics(
            arrays["counts"], arrays["mean"], arrays["deviation"], arrays["mean_images"]
        )
    except KeyError as error:
        raise DamagedFile(f"it has no {error}") from error
    side = found.mean_images.shape[1] if found.mean_images.ndim == 4 else 0
    for name, array, shape, kind in (
        ("counts", found.counts, (len(PARTS), classes), np.integer),
        ("mean", found.mean, (3,), np.floating),
        ("deviation", found.deviation, (3,), np.floating),
        ("mean_images", found.mean_images, (classes, side, side, 3), np.uint8),
    ):
        if array.shape != shape or not np.issubdtype(array.dtype, kind):
            raise DamagedFile(f"{name} is {array.dtype} of the shape {array.shape}")
    if not np.isfinite([found.mean, found.deviation]).all() or found.counts.min() < 0:
        raise DamagedFile("a figure is not a number, or a count is negative")
    return found


def _mean_image(images: ImageSet, number: int) -> NDArray[np.uint8]:
    mean = images.images[images.labels == number].mean(axis=0)
    return np.asarray(np.rint(mean), np.uint8)
