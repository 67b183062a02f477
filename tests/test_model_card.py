"""The model card: what a model is for, what it is not for, and what it was trained on."""

from __future__ import annotations

import dataclasses

import pytest
from sklearn.metrics import recall_score

from model_training.bundles.bundle import Bundle
from model_training.bundles.card import Card, Explanation
from model_training.judging.metrics import (
    ClassificationReport,
    classification_report,
    confusion_matrix,
)
from model_training.recipes import RECIPES
from tests.page_client import PageClient
from webapp.comparison.model_card import make_model_card


@pytest.fixture
def card(tiny_bundle: Bundle) -> Card:
    return tiny_bundle.card


@pytest.fixture
def scores(tiny_bundle: Bundle) -> ClassificationReport:
    stored = tiny_bundle.predictions
    confusion = confusion_matrix(stored.test.argmax(axis=1), stored.test_labels, 10)
    return classification_report(confusion, tuple(tiny_bundle.card.classes))


def test_it_stands_on_the_report_and_in_its_twin(client: PageClient, tiny_bundle: Bundle) -> None:
    page, twin = client.get("/models/tiny"), client.fetch("/models/tiny.json").get_json()
    found = twin["model_card"]
    assert found["command"] == tiny_bundle.card.training.command
    for sentence in (*found["good_for"], *found["not_for"], *found["trained_on"]):
        assert sentence in page.text
    assert f"<code>{found['command']}</code>" in page.html


def test_its_weakest_class_is_the_measured_one(
    card: Card, scores: ClassificationReport, tiny_bundle: Bundle
) -> None:
    stored = tiny_bundle.predictions
    recall = recall_score(stored.test_labels, stored.test.argmax(axis=1), average=None)
    words = f"Finding every {card.classes[recall.argmin()]}: it misses {1 - recall.min():.1%}"
    assert words in " ".join(make_model_card(card, scores, {}).not_for)


def test_a_class_without_test_images_is_not_its_weakest(
    card: Card, scores: ClassificationReport
) -> None:
    *others, best = sorted(scores.classes, key=lambda one: one.recall)
    empty = dataclasses.replace(best, recall=0.0, support=0)
    worst = dataclasses.replace(others[0], recall=0.25)
    rest = [dataclasses.replace(one, recall=0.5) for one in others[1:]]
    fewer = dataclasses.replace(scores, classes=[empty, worst, *rest])
    said = " ".join(make_model_card(card, fewer, {}).not_for)
    assert f"Finding every {worst.name}: it misses 75.0% of them, more than of any other" in said
    level = dataclasses.replace(
        scores, classes=[empty, worst, dataclasses.replace(worst, name="b")]
    )
    assert "of no other class more" in " ".join(make_model_card(card, level, {}).not_for)


def test_it_says_what_was_learned_from(card: Card, scores: ClassificationReport) -> None:
    first, second = make_model_card(card, scores, {}).trained_on
    training = card.training
    assert f"CIFAR-10: it learned from {training.images:,} images" in first
    assert f"every choice was made on {training.validation_images:,} others" in first
    assert second == (
        "While it learned, each image was varied: shifts of up to 1 pixel each way, reflected at "
        "the edge; every image mirrored in every second epoch."
    )
    began = training.model_copy(update={"pretrained": "ImageNet weights: a file", "all_data": True})
    final = make_model_card(card.model_copy(update={"training": began}), scores, {}).trained_on
    assert "after every choice had been made on a part of them" in final[0]
    assert final[1] == "Before that: ImageNet weights."


# Somebody's own recipe need not say so.
@pytest.mark.parametrize(
    "name", [name for name, one in RECIPES.items() if one.parameters and one.data_set == "cifar10"]
)
def test_every_recipe_says_what_it_is_for(
    name: str, card: Card, scores: ClassificationReport
) -> None:
    use = RECIPES[name].use
    assert use.good_for and use.not_for
    of_it = card.model_copy(update={"recipe": name})
    found = make_model_card(of_it, scores, RECIPES)
    assert set(use.good_for) < set(found.good_for) and set(use.not_for) < set(found.not_for)


def test_it_says_what_maps_of_its_evidence_are_worth(
    card: Card, scores: ClassificationReport
) -> None:
    assert make_model_card(card, scores, {}).explained == []
    facts = {
        "method": "occlusion",
        "quick": "occlusion",
        "scores": {"occlusion": 0.5, "blob": 0.3},
        "milliseconds": {"occlusion": 100.0},
        "images": 40,
        "set_on": "photos",
        "command": "flask models explain tiny --photos",
    }
    for low, words in ((0.1, "better than a blob"), (-0.1, "No map of the evidence")):
        margins = {"occlusion": (low, 0.3), "blob": (0.0, 0.0)}
        measured = Explanation.model_validate(facts | {"margins": margins})
        (said,) = make_model_card(
            card.model_copy(update={"explanation": measured}), scores, {}
        ).explained
        assert words in said and "0.50" in said and "0.30" in said and "40 photos" in said
