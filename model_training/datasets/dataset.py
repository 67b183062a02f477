"""The form of a data set: labelled images to learn from and to test on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.description import About
from model_training.datasets.pictures.resizing import resized

VALIDATION_SHARE = 0.1
VALIDATION_SEED = 2009
MOST_CLASSES = 256
"""Labels are kept in a byte."""


class DataError(Exception):
    """A data set could not be obtained; the message says what was tried and what to do."""


@dataclass(frozen=True)
class ImageSet:
    """Labelled images: `images` uint8 (count, side, side, 3) RGB, `labels` uint8 (count,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def side(self) -> int:
        """Return the side of the images in pixels."""
        return int(self.images.shape[1])

    def take(self, indices: NDArray[np.int64]) -> ImageSet:
        """Return the images at `indices`, in that order, as a copy."""
        return ImageSet(self.images[indices], self.labels[indices])

    def digest(self) -> str:
        """Return the SHA-256 of `<label byte><pixels, channel by channel>` of every image.

        Of CIFAR-10 these are the bytes of the official binary batches.
        """
        digest = hashlib.sha256()
        for start in range(0, len(self), 5_000):
            part = self.images[start : start + 5_000]
            planes = part.transpose(0, 3, 1, 2).reshape(len(part), -1)
            digest.update(np.c_[self.labels[start : start + 5_000], planes].tobytes())
        return digest.hexdigest()


def content_digest(classes: tuple[str, ...], train: ImageSet, test: ImageSet) -> str:
    """Return a SHA-256 that names exactly these images, in this order, with these labels."""
    said = [repr(classes), repr(train.images.shape), train.digest(), test.digest()]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


@dataclass(frozen=True)
class DataSet:
    """Images to train on and to test on, with what is known about them.

    Args:
        name: as in folders, addresses and commands (`naming.SLUG`).
        title: the name as people write it.
        classes: the meaning of each label.
        digest: a SHA-256 that names exactly these images, in this order, with these labels.
        source: a description of where the images were found.
        about: sentences for the page about it.
        test_names: the file that each test image is from, where images are files.
        imagenet: for each class, the numbers of those of ImageNet's thousand classes that belong to
            it; empty where nobody has said.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    train: ImageSet
    test: ImageSet
    digest: str
    source: str
    about: About = field(default_factory=About)
    test_names: tuple[str, ...] = ()
    imagenet: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def side(self) -> int:
        """Return the side of the images in pixels."""
        return self.train.side

    def at_side(self, side: int) -> DataSet:
        """Return the same data set with its images reduced or enlarged to `side` pixels."""
        if side == self.side:
            return self
        train, test = (
            ImageSet(resized(part.images, side), part.labels) for part in (self.train, self.test)
        )
        return replace(self, train=train, test=test)

    def for_network(self, input_size: int, takes_any: bool) -> DataSet:
        """Return the same data set with its images as large as a network takes them.

        Images larger than `input_size` are reduced to it, as the network sees no more of them.
        Smaller ones are left for the network to resize, which takes less memory.

        Args:
            input_size: the side of the images that the network sees, in pixels.
            takes_any: whether the network resizes whatever it is given.
        """
        if self.side > input_size or not takes_any:
            return self.at_side(input_size)
        return self

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """Return the mean of each channel of the training images, float64 (3,), 0 to 255."""
        return self._moments[0]

    @cached_property
    def deviation(self) -> NDArray[np.float64]:
        """Return the standard deviation of each channel, float64 (3,), 0 to 255."""
        return self._moments[1]

    @cached_property
    def _moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # Sums of uint8 squared fit well into 64 bits, and need no copy of the images in floats.
        images = self.train.images
        count = images.size // 3
        mean = images.sum(axis=(0, 1, 2), dtype=np.int64) / count
        squares = sum(
            np.square(chunk, dtype=np.int64).sum(axis=(0, 1, 2))
            for chunk in np.array_split(images, max(1, len(images) // 1000))
        )
        return mean, np.sqrt(squares / count - mean**2)


def split(labels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide a training set into indices to train on and to validate on.

    A tenth of each class validates (5,000 of CIFAR-10's 50,000).  It is always the same for the
    same labels, so that figures of different models can be compared.

    Returns:
        (training indices, validation indices), each int64, sorted.
    """
    rng = np.random.default_rng(VALIDATION_SEED)
    validation = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(1, round(len(members) * VALIDATION_SHARE))
        validation.append(rng.permutation(members)[:count])
    validation_indices = np.sort(np.concatenate(validation)).astype(np.int64)
    training_indices = np.setdiff1d(np.arange(len(labels), dtype=np.int64), validation_indices)
    return training_indices, validation_indices
