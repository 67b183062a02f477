"""Calibration that is more than a temperature, where validation says that this is not enough."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError

from model_training.judging.calibration import Calibrator, fit_calibrator, scale_by_temperature
from model_training.judging.metrics import calibration_bins, calibration_error
from tests.conftest import PROJECT


def overconfident(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of four classes that are right less often the surer they are: no temperature
    mends that."""
    rng = np.random.default_rng(seed)
    stated = rng.uniform(0.4, 1, count)
    labels = np.where(
        rng.random(count) < 0.4 + 0.5 * (stated - 0.4) ** 2, 0, rng.integers(1, 4, count)
    )
    rest = (1 - stated)[:, None] * rng.dirichlet([1, 1, 1], count)
    return np.c_[stated, rest], labels


def test_isotonic_regression_is_chosen_where_a_temperature_is_not_enough() -> None:
    found = fit_calibrator(*overconfident(4000), "the tests")
    assert found.method == "isotonic"
    others, labels = overconfident(4000, seed=1)
    plain = scale_by_temperature(others, found.temperature)
    stated = found.of_probabilities(others)
    for by in ("width", "mass"):
        assert calibration_error(stated, labels, by=by) < 0.6 * calibration_error(
            plain, labels, by=by
        )


def test_a_temperature_is_kept_where_it_is_enough() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(4000, 5)) * 2
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(5, p=row) for row in honest])
    found = fit_calibrator(scale_by_temperature(honest, 0.5), labels, "the tests")
    assert found.temperature == pytest.approx(2, rel=0.1)
    stated = found.of_probabilities(scale_by_temperature(honest, 0.5))
    assert calibration_error(stated, labels) < 0.02


def test_calibration_changes_no_answer_and_sums_to_one() -> None:
    probabilities, labels = overconfident(2000)
    stated = fit_calibrator(probabilities, labels, "the tests").of_probabilities(probabilities)
    np.testing.assert_allclose(stated.sum(axis=1), 1)
    assert (stated >= 0).all()
    largest = stated[np.arange(len(stated)), probabilities.argmax(axis=1)]
    np.testing.assert_allclose(largest, stated.max(axis=1))


STEPS = {
    "the shipped fast-cnn's": tuple(
        json.loads((PROJECT / "instance/models/fast-cnn/card.json").read_text())["calibration"][
            "steps"
        ]
    ),
    "some that say next to nothing": ((0.0, 0.01), (1.0, 0.02)),
}


@pytest.mark.parametrize("whose", STEPS)
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_steps_leave_every_answer_its_label(classes: int, whose: str) -> None:
    calibrator = Calibrator(
        method="isotonic", temperature=1.5, steps=STEPS[whose], set_on="the tests"
    )
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.full(classes, 0.3), 20_000).astype(np.float32)
    probabilities[:1_000, 1] = probabilities[:1_000, 0]  # two are level; of them the first is named
    labels = probabilities.argmax(axis=1)
    stated = calibrator.of_probabilities(probabilities)
    assert (stated.argmax(axis=1) == labels).all()
    assert (stated.astype(np.float32).argmax(axis=1) == labels).all()


def test_few_images_fit_a_temperature_alone() -> None:
    assert fit_calibrator(*overconfident(60), "the tests").method == "temperature"


@pytest.mark.parametrize(
    "steps", [((0.5, 0.6), (0.4, 0.7)), ((0.5, 0.6), (0.6, 0.5)), ((0.5, 1.2),)]
)
def test_steps_that_fall_are_refused(steps: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValidationError):
        Calibrator(method="isotonic", temperature=1.0, steps=steps, set_on="the tests")


def test_steps_and_their_method_go_together() -> None:
    with pytest.raises(ValidationError, match="has steps"):
        Calibrator(method="isotonic", temperature=1.0, set_on="the tests")
    with pytest.raises(ValidationError, match="has steps"):
        Calibrator(temperature=1.0, steps=((0.1, 0.2),), set_on="the tests")


def test_bins_of_equal_mass_find_what_bins_of_equal_width_hide() -> None:
    """Half of a sure network's images are stated at 0.99 and half at 0.94, in one wide bin."""
    labels = np.zeros(1000, int)
    stated = np.r_[np.full(500, 0.99), np.full(500, 0.94)]
    labels[:35] = 1
    probabilities = np.c_[stated, 1 - stated]
    assert calibration_error(probabilities, labels) < 0.01
    assert calibration_error(probabilities, labels, by="mass") > 0.04
    counts = [one.count for one in calibration_bins(probabilities, labels, by="mass")]
    assert max(counts) - min(counts) <= 1
