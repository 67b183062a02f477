"""The uncertainty of figures: intervals and tests on right and wrong answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Answers = NDArray[np.bool_]

CONFIDENCE = 0.95
RESAMPLES = 10_000
_SEED = 0

# scipy.stats is imported where it is called: that takes a second, and most commands do not need it.


@dataclass(frozen=True)
class Interval:
    """A figure with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two models on the same images.

    `left_only` and `right_only` count the images that only one classifies correctly, `both` and
    `neither` the others.  `p_value` is the probability of a split at least as uneven as that of
    `left_only` and `right_only` if both models were equally good.
    """

    both: int
    neither: int
    left_only: int
    right_only: int
    difference: Interval
    p_value: float

    @property
    def images(self) -> int:
        """Return the number of images on which both were tested."""
        return self.both + self.neither + self.left_only + self.right_only


def accuracy_interval(right: Answers) -> Interval:
    """Return the accuracy with its score interval.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
    Unlike an interval resampled from the answers it has a width even where all are right: for ten
    of ten it is 72 to 100 %.

    Args:
        right: whether each answer is right, (count,), one or more.

    Raises:
        ValueError: there are no answers.
    """
    from scipy.stats import binomtest

    count, of = int(right.sum()), len(right)
    ends = binomtest(count, of).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(count / of, float(ends.low), float(ends.high))


def compare(left: Answers, right: Answers) -> Comparison:
    """Compare two models by the images that each classifies correctly.

    The interval of the difference is a percentile bootstrap over images (B. Efron, "Bootstrap
    Methods: Another Look at the Jackknife", 1979), so images that both models find hard count once.

    Args:
        left, right: whether each model is right, (count,), for the same images in the same order.

    Returns:
        The difference of the accuracies, left minus right, with its interval, and McNemar's exact
        test.
    """
    cells = [left & right, ~left & ~right, left & ~right, ~left & right]
    counts = [int(cell.sum()) for cell in cells]
    both, neither, left_only, right_only = counts
    total = len(left)
    # Resampling images with replacement draws these four counts from a multinomial distribution.
    draws = np.random.default_rng(_SEED).multinomial(total, np.array(counts) / total, RESAMPLES)
    differences = (draws[:, 2] - draws[:, 3]) / total
    low, high = np.quantile(differences, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Comparison(
        both=both,
        neither=neither,
        left_only=left_only,
        right_only=right_only,
        difference=Interval((left_only - right_only) / total, float(low), float(high)),
        p_value=mcnemar(left_only, right_only),
    )


def mcnemar(left_only: int, right_only: int) -> float:
    """Return the two-sided p-value of McNemar's exact test: a fair coin for each disagreement.

    Q. McNemar, "Note on the Sampling Error of the Difference Between Correlated Proportions or
    Percentages", 1947.
    """
    from scipy.stats import binomtest

    disagreements = left_only + right_only
    return float(binomtest(left_only, disagreements).pvalue) if disagreements else 1.0
