"""The bundles that ship: their figures are recomputed, from predictions and from the network."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from flask import Flask
from PIL import Image
from scipy.special import softmax
from sklearn.metrics import accuracy_score

from model_training.bundles.bundle import Bundle
from model_training.bundles.reading import read_bundle, read_bundles
from model_training.datasets.dataset import ImageSet
from model_training.judging.metrics import predict
from model_training.recipes import find_recipe
from tests.conftest import DEFAULT_MODEL, SHIPPED_MODELS, make_site
from tests.page_client import PageClient
from tests.report import check_report
from webapp.serving.classifier import Classifier

BUNDLES, BAD = read_bundles(SHIPPED_MODELS)
# A quick try of somebody's own is in the same folder, and none of this test's business.
SHIPPED = [bundle for bundle in BUNDLES if bundle.name == bundle.card.recipe]
each_bundle = pytest.mark.parametrize("bundle", SHIPPED, ids=[bundle.name for bundle in SHIPPED])


@pytest.fixture(scope="module")
def client() -> PageClient:
    return PageClient(shipped_site().test_client())


def shipped_site() -> Flask:
    return make_site(SHIPPED_MODELS.parent, DEFAULT_MODEL=DEFAULT_MODEL)


def test_the_default_model_ships() -> None:
    assert BAD == {}
    assert DEFAULT_MODEL in {bundle.name for bundle in SHIPPED}


@each_bundle
def test_every_figure_of_the_report_comes_from_the_predictions(
    bundle: Bundle, client: PageClient
) -> None:
    check_report(client.get(f"/models/{bundle.name}"), bundle)


@each_bundle
def test_the_card_says_what_the_predictions_say(bundle: Bundle, test_images: ImageSet) -> None:
    stored = bundle.predictions
    assert np.array_equal(stored.test_labels, test_images.labels)
    for part in ("test", "validation"):
        labels, answers = getattr(stored, f"{part}_labels"), getattr(stored, part)
        measured = accuracy_score(labels, answers.argmax(axis=1))
        assert bundle.card.metrics[part].accuracy == pytest.approx(measured)
    assert bundle.card.parameters == find_recipe(bundle.card.recipe).parameters


@each_bundle
def test_the_shipped_network_gives_its_stored_predictions_again(
    bundle: Bundle, test_images: ImageSet
) -> None:
    model = keras.saving.load_model(bundle.model_path, compile=False)
    # All of them where that takes seconds, a part where it would take minutes.
    some = np.arange(0, len(test_images), 1 if bundle.card.parameters < 1_500_000 else 20)
    again = predict(model, test_images.images[some])
    stored, labels = bundle.predictions.test[some], test_images.labels[some]
    # Another processor rounds otherwise, and may turn an image that was on the edge.
    assert np.allclose(again, stored, atol=1e-3)
    assert accuracy_score(labels, again.argmax(axis=1)) == pytest.approx(
        accuracy_score(labels, stored.argmax(axis=1)), abs=2e-3 if len(some) < 10_000 else 2e-4
    )


@each_bundle
def test_the_site_gives_its_stored_predictions_calibrated(
    bundle: Bundle, test_images: ImageSet
) -> None:
    some = slice(0, len(test_images), 500)
    judged = Classifier(bundle).judge_pictures([*map(Image.fromarray, test_images.images[some])])
    logarithms = np.log(bundle.predictions.test[some].astype(np.float64) + 1e-30)
    calibrated = softmax(logarithms / bundle.card.calibration.temperature, axis=1)
    said = np.array([one.probabilities for one in judged])
    assert said == pytest.approx(calibrated, abs=1e-3)


@each_bundle
def test_the_threshold_keeps_most_test_images(bundle: Bundle, test_images: ImageSet) -> None:
    classifier = Classifier(bundle)
    assert bundle.files["judge.npz"].stat().st_size <= 2_200_000
    some = test_images.images[::50]
    known = [one.known for one in classifier.judge_pictures([*map(Image.fromarray, some)])]
    # 95 % of the validation images; 200 others are within two standard errors of that.
    assert np.mean(known) == pytest.approx(0.95, abs=0.035)


def test_the_model_that_answers_visitors_refuses_most_noise() -> None:
    classifier = Classifier(read_bundle(SHIPPED_MODELS / DEFAULT_MODEL))
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (50, 8, 8, 3), np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    judged = classifier.judge_pictures([*map(Image.fromarray, noise)])
    assert np.mean([one.known for one in judged]) < 0.5


@each_bundle
def test_every_network_shows_where_it_looked(bundle: Bundle, test_images: ImageSet) -> None:
    classifier = Classifier(bundle)
    number = int(bundle.predictions.test.max(axis=1).argmax())
    label = classifier.classes[int(bundle.predictions.test[number].argmax())]
    found = classifier.heat(test_images.images[number], label)
    assert found.max() == 1 and min(found.shape) >= 3
    # What it is surest of fills much of a small picture, but never all of it evenly.
    assert 0.02 < found.mean() < 0.9


def test_the_custom_cnn_beats_the_figure_that_was_reported() -> None:
    card = shipped("custom-cnn").card
    assert card.reported
    assert card.metrics["test"].accuracy >= 0.925 > card.reported.test_accuracy
    assert card.training.seconds <= 3600
    assert (card.training.images, card.training.all_data) == (45_000, False)


@pytest.mark.parametrize(
    ("name", "averaged", "minutes"), [("fast-cnn", 0.94, 12), ("best-cnn", 0.96, 180)]
)
def test_a_network_of_our_own_is_as_good_and_as_quick_as_was_asked(
    name: str, averaged: float, minutes: int
) -> None:
    card = shipped(name).card
    assert card.averaged["test"].accuracy >= averaged
    assert card.training.seconds <= 60 * minutes


@pytest.mark.parametrize(
    ("name", "plain"), [("vgg16-finetuned", 0.93), ("mobilenetv2-finetuned", 0.95)]
)
def test_a_tuned_network_is_as_good_as_was_asked(name: str, plain: float) -> None:
    assert shipped(name).card.metrics["test"].accuracy >= plain


def shipped(name: str) -> Bundle:
    """The bundle of that name."""
    (bundle,) = (one for one in SHIPPED if one.name == name)
    return bundle
