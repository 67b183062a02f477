"""Classes made equally large, by leaving out images of the larger ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.dataset import DataError, ImageSet

SEED = 2010


def balanced(images: ImageSet, classes: tuple[str, ...], each: int | None = None) -> ImageSet:
    """Return `each` images of every class, in the order in which they are; always the same ones.

    Args:
        each: None for as many as the smallest class has.

    Raises:
        DataError: a class has fewer.
    """
    counts = np.bincount(images.labels, minlength=len(classes))
    return images.take(chosen(images.labels, enough(dict(zip(classes, counts, strict=True)), each)))


def enough(counts: dict[str, int], each: int | None) -> int:
    """Return how many of each class there can be.

    Args:
        counts: how many there are, by class.
        each: how many are asked for; None: as many as the smallest class has.

    Raises:
        DataError: a class has fewer, or none at all.
    """
    smallest = min(counts, key=lambda name: counts[name])
    most = int(counts[smallest])
    if not most:
        raise DataError(f"The classes cannot be balanced: there is no image of {smallest}.")
    if each is not None and each > most:
        raise DataError(
            f"{each:,} images of each class are asked for, and {smallest} has {most:,}. Ask for at "
            f"most {most:,} (--balance smallest), or add images of {smallest}."
        )
    return each or most


def chosen(labels: NDArray[np.uint8], each: int) -> NDArray[np.int64]:
    """Return the indices of `each` images of every class, sorted."""
    rng = np.random.default_rng(SEED)
    taken = [rng.permutation(np.flatnonzero(labels == label))[:each] for label in np.unique(labels)]
    return np.sort(np.concatenate(taken)).astype(np.int64)
