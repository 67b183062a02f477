"""A report says why its accuracy is not the one that was reported, from what is known of both."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import pytest
from flask import Flask

from model_training.bundles.bundle import Bundle
from model_training.bundles.card import Card, Metrics, ReportedFigures
from model_training.recipes import Reported
from tests.conftest import TINY
from tests.page_client import PageClient
from tests.shelf import report_of
from webapp.comparison.why import why_different
from webapp.library import Result, load_library


def card_of(bundle: Bundle, test: float, train: float = 0.9, **reported: object) -> Card:
    """Return a card with these accuracies, of a network whose source reports 80 %."""
    measured = Metrics(images=100, accuracy=test, loss=1.0, calibration_error=0.1)
    figures = {"source": "Nobody", "test_accuracy": 0.8, "test_loss": None, "class_f1": {}}
    return bundle.card.model_copy(
        update={
            "metrics": {
                "train": measured.model_copy(update={"accuracy": train}),
                "test": measured,
            },
            "reported": ReportedFigures.model_validate(figures | reported),
        }
    )


def test_where_nothing_is_reported_or_known_nothing_is_said(tiny_bundle: Bundle) -> None:
    silent = tiny_bundle.card.model_copy(update={"reported": None})
    assert (why_different(silent), silent.difference) == (None, None)
    assert why_different(card_of(tiny_bundle, 0.9)) is None


def test_within_the_rounding_of_a_report_there_is_nothing_to_explain(tiny_bundle: Bundle) -> None:
    card = card_of(tiny_bundle, 0.8049, training="Adam for 15 epochs")
    assert why_different(card) == (
        "That is what its source reports, but for less than half a point."
    )


def test_more_or_fewer_points_have_their_reasons(tiny_bundle: Bundle) -> None:
    above = why_different(card_of(tiny_bundle, 0.85, training="Adam for 15 epochs"))
    assert above == (
        "5.0 percentage points more than its source reports: its source trained with Adam for 15 "
        "epochs, and here it took 2 epochs."
    )
    below = why_different(card_of(tiny_bundle, 0.7, train=0.99, chosen_on_test=True))
    assert below is not None and below.startswith("10.0 percentage points fewer")
    for words in (
        "its source made choices on the test images",
        "images were not learned from, to choose by",
        "by heart (99.0% are right)",
    ):
        assert words in below


def test_a_recipe_knows_more_than_a_card_of_before(tiny_bundle: Bundle) -> None:
    told = dataclasses.replace(TINY, reported=Reported("Nobody", 0.8, training="patience"))
    found = why_different(card_of(tiny_bundle, 0.85), told)
    assert found is not None and "its source trained with patience" in found


def test_figures_of_another_task_are_not_compared(tiny_bundle: Bundle) -> None:
    card = card_of(tiny_bundle, 0.95, task="ten classes")
    assert card.difference is None
    assert why_different(card) == (
        "The reported figure is of ten classes, another task: not to be compared."
    )


@pytest.fixture
def client(two_models: Flask, tiny_bundle: Bundle) -> Iterator[PageClient]:
    """A site with a model that learned from all images, of which its source says something."""
    final = tiny_bundle.card.training.model_copy(
        update={"all_data": True, "calibrated_by": "flask train tiny"}
    )
    reported = ReportedFigures(
        source="Nobody", test_accuracy=0.8, test_loss=None, class_f1={}, training="great care"
    )
    one = report_of(tiny_bundle, "final", 0.1, training=final, reported=reported)
    history = {name: values for name, values in one.history.items() if "validation" not in name}
    silent = dataclasses.replace(one, history=history)
    load_library(two_models).results["final"] = Result(silent)
    yield PageClient(two_models.test_client())
    del load_library(two_models).results["final"]


def test_the_reason_stands_on_the_page_and_in_its_twin(client: PageClient) -> None:
    twin, page = client.fetch("/models/final.json").get_json(), client.get("/models/final")
    assert "its source trained with great care" in twin["why_not_as_reported"]
    assert twin["why_not_as_reported"] in page.text


def test_curves_say_why_validation_is_missing(client: PageClient) -> None:
    page = client.get("/models/final")
    assert page.text.count("no line of validation: it learned from those images too") == 2
    lines = re.findall(r'<polyline class="chart-line chart-line-(\w+)"', page.html)
    assert lines == ["training", "training"]
    assert "no line of validation" not in client.get("/models/tiny").text
