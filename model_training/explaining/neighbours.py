"""The training images that a network finds most like a photo: examples say what a map cannot.

R. Caruana et al., "Case-Based Explanation of Non-Case-Based Learning Methods", 1999.  The images
are those that a judge remembers, so that the answer and its examples are of one kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.dataset import split
from model_training.judging.fitting import drawn

Floats = NDArray[np.float32]

NEAREST = 6


class Remembered(Protocol):
    """Training images as a judge remembers them."""

    @property
    def remembered_labels(self) -> NDArray[np.uint8]:
        """Return their labels, (remembered,)."""

    def likeness(self, features: Floats) -> Floats:
        """Return how alike images and each remembered one are, (count, remembered)."""


@dataclass(frozen=True)
class Neighbours:
    """The remembered images nearest to some images, the nearest first.

    Args:
        places: which of the remembered images, int64 (images, count); where they are in the
            training set, and how they look, is told by `datasets.pictures.remembered`.
        labels: their classes, uint8 (images, count).
        likeness: the cosine of the features, float32 (images, count), at most 1.
    """

    places: NDArray[np.int64]
    labels: NDArray[np.uint8]
    likeness: Floats


def draws(labels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the training images that judges remember, as indices of the training set, rising.

    Args:
        labels: of the whole training set, (count,).

    Returns:
        Those of a network that did not learn from the validation images, and those of one that
        learned from all.
    """
    learned, _validation = split(labels)
    return learned[drawn(len(learned))], drawn(len(labels))


def nearest(reference: Remembered, features: Floats, count: int = NEAREST) -> Neighbours:
    """Return the `count` images of `reference` nearest to each of `features`, (images, features).

    Of fewer remembered images, all are returned.
    """
    likeness = reference.likeness(features)
    count = min(count, likeness.shape[1])
    near = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(likeness, near, axis=1), axis=1, kind="stable")
    places = np.take_along_axis(near, order, axis=1)
    return Neighbours(
        places,
        reference.remembered_labels[places],
        np.take_along_axis(likeness, places, axis=1),
    )
