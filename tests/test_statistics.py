"""Intervals and tests are those of SciPy, or of the definition written out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from model_training.judging.intervals import accuracy_interval, compare, mcnemar


@pytest.mark.parametrize(
    ("left_only", "right_only"), [(0, 0), (1, 0), (5, 5), (12, 30), (400, 333), (1, 3000)]
)
def test_mcnemars_test_is_a_binomial_test(left_only: int, right_only: int) -> None:
    total = left_only + right_only
    expected = stats.binomtest(left_only, total).pvalue if total else 1.0
    assert mcnemar(left_only, right_only) == pytest.approx(expected, rel=1e-6, abs=1e-300)


def test_the_interval_of_an_accuracy_is_that_of_the_bootstrap() -> None:
    right = np.arange(2000) % 10 != 0
    interval = accuracy_interval(right)
    drawn = stats.bootstrap((right,), np.mean, method="percentile", rng=1, n_resamples=5000)
    assert interval.value == pytest.approx(0.9)
    assert interval.low == pytest.approx(drawn.confidence_interval.low, abs=2e-3)
    assert interval.high == pytest.approx(drawn.confidence_interval.high, abs=2e-3)


def test_two_models_are_compared_image_by_image() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.random(3000) < 0.9, rng.random(3000) < 0.85
    found = compare(left, right)
    assert found.both + found.neither + found.left_only + found.right_only == 3000
    assert found.left_only == (left & ~right).sum()
    assert found.difference.value == pytest.approx(left.mean() - right.mean())
    pairs = left.astype(float) - right
    drawn = stats.bootstrap((pairs,), np.mean, method="percentile", rng=1, n_resamples=5000)
    assert found.difference.low == pytest.approx(drawn.confidence_interval.low, abs=2e-3)
    assert found.difference.high == pytest.approx(drawn.confidence_interval.high, abs=2e-3)


def test_a_model_does_not_differ_from_itself() -> None:
    answers = np.random.default_rng(0).random(500) < 0.7
    found = compare(answers, answers)
    assert (found.difference.low, found.difference.high, found.p_value) == (0, 0, 1)
