"""Intervals and tests are the textbook's: written out, tabulated, or drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from model_training.judging.intervals import accuracy_interval, compare, mcnemar


def coin(left_only: int, right_only: int) -> float:
    """The probability of a split at least as uneven, every throw counted."""
    throws, fewer = left_only + right_only, min(left_only, right_only)
    ways = sum(math.comb(throws, heads) for heads in range(fewer + 1))
    return min(1.0, 2 * ways / (1 << throws))


@pytest.mark.parametrize(
    ("left_only", "right_only"), [(0, 0), (1, 0), (5, 5), (12, 30), (400, 333), (1, 900)]
)
def test_mcnemars_test_throws_a_coin_for_each_disagreement(left_only: int, right_only: int) -> None:
    expected = coin(left_only, right_only)
    assert mcnemar(left_only, right_only) == pytest.approx(expected, rel=1e-6, abs=1e-300)


@pytest.mark.parametrize(
    ("right", "of"), [(10, 10), (0, 10), (1, 1), (9, 10), (1800, 2000), (9533, 10_000)]
)
def test_the_interval_of_an_accuracy_is_wilsons(right: int, of: int) -> None:
    interval = accuracy_interval(np.arange(of) < right)
    assert interval.value == right / of
    z = 1.959964
    middle = (right + z**2 / 2) / (of + z**2)
    width = z / (of + z**2) * math.sqrt(right * (of - right) / of + z**2 / 4)
    assert interval.low == pytest.approx(middle - width, abs=1e-6)
    assert interval.high == pytest.approx(middle + width, abs=1e-6)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_ten_right_of_ten_is_no_proof_of_a_model_that_never_errs() -> None:
    interval = accuracy_interval(np.ones(10, bool))
    assert (round(interval.low, 2), interval.high) == (0.72, 1)


def test_no_answers_have_no_accuracy() -> None:
    with pytest.raises(ValueError):
        accuracy_interval(np.zeros(0, bool))


def test_an_interval_holds_the_true_accuracy_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    tests = [accuracy_interval(rng.random(200) < 0.93) for _ in range(400)]
    held = np.mean([one.low <= 0.93 <= one.high for one in tests])
    assert held == pytest.approx(0.95, abs=0.03)


def test_two_models_are_compared_image_by_image() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.random(3000) < 0.9, rng.random(3000) < 0.85
    found = compare(left, right)
    assert found.images == found.both + found.neither + found.left_only + found.right_only == 3000
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
