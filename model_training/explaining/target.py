"""What is explained, and what a network must offer for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from model_training.judging.backend import Backend

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Heat = NDArray[np.float32]
"""Float32 (rows, columns), 0 to 1, laid over the whole of a view; all 0 where nothing speaks for
the class."""

AT_A_TIME = 32
"""The most images in one call of a backend."""


class NoExplanation(ValueError):
    """A network offers less than a method needs; the message says what is missing."""


class Head(Protocol):
    """The part of a judge that turns features into the logits of the classes."""

    @property
    def kernel(self) -> Floats:
        """Return the slope of each logit in the features, float32 (features, classes)."""

    def logits(self, features: Floats) -> Floats:
        """Return the logits for `features`, float32 (count, classes)."""


@runtime_checkable
class Differentiable(Backend, Protocol):
    """A backend that can be differentiated: a network in this process."""

    def map_gradients(self, view: Pixels, direction: Floats, stages: int) -> list[MapGradient]:
        """Return the network's last feature maps, and how a score changes with them.

        Args:
            view: uint8 (side, side, 3).
            direction: the slope of the score in the features, float32 (width,).
            stages: the number of sizes of maps to go back from the last; fewer where it has fewer.

        Returns:
            The maps of each size with their gradients, the last of the network first.

        Raises:
            NoExplanation: the network has no feature maps.
        """

    def pixel_gradients(self, images: Floats, directions: Floats) -> Floats:
        """Return how the score of each image changes with its pixels, (count, side, side, 3).

        Args:
            images: float32 (count, side, side, 3), 0 to 255.
            directions: the slope of each score in the features, float32 (count, width).
        """


@dataclass(frozen=True)
class MapGradient:
    """Feature maps, float32 (rows, columns, channels), and the gradient of a score in them."""

    maps: Floats
    gradient: Floats


@dataclass(frozen=True)
class Target:
    """The score that is explained: a class's logit, or its lead over another class.

    Args:
        head: turns features into logits.
        number: the class.
        against: the class whose logit is taken off; None to explain the class alone.
    """

    head: Head
    number: int
    against: int | None = None

    def scores(self, features: Floats) -> Floats:
        """Return the score of each of `features`, float32 (count,)."""
        logits = self.head.logits(features)
        own = logits[:, self.number]
        return own if self.against is None else own - logits[:, self.against]

    @property
    def direction(self) -> Floats:
        """Return the slope of the score in the features, float32 (width,).

        It is that of the network's own head: a head that it came with, which a judge may add to the
        logits, is left out, so methods by gradients explain the own head's part of such a score.
        """
        kernel = self.head.kernel
        own = kernel[:, self.number]
        return own if self.against is None else own - kernel[:, self.against]

    def contrasted(self, features: Floats) -> Target:
        """Return the target against the likeliest other class of `features`, (1, width).

        One that is contrasted already is returned as it is.
        """
        if self.against is not None:
            return self
        logits = self.head.logits(features)[0].copy()
        logits[self.number] = -np.inf
        return replace(self, against=int(logits.argmax()))


def differentiable(network: Backend) -> Differentiable:
    """Return `network` as one that can be differentiated.

    Raises:
        NoExplanation: it cannot, as a model server cannot.
    """
    if not isinstance(network, Differentiable):
        raise NoExplanation("this method needs the network's gradients, and a server gives none")
    return network


def features_of(network: Backend, images: Pixels | Sequence[Pixels]) -> Floats:
    """Return the features of `images`, uint8 (count, side, side, 3), a few at a time."""
    return np.concatenate(
        [
            network.features(np.asarray(images[start : start + AT_A_TIME]))
            for start in range(0, len(images), AT_A_TIME)
        ]
    )


def scaled(found: Floats) -> Heat:
    """Return `found`, (rows, columns), with its negative part cut off and its largest value 1."""
    positive = np.maximum(found, 0)
    return np.asarray(positive / max(float(positive.max()), 1e-12), np.float32)
