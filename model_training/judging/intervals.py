"""How sure a figure is: intervals and tests on right and wrong answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Answers = NDArray[np.bool_]

RESAMPLES = 10_000
CONFIDENCE = 0.95
_SEED = 0


@dataclass(frozen=True)
class Interval:
    """A figure with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two models on the same images.

    `left_only` and `right_only` count the images that one alone names rightly, `both` and
    `neither` the others.  `p_value` is the probability of a split at least as uneven as that of
    `left_only` and `right_only` if both models were equally good.
    """

    both: int
    neither: int
    left_only: int
    right_only: int
    difference: Interval
    p_value: float


def accuracy_interval(right: Answers) -> Interval:
    """Accuracy with its percentile bootstrap interval (B. Efron, "Bootstrap Methods", 1979).

    Drawing images with replacement and counting the right ones is drawing from a binomial
    distribution, so that is what is drawn from.
    """
    count = len(right)
    share = float(right.mean())
    draws = np.random.default_rng(_SEED).binomial(count, share, RESAMPLES) / count
    return _interval(share, draws)


def compare(left: Answers, right: Answers) -> Comparison:
    """Compare two models by which images each names rightly.

    Args:
        left, right: whether each model is right, (count,), for the same images in the same order.

    Returns:
        The difference of the accuracies, left minus right, with its paired bootstrap interval,
        and McNemar's exact test (Q. McNemar, "Note on the sampling error of the difference
        between correlated proportions or percentages", 1947).
    """
    cells = [left & right, ~left & ~right, left & ~right, ~left & right]
    counts = [int(cell.sum()) for cell in cells]
    both, neither, left_only, right_only = counts
    total = len(left)
    # Resampling images with replacement draws these four counts from a multinomial distribution.
    draws = np.random.default_rng(_SEED).multinomial(total, np.array(counts) / total, RESAMPLES)
    difference = (left_only - right_only) / total
    return Comparison(
        both=both,
        neither=neither,
        left_only=left_only,
        right_only=right_only,
        difference=_interval(difference, (draws[:, 2] - draws[:, 3]) / total),
        p_value=mcnemar(left_only, right_only),
    )


def mcnemar(left_only: int, right_only: int) -> float:
    """The two-sided p-value of McNemar's exact test: a fair coin thrown for each disagreement."""
    throws, fewer = left_only + right_only, min(left_only, right_only)
    if not throws:
        return 1.0
    heads = np.arange(fewer + 1)
    logarithms = [math.lgamma(n + 1) + math.lgamma(throws - n + 1) for n in heads.tolist()]
    terms = math.lgamma(throws + 1) - np.array(logarithms) - throws * math.log(2)
    return float(min(1.0, 2 * np.exp(terms).sum()))


def _interval(value: float, draws: NDArray[np.floating[Any]]) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(value, float(low), float(high))
