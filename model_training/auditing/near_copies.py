"""Near-copies: pairs of images that are the same photograph, though not the same file.

A network that has learned one of a pair and is tested on the other has been given the answer.
B. Barz and J. Denzler found by eye that some 3 % of CIFAR-10's test images have a copy among the
training images ("Do We Train on Test Data?  Purging CIFAR of Near-Duplicates", 2020).

All pairs are compared by a network's features, which is rough and quick.  The few that are alike in
these are laid over each other, and must be alike in their details too (`auditing.registration`):
the network alone takes two red cars for the same, the details alone do so with two silhouettes
against a clear sky.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_training.auditing.registration import likeness
from model_training.judging.vectors import unit

Floats = NDArray[np.floating[Any]]
Images = NDArray[np.uint8]

DIRECTIONS = 192
IMAGES_PER_DIRECTION = 10
"""With fewer images per direction, whitening would push all of them equally far apart."""
LEAST_LIKENESS = 0.7
"""The likeness from which on two images count as near-copies."""
SHORTEST = 1e-3
"""Whitened features are of a length near the root of their number; one far shorter is noise."""
QUICK_SIDE = 97
"""In pixels.  Where all images are compared, a network that enlarges them need not go beyond it:
for that it is as good as the side at which the network was trained, and takes a third of the time
of 161."""
_AT_A_TIME = 500


@dataclass(frozen=True)
class Pairs:
    """Pairs of images, `first[i]` of one set and `second[i]` of another, and their `likeness[i]`.

    Likeness, 0 to 1, is the geometric mean of two cosines: of a network's features of the two,
    whitened, and of their details, laid over each other.  Both must be high.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    likeness: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.first)

    def where(self, keep: NDArray[np.bool_]) -> Pairs:
        """Return the pairs for which `keep`, (pairs,), is true."""
        return Pairs(self.first[keep], self.second[keep], self.likeness[keep])


def find_near_copies(
    images: Images,
    features: Floats,
    others: Images | None = None,
    other_features: Floats | None = None,
    on_pairs: Callable[[int, int], None] = lambda done, total: None,
) -> Pairs:
    """Return the near-copies of `images` among `others`, or among themselves without `others`.

    Args:
        images, others: uint8 (count, side, side, 3).
        features, other_features: a network's features of each, (count, any).
        on_pairs: called with the number of candidate pairs compared so far and their total.

    Returns:
        Every pair of at least `LEAST_LIKENESS`, the most alike first; within one set each pair
        once, `first` below `second`.
    """
    itself = others is None or other_features is None
    if others is None or other_features is None:
        others, other_features = images, features
    whiten = whitening(other_features)
    # The other cosine is 1 at most.
    first, second, cosines = alike(whiten(features), whiten(other_features), LEAST_LIKENESS**2)
    if itself:
        once = first < second
        first, second, cosines = first[once], second[once], cosines[once]
    found = np.zeros(len(first), np.float32)
    for start in range(0, len(first), _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        details = likeness(images[first[part]], others[second[part]])
        found[part] = np.sqrt(np.maximum(details, 0) * cosines[part])
        on_pairs(min(start + _AT_A_TIME, len(first)), len(first))
    order = np.argsort(-found, kind="stable")
    pairs = Pairs(first[order], second[order], found[order])
    return pairs.where(pairs.likeness >= LEAST_LIKENESS)


def whitening(features: Floats, directions: int = DIRECTIONS) -> Callable[[Floats], Floats]:
    """Return a function that whitens features into unit vectors, whose products are cosines.

    Features that vary together count once: they are rotated onto their principal directions, and
    those that vary much are shrunk (H. Jegou and O. Chum, "Negative Evidences and Co-occurrences in
    Image Retrieval: the Benefit of PCA and Whitening", 2012).

    Args:
        features: (count, any), of the images to whose variation whitening is fitted.
    """
    sample = features[:: max(1, len(features) // 10_000)].astype(np.float32)
    mean = sample.mean(axis=0)
    sample = sample - mean
    directions = min(directions, max(8, len(sample) // IMAGES_PER_DIRECTION))
    variances, axes = np.linalg.eigh(sample.T @ sample / len(sample))
    variances, axes = variances[::-1][:directions], axes[:, ::-1][:, :directions]
    # A tenth of the mean variance keeps mere noise from counting as much as other directions.
    floor = 0.1 * variances.mean() + 1e-12
    turn = (axes / np.sqrt(np.maximum(variances, 0) + floor)).astype(np.float32)

    def whiten(features: Floats) -> Floats:
        parts = [
            (features[start : start + 5000].astype(np.float32) - mean) @ turn
            for start in range(0, len(features), 5000)
        ]
        return unit(np.concatenate(parts), SHORTEST)

    return whiten


def alike(
    vectors: Floats, others: Floats, least: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return every pair of unit vectors whose product is at least `least`.

    Returns:
        Indices into both, and the products.
    """
    found = []
    for start in range(0, len(vectors), _AT_A_TIME):
        products = vectors[start : start + _AT_A_TIME] @ others.T
        rows, columns = np.nonzero(products >= least)
        found.append((rows + start, columns, products[rows, columns]))
    first, second, products = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return first, second, products
