"""Out-of-distribution detection: a score of how unlike any of the classes an image is.

It adds two signs, both from the network itself and none from images of anything else: how weak its
largest logit is (D. Hendrycks et al., "Scaling Out-of-Distribution Detection for Real-World
Settings", 2022), and how far the image lies from the nearest training images of that class among
the network's features (Y. Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors",
2022).  Each is measured in standard deviations over the validation images, so that they weigh
alike.  The other scores that were tried are in `docs/judging-photos.md`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model_training.judging.vectors import unit
from model_training.mapping import map_arrays

Floats = NDArray[np.float32]

NEAREST = 3
REMEMBERED = 8_000
AXES = 256
"""Directions of feature space that are kept: with these, 8,000 images take under 2 MB, and the
score loses a few thousandths of AUROC."""


SHORTEST = 1e-12
"""The least length of features that have a direction: all but those that are all 0."""


@dataclass(frozen=True)
class Reference:
    """Training images as a network sees them, to recognise images unlike any of them.

    Args:
        axes: float16 (features, directions), the directions in which features are compared.
        remembered: int8 (images, directions), directions only, without a length.
        remembered_labels: uint8 (images,).
        distance, logit: mean and standard deviation of each sign on the validation images.
        rooted: whether the features that it is given are square roots already.
    """

    axes: NDArray[np.float16]
    remembered: NDArray[np.int8]
    remembered_labels: NDArray[np.uint8]
    distance: tuple[float, float]
    logit: tuple[float, float]
    rooted: bool = False

    @classmethod
    def remember(
        cls, features: Floats, labels: NDArray[np.uint8], *, rooted: bool = False
    ) -> Reference:
        """Return a reference of training images, whose signs are not scaled yet.

        Args:
            features: of some training images, float32 (count, features).
            labels: those of these images, uint8 (count,).
            rooted: whether the features are square roots already.
        """
        shaped = _shape(features, rooted)
        axes = _main_directions(shaped)
        remembered = unit(shaped @ axes.astype(np.float32), SHORTEST)
        remembered *= 127 / np.maximum(np.abs(remembered).max(axis=1, keepdims=True), 1e-12)
        rounded = np.round(remembered).astype(np.int8)
        return cls(axes, rounded, labels, (0.0, 1.0), (0.0, 1.0), rooted)

    def scaled(self, features: Floats, logits: Floats) -> Reference:
        """Return the reference with both signs scaled by those of validation images."""
        distance, largest = self._signs(features, logits)
        return replace(self, distance=_spread(distance), logit=_spread(largest))

    def score(self, features: Floats, logits: Floats) -> NDArray[np.float64]:
        """Return how far out of distribution images are, (count,); 0 is the mean of validation.

        Args:
            features: the input of the last dense layer, float32 (count, features).
            logits: its output, before the softmax, float32 (count, classes).
        """
        distance, largest = self._signs(features, logits)
        return np.asarray(
            (distance - self.distance[0]) / self.distance[1]
            - (largest - self.logit[0]) / self.logit[1]
        )

    def likeness(self, features: Floats) -> Floats:
        """Return how alike images and each remembered one are, -1 to 1: (count, remembered).

        Args:
            features: float32 (count, features).
        """
        found = np.empty((len(features), len(self.remembered)), np.float32)
        found[:, self._order] = self._directions_of(features) @ self._remembered.T
        return found

    def _directions_of(self, features: Floats) -> Floats:
        return unit(_shape(features, self.rooted) @ self._axes, SHORTEST)

    @cached_property
    def _axes(self) -> Floats:
        return self.axes.astype(np.float32)

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        # By class, so that those of one class are a part of the array and not a copy of it.
        return np.argsort(self.remembered_labels, kind="stable")

    @cached_property
    def _remembered(self) -> Floats:
        return map_arrays([unit(self.remembered[self._order].astype(np.float32), SHORTEST)])[0]

    def _signs(
        self, features: Floats, logits: Floats
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        found = self._directions_of(features)
        guessed, distance = logits.argmax(axis=1), np.ones(len(features))
        labels = self.remembered_labels[self._order]
        for number in np.unique(guessed):
            near = self._remembered[slice(*np.searchsorted(labels, [number, number + 1]))]
            if len(near):
                mine = guessed == number
                last = min(NEAREST, len(near))
                distance[mine] = 1 - np.partition(found[mine] @ near.T, -last, axis=1)[:, -last]
        return distance, logits.max(axis=1).astype(np.float64)


def _spread(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.mean()), float(max(values.std(), 1e-9))


def _shape(features: Floats, rooted: bool) -> Floats:
    if rooted:
        return unit(features, SHORTEST)
    # The square root keeps a few large features from dominating; it made the two kinds of images,
    # photos and enlarged small ones, alike enough to share a threshold.
    return unit(np.sign(features) * np.sqrt(np.abs(features)), SHORTEST)


def _main_directions(rows: Floats) -> NDArray[np.float16]:
    # Of the rows themselves, not centred, since angles from zero are compared.
    _values, vectors = np.linalg.eigh(rows.T.astype(np.float64) @ rows)
    return np.ascontiguousarray(vectors[:, ::-1][:, :AXES].astype(np.float16))
