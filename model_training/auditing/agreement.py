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

from model_training.auditing.near_copies import Pairs
from model_training.bundles.bundle import Bundle
from model_training.datasets.dataset import ImageSet
from model_training.judging.vectors import unit

Floats = NDArray[np.floating[Any]]
Images = NDArray[np.uint8]
Embedding = Callable[[Bundle, Images], Floats]
"""What the network of a bundle makes of each image, (count, any)."""

LEAST_AGREEMENT = 0.52
"""From here on networks agree that two images are alike."""
LEAST_WORD = 0.25
"""No network says less than that, so that one that errs does not outweigh the others."""
STRANGERS = 600
SHORTEST = 1e-6
"""Embeddings are kept in 16 bits, of which the smallest is 6e-8; anything real is far longer."""


def agreement(
    pairs: Pairs, known: ImageSet, others: Images, networks: Sequence[Bundle], embedding: Embedding
) -> Floats:
    """How alike the networks find the two of each pair: the mean of what each says, (pairs,).

    A network says 1 where it makes the same of both, and 0 where they are as far apart for it as
    two images of one class commonly are.  So networks that spread a class widely and those that
    draw it together can be asked side by side, and the threshold is the same for any of them.

    Args:
        known: what `pairs.first` indexes; some of it, by its labels, shows how far apart two images
            of one class are.
        others: what `pairs.second` indexes, uint8 (count, side, side, 3).
        networks: one or more, each with a network.
    """
    one, another = _strangers(known.labels)
    # A network is loaded each time it is asked, so it is asked once for all that is known.
    first, places = np.unique(np.concatenate([pairs.first, one, another]), return_inverse=True)
    at_first, at_one, at_another = np.split(places, [len(pairs), len(pairs) + len(one)])
    second, at_second = np.unique(pairs.second, return_inverse=True)
    said = []
    for network in networks:
        parts = (known.images[first], others[second])
        here, there = (_directions(embedding(network, part)) for part in parts)
        apart = np.linalg.norm(here[at_first] - there[at_second], axis=1)
        common = np.median(np.linalg.norm(here[at_one] - here[at_another], axis=1))
        said.append(np.maximum(1 - apart / max(common, 1e-6), LEAST_WORD))
    return np.asarray(np.mean(said, axis=0))


def _strangers(labels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of images that have nothing in common but their label."""
    drawn = np.random.default_rng(0).permutation(len(labels))[:STRANGERS]
    one = drawn[np.argsort(labels[drawn], kind="stable")]
    another = np.roll(one, -1)
    same = (labels[one] == labels[another]) & (one != another)
    return one[same], another[same]


def _directions(features: Floats) -> Floats:
    return unit(features.reshape(len(features), -1).astype(np.float32), SHORTEST)
