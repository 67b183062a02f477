"""Agreement of networks that learned from the data on whether two of its images are alike.

Two photographs of one car model are alike in their details, and so are two silhouettes against a
clear sky.  A network that learned from the training images tells most of them apart: only a copy of
one gets nearly the same embedding.  It cannot confirm a copy that has another label, as it was
taught to tell the two apart; such pairs that details alone had found in CIFAR-10 were birds and
airplanes against a clear sky, not copies.
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
Embedding = Callable[[Bundle, Images, int | None], Floats]
"""Returns the embedding of each image by the network of a bundle, (count, any).

A network that enlarges images does so to the given side at most, in pixels."""

LEAST_AGREEMENT = 0.52
"""The agreement from which on two images count as alike."""
LEAST_WORD = 0.25
"""The least that a network contributes, so that one that errs does not outweigh the others."""
DRAWN = 600
"""Images drawn to measure how far apart two images of one class commonly are."""
SHORTEST = 1e-6
"""Embeddings are kept in 16 bits, whose smallest number is 6e-8; a real embedding is far longer."""


def agreement(
    pairs: Pairs, known: ImageSet, others: Images, networks: Sequence[Bundle], embedding: Embedding
) -> Floats:
    """Return the mean agreement of the networks that the two of each pair are alike, (pairs,).

    A network's agreement is 1 where both have the same embedding, and 0 where they are as far apart
    as two images of one class commonly are.  So networks that spread a class widely and those that
    draw it together can be used side by side, with one threshold for all.

    Args:
        known: the images that `pairs.first` indexes; some of them, by their labels, show how far
            apart two images of one class are.
        others: the images that `pairs.second` indexes, uint8 (count, side, side, 3).
        networks: one or more bundles, each with a network.
    """
    one, another = _unrelated_pairs(known.labels)
    # A network is loaded for each call, so one call embeds all images of `known`.
    first, places = np.unique(np.concatenate([pairs.first, one, another]), return_inverse=True)
    at_first, at_one, at_another = np.split(places, [len(pairs), len(pairs) + len(one)])
    second, at_second = np.unique(pairs.second, return_inverse=True)
    said = []
    for network in networks:
        parts = (known.images[first], others[second])
        here, there = (_directions(embedding(network, part, None)) for part in parts)
        apart = np.linalg.norm(here[at_first] - there[at_second], axis=1)
        common = np.median(np.linalg.norm(here[at_one] - here[at_another], axis=1))
        said.append(np.maximum(1 - apart / max(common, 1e-6), LEAST_WORD))
    return np.asarray(np.mean(said, axis=0))


def _unrelated_pairs(labels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of images that have nothing in common but their label."""
    drawn = np.random.default_rng(0).permutation(len(labels))[:DRAWN]
    one = drawn[np.argsort(labels[drawn], kind="stable")]
    another = np.roll(one, -1)
    same = (labels[one] == labels[another]) & (one != another)
    return one[same], another[same]


def _directions(features: Floats) -> Floats:
    return unit(features.reshape(len(features), -1).astype(np.float32), SHORTEST)
