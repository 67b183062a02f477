"""The head that a pretrained network came with: what it knows beside the classes it was given here.

ImageNet's thousand kinds of thing include most of what people photograph.  Those that belong to a
class add up to a second opinion on it, from large photographs instead of small images; all others
are strangers that the network knows by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp, softmax

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

WEIGHT = 0.5
"""Of the second opinion.  Chosen on photos: on small images, on which the rest is fitted, the
pretrained head is worth less than it is on photos (`docs/judging-photos.md`)."""
NOVELTY_WEIGHT = 4.0
"""Of the share of no class, in units of the standard deviations that novelty is counted in."""
_LEAST_SHARE = 1e-30
_NUDGE = 1e-4
"""Keeps the offsets of classes small that few images tell anything of."""


@dataclass(frozen=True)
class PretrainedHead:
    """A head for other kinds of thing, on the same features as a network's own.

    Args:
        kernel: float16 (features, kinds), for the squares of the features that the judge is given.
        bias: float32 (kinds,).
        kinds: the name of each.
        classes: for each kind the class that it belongs to, int16 (kinds,); -1: to none.
        scale, offsets: what the logits of the network's own head are multiplied by, and what is
            added to those of both heads together, float64 (classes,): fitted on validation images.
    """

    kernel: NDArray[np.float16]
    bias: Floats
    kinds: tuple[str, ...]
    classes: NDArray[np.int16]
    scale: float
    offsets: Doubles

    @classmethod
    def of(
        cls,
        kernel: Floats,
        bias: Floats,
        kinds: tuple[str, ...],
        members: Mapping[str, tuple[int, ...]],
        classes: tuple[str, ...],
    ) -> PretrainedHead:
        """Return a head whose share in the logits is not fitted yet.

        Args:
            members: the kinds that belong to each class, by its name.

        Raises:
            ValueError: a class has no kinds, or a kind is in two classes or is none of `kinds`.
        """
        belongs = np.full(len(kinds), -1, np.int16)
        for number, name in enumerate(classes):
            mine = np.array(members.get(name, ()), np.int64)
            if not len(mine) or mine.min() < 0 or mine.max() >= len(kinds):
                raise ValueError(f"the class {name} has no kinds of its own among {len(kinds)}")
            if (belongs[mine] >= 0).any():
                raise ValueError(f"a kind of the class {name} belongs to another, too")
            belongs[mine] = number
        return cls(
            kernel.astype(np.float16), bias, kinds, belongs, 1.0, np.zeros(len(classes), np.float64)
        )

    def fitted(self, logits: Floats, features: Floats, labels: NDArray[np.uint8]) -> PretrainedHead:
        """Return the head with the scale and offsets of the least cross-entropy.

        Args:
            logits: of the network's own head, on validation images, float32 (count, classes).
            features: those of these images, float32 (count, features).
            labels: theirs, uint8 (count,).
        """
        # Fitting is not answering, and a site would carry it in each worker.
        from scipy.optimize import minimize

        own = logits.astype(np.float64)
        shares = WEIGHT * self.log_shares(self.log_probabilities(features))
        rows = np.arange(len(labels))

        def loss(parameters: Doubles) -> tuple[float, Doubles]:
            scale, offsets = np.exp(parameters[0]), parameters[1:]
            both = scale * own + shares + offsets
            found = -log_softmax(both, axis=1)[rows, labels].mean()
            error = softmax(both, axis=1)
            error[rows, labels] -= 1
            error /= len(labels)
            slope = np.r_[(error * own).sum() * scale, error.sum(axis=0) + 2 * _NUDGE * offsets]
            return float(found + _NUDGE * (offsets**2).sum()), slope

        begin = np.zeros(1 + own.shape[1])
        best = minimize(loss, begin, jac=True, method="L-BFGS-B").x
        return replace(self, scale=float(np.exp(best[0])), offsets=best[1:])

    def log_probabilities(self, features: Floats) -> Doubles:
        """Return the logarithm of the probability of each kind, float64 (count, kinds)."""
        logits = np.square(features) @ self._kernel + self.bias
        return np.asarray(log_softmax(logits.astype(np.float64), axis=1))

    @cached_property
    def _kernel(self) -> Floats:
        # To convert it for each image takes longer than all other arithmetic of its judgement.
        return self.kernel.astype(np.float32)

    def combined(self, logits: Floats, shares: Doubles) -> Floats:
        """Return the logits of both heads together, float32 (count, classes).

        Args:
            logits: those of the network's own head, float32 (count, classes).
            shares: what `log_shares` returns for the same images.
        """
        both = self.scale * logits + WEIGHT * shares + self.offsets
        return np.asarray(both, np.float32)

    def log_shares(self, kinds: Doubles) -> Doubles:
        """Return the logarithms of the probabilities that images are of each class's kinds.

        Args:
            kinds: what `log_probabilities` returns for them.

        Returns:
            float64 (count, classes).
        """
        members = self.classes[:, np.newaxis] == np.arange(len(self.offsets))
        # They are probabilities, at most 1: nothing overflows, and what is lost is below the least.
        return np.asarray(np.log(np.maximum(np.exp(kinds) @ members, _LEAST_SHARE)))

    def novelty(self, shares: Doubles) -> Doubles:
        """Return how little of the probability of all kinds is of any class, (count,): 0 is all.

        Args:
            shares: what `log_shares` returns.
        """
        return np.asarray(-NOVELTY_WEIGHT * logsumexp(shares, axis=1))

    def resembles(self, kinds: Doubles) -> list[str]:
        """Return the most probable kind of each image among those of no class.

        Args:
            kinds: what `log_probabilities` returns.
        """
        others = np.where(self.classes >= 0, -np.inf, kinds)
        return [self.kinds[number] for number in others.argmax(axis=1)]
