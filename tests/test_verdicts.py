"""Three verdicts: how they are set on photos, what they cost, and how strange is told."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from model_training.judging.parts.on_photos import (
    JudgedPhotos,
    fit_familiarity,
    lower_quantile,
    set_on_photos,
    upper_quantile,
)
from model_training.judging.parts.verdicts import Familiarity, Threshold

THREE = Threshold(novelty=4.0, unsure=2.0, kept=0.95, set_on="the tests")
TWO = Threshold(novelty=4.0, kept=0.95, set_on="the tests")


def photos(count: int, apart: float = 4.0, seed: int = 0) -> JudgedPhotos:
    """As many strangers as photos of the classes, `apart` in novelty; nine in ten are right."""
    rng = np.random.default_rng(seed)
    stranger = np.arange(2 * count) % 2 == 1
    novelty = rng.normal(size=2 * count) + apart * stranger
    return JudgedPhotos(novelty, ~stranger & (np.arange(2 * count) % 22 > 1), stranger)


def halves(judged: JudgedPhotos) -> np.ndarray:
    return np.asarray(np.arange(len(judged.novelty)) // 2 % 2 == 0)


@pytest.mark.parametrize(
    ("novelty", "verdict"),
    [(-5, "known"), (2.0, "known"), (2.01, "unsure"), (4.0, "unsure"), (4.01, "stranger")],
)
def test_the_thresholds_belong_to_the_milder_verdict(novelty: float, verdict: str) -> None:
    assert THREE.verdict(novelty) == verdict


def test_with_one_threshold_nothing_is_unsure() -> None:
    assert [TWO.verdict(value) for value in (3.9, 4.1)] == ["known", "stranger"]


def test_the_scale_rises_with_novelty_and_has_the_thresholds_at_its_thirds() -> None:
    values = np.linspace(-50, 50, 2001)
    for threshold in (THREE, TWO):
        places = [threshold.strangeness(value) for value in values]
        assert all(0 <= place <= 1 for place in places)
        assert (np.diff(places) >= 0).all()
        for value, place in zip(values, places, strict=True):
            third = ("known", "unsure", "stranger").index(threshold.verdict(value))
            assert third / 3 <= place <= (third + 1) / 3 + 1e-9
    assert THREE.strangeness(2.0) == pytest.approx(1 / 3)
    assert THREE.strangeness(4.0) == pytest.approx(2 / 3)


def test_no_novelty_is_too_large_for_the_scale() -> None:
    curve = Familiarity(centre=0, slope=1)
    assert (THREE.strangeness(-1e300), THREE.strangeness(1e300)) == pytest.approx((0, 1))
    assert (curve.at(-1e300), curve.at(1e300)) == pytest.approx((1, 0))


def test_what_is_unsure_lies_below_what_is_a_stranger() -> None:
    with pytest.raises(ValidationError, match="below"):
        Threshold(novelty=1.0, unsure=2.0, kept=0.95, set_on="the tests")


def test_photos_set_thresholds_that_hold_for_others_like_them() -> None:
    refused, mistaken = [], []
    for seed in range(40):
        judged = photos(200, seed=seed)
        _threshold, rates = set_on_photos(judged, halves(judged), "photos of the tests")
        refused.append(rates.of_photos[2])
        mistaken.append(rates.of_strangers[0])
    assert np.mean(refused) == pytest.approx(0.05, abs=0.012)
    assert np.mean(mistaken) == pytest.approx(0.015, abs=0.01)


def test_the_rates_are_those_of_the_half_that_set_nothing() -> None:
    judged = photos(200)
    chosen = halves(judged)
    novelty = np.where(chosen, judged.novelty, 1e6)
    moved = JudgedPhotos(novelty, judged.right, judged.stranger)
    threshold, rates = set_on_photos(moved, chosen, "photos of the tests")
    assert rates.of_photos == rates.of_strangers == (0, 0, 1)
    assert threshold.novelty < 1e6
    assert threshold.rates == rates
    assert (rates.photos, rates.strangers) == (100, 100)


def test_a_verdict_is_right_as_often_as_its_photos_are() -> None:
    judged = photos(200)
    _threshold, rates = set_on_photos(judged, halves(judged), "photos of the tests")
    assert rates.right[0] == pytest.approx(0.9, abs=0.05)
    assert sum(rates.of_photos) == pytest.approx(1)


def test_probability_falls_where_strangers_are_as_likely() -> None:
    judged = photos(500)
    curve = fit_familiarity(judged.novelty[~judged.stranger], judged.novelty[judged.stranger])
    assert curve is not None
    assert curve.centre == pytest.approx(2, abs=0.2)
    assert curve.at(2) == pytest.approx(0.5, abs=0.1)
    assert curve.at(-1) > 0.99
    assert curve.at(5) < 0.01


def test_novelty_that_tells_nothing_makes_no_probability() -> None:
    same = np.array([1.0, 2.0, 3.0])
    assert fit_familiarity(same + 1, same) is None


def test_without_strangers_one_threshold_is_set_and_no_probability() -> None:
    judged = photos(200)
    known = judged.take(~judged.stranger)
    threshold, rates = set_on_photos(known, np.arange(200) % 2 == 0, "photos of the tests")
    assert threshold.unsure == threshold.novelty
    assert threshold.familiarity is None
    assert rates.strangers == 0


def test_too_few_photos_set_nothing() -> None:
    judged = photos(30)
    with pytest.raises(ValueError, match="15 photos of the classes are too few"):
        set_on_photos(judged, halves(judged), "photos of the tests")


def test_quantiles_are_those_of_a_finite_sample() -> None:
    values = np.arange(1, 20.0)  # 19: one more exceeds the largest one in twenty times.
    assert upper_quantile(values, 0.05) == 19
    assert upper_quantile(values, 0.5) == 10
    assert lower_quantile(values, 0.05, otherwise=-1) == pytest.approx(1)
    assert lower_quantile(values[:5], 0.05, otherwise=-1) == -1
