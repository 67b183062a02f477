"""A report says why its accuracy is not the one that was reported, from what is known of both."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import pytest
from flask import Flask

from model_training.bundles.bundle import Bundle
from model_training.bundles.card import ReportedFigures
from tests.page_client import PageClient
from tests.shelf import report_of
from webapp.library import Result, load_library


@pytest.fixture
def client(two_models: Flask, tiny_bundle: Bundle) -> Iterator[PageClient]:
    """A site with a model that learned from all images, of which its source says something."""
    final = tiny_bundle.card.training.model_copy(
        update={"all_data": True, "calibrated_by": "flask train tiny"}
    )
    reported = ReportedFigures(source="Nobody", test_accuracy=0.8, test_loss=None, class_f1={})
    one = report_of(
        tiny_bundle, "final", 0.1, training=final, reported=reported, why="Ours had great care."
    )
    history = {name: values for name, values in one.history.items() if "validation" not in name}
    silent = dataclasses.replace(one, history=history)
    load_library(two_models).results["final"] = Result(silent)
    yield PageClient(two_models.test_client())
    del load_library(two_models).results["final"]


def test_the_reason_stands_on_the_page_and_in_its_twin(client: PageClient) -> None:
    twin, page = client.fetch("/models/final.json").get_json(), client.get("/models/final")
    assert twin["why_not_as_reported"] == "Ours had great care."
    assert "Ours had great care. All of its training" in page.text


def test_the_command_that_makes_a_network_again_names_its_bundle(
    two_models: Flask, tiny_bundle: Bundle, client: PageClient
) -> None:
    # With some images of each class its usual name would be another, which replaces nothing.
    training = tiny_bundle.card.training.model_copy(
        update={"changes": {"balance": "1000"}, "command": "flask train tiny --balance 1000"}
    )
    load_library(two_models).results["tiny"] = Result(
        report_of(tiny_bundle, "tiny", 0.1, training=training)
    )
    page = client.get("/models/tiny")
    assert "run flask train tiny --balance 1000 --output tiny --force" in page.text
    assert "trained on 1,000 of each class" in client.get("/models/").text


def test_a_reported_loss_stands_beside_ours(
    two_models: Flask, tiny_bundle: Bundle, client: PageClient
) -> None:
    reported = ReportedFigures(source="Nobody", test_accuracy=0.8, test_loss=0.69, class_f1={})
    one = report_of(tiny_bundle, "tiny", 0.1, reported=reported)
    load_library(two_models).results["tiny"] = Result(one)
    page = client.get("/models/tiny").text
    assert re.search(r"Nobody\. Its loss was 0\.69 ?, ours is \d\.\d+", page)
    row = client.get("/models/?show=figures").text
    assert "Reported loss" in row and "0.69" in row


def test_curves_say_why_validation_is_missing(client: PageClient) -> None:
    page = client.get("/models/final")
    assert page.text.count("no validation curve: it was trained on those images too") == 2
    lines = re.findall(r'<polyline class="chart-line chart-line-(\w+)"', page.html)
    assert lines == ["training", "training"]
    assert "no validation curve" not in client.get("/models/tiny").text
