"""The bundles that ship: their figures are recomputed, from predictions and from the network."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from flask import Flask
from PIL import Image
from scipy.special import softmax

from model_training.auditing.audit import calibrated
from model_training.bundles.bundle import Bundle
from model_training.bundles.reading import read_bundles
from model_training.datasets.catalog.cifar10 import TITLE as CIFAR_10
from model_training.datasets.dataset import ImageSet
from model_training.datasets.registry import find_known
from model_training.judging.calibration import fit_calibrator
from model_training.judging.metrics import accuracy, calibration_error, cross_entropy
from model_training.recipes import find_recipe
from model_training.training.why import Reached, why
from tests.conftest import DEFAULT_MODEL, PROJECT, SHIPPED_MODELS, make_site
from tests.page_client import PageClient
from tests.report import check_report
from webapp.library import Library, load_library

BUNDLES, BAD = read_bundles(SHIPPED_MODELS)
# A quick try of somebody's own is in the same folder, and none of this test's business.
SHIPPED = [bundle for bundle in BUNDLES if bundle.name == bundle.card.recipe]
NETWORKS = [bundle for bundle in SHIPPED if bundle.model_path is not None]
each_bundle = pytest.mark.parametrize("bundle", SHIPPED, ids=[bundle.name for bundle in SHIPPED])
each_network = pytest.mark.parametrize("bundle", NETWORKS, ids=[one.name for one in NETWORKS])


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
def test_why_its_accuracy_is_not_the_reported_one_follows_from_its_card(bundle: Bundle) -> None:
    card = bundle.card
    reached = Reached.of(card.training, card.metrics, bundle.history.get("validation_accuracy", []))
    told = why(find_recipe(card.recipe), reached) if card.reported else None
    assert card.why == told


@each_bundle
def test_every_figure_of_the_report_comes_from_the_predictions(
    bundle: Bundle, client: PageClient
) -> None:
    check_report(client.get(f"/models/{bundle.name}"), bundle)


@each_bundle
def test_the_card_says_what_the_predictions_say(bundle: Bundle, test_images: ImageSet) -> None:
    stored = bundle.predictions
    if bundle.card.training.data_set == CIFAR_10:
        assert np.array_equal(stored.test_labels, test_images.labels)
    for part in ("test", "validation"):
        labels, answers = getattr(stored, f"{part}_labels"), getattr(stored, part)
        card = bundle.card.metrics[part]
        # As many digits as a page or a command ever prints, and one more.
        assert f"{accuracy(answers, labels):.5f}" == f"{card.accuracy:.5f}"
        assert f"{cross_entropy(answers, labels):.5f}" == f"{card.loss:.5f}"
        assert f"{calibration_error(answers, labels):.5f}" == f"{card.calibration_error:.5f}"
    calibration = bundle.card.calibration
    fitted = fit_calibrator(stored.validation, stored.validation_labels, "validation")
    assert fitted.method == calibration.method
    assert f"{fitted.temperature:.4g}" == f"{calibration.temperature:.4g}"
    assert np.allclose(fitted.steps, calibration.steps, atol=1e-4)
    stated = calibration.calibrated(stored.test)
    for by, said in (("width", calibration.test_error), ("mass", calibration.test_error_by_mass)):
        error = calibration_error(stated, stored.test_labels, by=by)  # type: ignore[arg-type]
        assert f"{error:.5f}" == f"{said:.5f}"
        # A network that answers visitors is held to it; of the others it is only told.
        assert error <= 0.01 or bundle.model_path is None
    assert bundle.card.parameters == find_recipe(bundle.card.recipe).parameters


@each_network
def test_every_shipped_network_gives_its_stored_answers_again(
    bundle: Bundle, library: Library, test_images: ImageSet
) -> None:
    # A few images: `make release-check` asks about all of them.
    some = np.arange(0, len(test_images), 400)
    classifier = library.classifiers[bundle.name]
    features = classifier.backend.features(test_images.images[some])
    own = softmax(classifier.judge.own_logits(features), axis=1)
    # Another processor rounds otherwise.
    assert np.allclose(own, bundle.predictions.test[some], atol=2e-3)
    if classifier.judge.pretrained is None:
        again = classifier.judge.probabilities(features)
        assert np.allclose(again, calibrated(bundle)[some], atol=2e-3)


def test_efficientnet_lite0_sees_what_the_published_network_sees(library: Library) -> None:
    """The figures are those that its converted weights were published to give for this picture."""
    row = np.arange(224) * 255 / 223
    across, down = np.meshgrid(row, row)
    picture = np.stack([across, down, (across + down) / 2], axis=-1).round().astype(np.uint8)
    classifier = library.classifiers["efficientnet-lite0"]
    roots = classifier.backend.features(picture[None])
    features = np.square(roots)[0]
    assert features[:6] == pytest.approx([0, 0, 0.07718, 0.12816, 0, 0], abs=2e-4)
    assert np.linalg.norm(features) == pytest.approx(13.3207, abs=2e-3)
    head = classifier.judge.pretrained
    assert head is not None
    logits = features @ head.kernel.astype(np.float32) + head.bias
    first = np.argsort(-logits)[:5]
    assert first.tolist() == [818, 644, 604, 782, 844]
    assert softmax(logits)[first[:2]] == pytest.approx([0.0750, 0.0358], abs=1e-3)
    assert head.kinds[818] == "spotlight"


def test_a_program_is_told_of_the_coffee_what_the_readme_says(site: Flask) -> None:
    told = re.search(r"```json\n(.*?)```", (PROJECT / "README.md").read_text("utf-8"), re.DOTALL)
    assert told is not None
    expected = json.loads(told[1])
    photo = (PROJECT / "static" / "examples" / "coffee.jpg").read_bytes()
    sent = {"image": (io.BytesIO(photo), "coffee.jpg")}
    found = site.test_client().post("/api/classify", data=sent).get_json()
    familiarity = expected.pop("familiarity")
    assert found.pop("familiarity") == pytest.approx(familiarity, abs=1e-4)
    assert list(found["probabilities"]) == list(expected["probabilities"])
    probabilities = expected.pop("probabilities")
    assert found.pop("probabilities") == pytest.approx(probabilities, abs=0.002)
    for name in ("novelty", "threshold"):
        assert found.pop(name) == pytest.approx(expected.pop(name), rel=0.01)
    assert found == expected


def test_the_model_that_answers_visitors_refuses_most_noise(library: Library) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (50, 8, 8, 3), np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    classifier = library.classifiers[DEFAULT_MODEL]
    views = [classifier.judge.views(Image.fromarray(image)) for image in noise]
    judged = classifier.judge_views(views)
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


def test_the_photos_of_animals7_were_reviewed_as_the_catalogue_describes_them(
    client: PageClient,
) -> None:
    animals = find_known("animals7")
    page = client.get("/dataset/animals7/review")
    told = client.fetch("/dataset/animals7/review.json").get_json()
    counts = {one["name"]: one["pictures"] for one in told["classes"]}
    assert f"<h1>{animals.title}</h1>" in page.html
    assert f"{min(counts.values()):,} of each" in animals.about.lead
    cards = [one.card for one in SHIPPED if one.card.training.data_set == animals.title]
    assert cards and all(card.classes == list(counts) for card in cards)
