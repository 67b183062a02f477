"""Whether networks that learned from the data find two of its images alike.

Two photographs of one car model are alike in their details, and so are two silhouettes before a
clear sky.  A network that learned from the training images tells most of them apart: of a copy of
one it makes nearly what it made of that.  What it cannot do is vouch for a copy that has another
label, which it was taught to tell apart; where details alone had found such pairs of CIFAR-10, they
were birds and airplanes before a clear sky, and no copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_training.bundle import Bundle
from model_training.near_copies import Pairs

Floats = NDArray[np.floating[Any]]
Images = NDArray[np.uint8]
Embedding = Callable[[Bundle, Images], Floats]
"""What the network of a bundle makes of each image, (count, any)."""

LEAST_AGREEMENT = 0.979
"""The mean cosine from which on networks agree that two images are alike."""


def agreement(
    pairs: Pairs, images: Images, others: Images, networks: Sequence[Bundle], embedding: Embedding
) -> Floats:
    """How alike the networks find the two of each pair: the mean of their cosines, (pairs,).

    Args:
        images, others: what the pairs index, uint8 (count, side, side, 3).
        networks: one or more, each with a network.
    """
    first, at_first = np.unique(pairs.first, return_inverse=True)
    second, at_second = np.unique(pairs.second, return_inverse=True)
    cosines = []
    for network in networks:
        one, other = (_unit(embedding(network, part)) for part in (images[first], others[second]))
        cosines.append((one[at_first] * other[at_second]).sum(axis=1))
    return np.asarray(np.mean(cosines, axis=0))


def _unit(features: Floats) -> Floats:
    rows = features.reshape(len(features), -1).astype(np.float32)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6))
