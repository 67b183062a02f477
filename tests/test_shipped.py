"""The bundles that ship: their figures are recomputed, from predictions and from the network."""

from __future__ import annotations

import numpy as np
import pytest
from flask import Flask
from PIL import Image

from model_training.auditing.audit import calibrated
from model_training.bundles.bundle import Bundle
from model_training.bundles.reading import read_bundles
from model_training.datasets.dataset import ImageSet
from model_training.judging.calibration import fit_temperature, scale_by_temperature
from model_training.judging.metrics import accuracy, calibration_error, cross_entropy
from model_training.recipes import find_recipe
from tests.conftest import DEFAULT_MODEL, SHIPPED_MODELS, make_site
from tests.page_client import PageClient
from tests.report import check_report
from webapp.library import Library, load_library

BUNDLES, BAD = read_bundles(SHIPPED_MODELS)
# A quick try of somebody's own is in the same folder, and none of this test's business.
SHIPPED = [bundle for bundle in BUNDLES if bundle.name == bundle.card.recipe]
each_bundle = pytest.mark.parametrize("bundle", SHIPPED, ids=[bundle.name for bundle in SHIPPED])


@pytest.fixture(scope="module")
def site() -> Flask:
    return make_site(SHIPPED_MODELS.parent, DEFAULT_MODEL=DEFAULT_MODEL)


@pytest.fixture(scope="module")
def library(site: Flask) -> Library:
    return load_library(site)


@pytest.fixture(scope="module")
def client(site: Flask) -> PageClient:
    return PageClient(site.test_client())


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
        card = bundle.card.metrics[part]
        # As many digits as a page or a command ever prints, and one more.
        assert f"{accuracy(answers, labels):.5f}" == f"{card.accuracy:.5f}"
        assert f"{cross_entropy(answers, labels):.5f}" == f"{card.loss:.5f}"
        assert f"{calibration_error(answers, labels):.5f}" == f"{card.calibration_error:.5f}"
    calibration = bundle.card.calibration
    fitted = fit_temperature(stored.validation, stored.validation_labels)
    assert f"{fitted:.4g}" == f"{calibration.temperature:.4g}"
    calibrated = scale_by_temperature(stored.test, calibration.temperature)
    error = calibration_error(calibrated, stored.test_labels)
    assert f"{error:.5f}" == f"{calibration.test_error:.5f}"
    assert bundle.card.parameters == find_recipe(bundle.card.recipe).parameters


@each_bundle
def test_every_shipped_network_gives_its_stored_answers_again(
    bundle: Bundle, library: Library, test_images: ImageSet
) -> None:
    # A few images: `make release-check` asks about all of them.
    some = np.arange(0, len(test_images), 400)
    classifier = library.classifiers[bundle.name]
    features = classifier.backend.features(test_images.images[some])
    again = classifier.judge.probabilities(features)
    # Another processor rounds otherwise.
    assert np.allclose(again, calibrated(bundle)[some], atol=2e-3)


def test_the_model_that_answers_visitors_refuses_most_noise(library: Library) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (50, 8, 8, 3), np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    judged = library.classifiers[DEFAULT_MODEL].judge_pictures([*map(Image.fromarray, noise)])
    assert np.mean([one.known for one in judged]) < 0.5


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
