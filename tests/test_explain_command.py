"""`flask models explain`: what a network is explained by is measured, and then used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from PIL import Image
from pydantic import ValidationError

from model_training.bundles.bundle import CARD, Bundle
from model_training.bundles.card import Card, Explanation
from model_training.bundles.reading import read_bundle
from model_training.bundles.writing import replace_explanation
from model_training.datasets.dataset import ImageSet
from model_training.explaining.methods import CONTROLS, METHODS
from model_training.explaining.samples import of_photos
from tests.conftest import SHIPPED_DATA, make_site
from webapp.answering.explaining import explain, worth
from webapp.serving.classifier import Classifier


def measured(**changes: object) -> Explanation:
    """A card's part: occlusion is the best, and LayerCAM of the quick ones."""
    names = (*METHODS, *CONTROLS)
    facts = {
        "method": "occlusion",
        "quick": "layer-cam",
        "scores": {name: 0.3 for name in names} | {"occlusion": 0.5},
        "margins": {name: (-0.1, 0.1) for name in names} | {"occlusion": (0.1, 0.3)},
        "milliseconds": {name: 2.0 for name in METHODS},
        "images": 40,
        "set_on": "photos",
        "command": "flask models explain tiny --photos",
    }
    return Explanation.model_validate(facts | changes)


@pytest.fixture
def own(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A copy of the small network's bundle that a test may change."""
    shutil.copytree(tiny_bundle.path, tmp_path / "models" / "tiny")
    return read_bundle(tmp_path / "models" / "tiny")


@pytest.fixture
def home(own: Bundle, tmp_path: Path) -> Flask:
    return make_site(tmp_path / "home", MODELS_FOLDER=own.path.parent, DATA_FOLDER=SHIPPED_DATA)


@pytest.fixture
def own_runner(home: Flask) -> FlaskCliRunner:
    return home.test_cli_runner()


def test_what_is_measured_is_kept_in_the_card_and_used(
    own: Bundle, own_runner: FlaskCliRunner
) -> None:
    before = {path.name: path.read_bytes() for path in own.path.iterdir()}
    assert own.card.explanation is None
    said = own_runner.invoke(args=["models", "explain", "tiny", "--images", "4"])
    assert said.exit_code == 0, said.output
    after = {path.name: path.read_bytes() for path in own.path.iterdir()}
    assert [name for name in before if before[name] != after[name]] == [CARD]
    bundle = read_bundle(own.path)
    found = bundle.card.explanation
    assert found is not None
    assert bundle.card.model_copy(update={"explanation": None}) == own.card
    assert set(found.scores) == set(found.margins) == {*METHODS, *CONTROLS}
    assert set(found.milliseconds) == set(METHODS)
    assert (found.images, found.set_on) == (4, "test images")
    assert METHODS[found.quick].quick
    for name, score in found.scores.items():
        assert f"{name} " in said.output and f"{score:.3f}" in said.output
    classifier = Classifier(bundle)
    assert classifier.quick_method == found.quick
    view = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    label = classifier.classes[0]
    quick = classifier.explain(view, label, found.quick)
    assert np.array_equal(classifier.heat(view, label), quick)


def test_photos_of_ones_own_are_measured_on(
    own: Bundle, own_runner: FlaskCliRunner, test_images: ImageSet, tmp_path: Path
) -> None:
    for number in range(12):
        folder = tmp_path / "photos" / own.card.classes[int(test_images.labels[number])]
        folder.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(test_images.images[number])
        for copy in range(2):  # One of each goes to each half.
            image.resize((90, 60)).save(folder / f"{number:02d}-{copy}.png")
    arguments = ["models", "explain", "tiny", "--photos", str(tmp_path / "photos")]
    said = own_runner.invoke(args=[*arguments, "--images", "5"])
    assert said.exit_code == 0, said.output
    found = read_bundle(own.path).card.explanation
    assert found is not None and (found.images, found.set_on) == (5, "photos")
    assert str(tmp_path) not in (own.path / CARD).read_text("utf-8"), "no path of this machine"
    few = own_runner.invoke(args=arguments)
    assert few.exit_code != 0 and "40 are asked" in few.output
    assert read_bundle(own.path).card.explanation == found


def test_photos_are_taken_alike_from_every_class(tmp_path: Path) -> None:
    for name, count in (("cat", 9), ("dog", 3), ("other", 5)):
        (tmp_path / name).mkdir()
        for number in range(count):
            colour = (count, number, 0)
            Image.new("RGB", (8, 8), colour).save(tmp_path / name / f"{number}.png")
    (tmp_path / "dog" / "2.png").write_bytes(b"no picture")
    chosen, reported = of_photos(tmp_path, ("cat", "dog"), 3, 10_000)
    seen = [[np.asarray(one)[0, 0] for one in half] for half in (chosen, reported)]
    seen = [[(int(one[0]), int(one[1])) for one in half] for half in seen]
    assert not set(seen[0]) & set(seen[1]), "none is in both"
    assert [one[0] for one in seen[1]] == [9, 3, 9]
    assert all(one[1] % 2 == 0 for one in seen[0]) and all(one[1] % 2 for one in seen[1])
    with pytest.raises(ValueError, match="no folder that is named after"):
        of_photos(tmp_path, ("ship",), 3, 10_000)


def test_without_pictures_the_command_says_where_to_get_them(
    own: Bundle, own_runner: FlaskCliRunner, tmp_path: Path
) -> None:
    bare = make_site(
        tmp_path / "bare", MODELS_FOLDER=own.path.parent, DATA_FOLDER=tmp_path / "nothing"
    ).test_cli_runner()
    said = bare.invoke(args=["models", "explain", "tiny"])
    assert said.exit_code != 0 and "flask data pack" in said.output and "--photos" in said.output
    (tmp_path / "empty").mkdir()
    said = own_runner.invoke(
        args=["models", "explain", "tiny", "--photos", str(tmp_path / "empty")]
    )
    assert said.exit_code != 0 and "named after one of the classes" in said.output
    assert read_bundle(own.path).card.explanation is None


def test_a_network_says_what_its_maps_are_worth(own: Bundle) -> None:
    unmeasured = Classifier(own)
    view = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    label, other = unmeasured.classes[:2]
    shown = Image.new("RGB", (96, 64))
    first = explain(unmeasured, view, shown, label)
    assert first is not None and first.worth is None
    assert (first.method, first.title) == ("grad-cam", "Grad-CAM")
    classifier = Classifier(replace_explanation(own, measured()))
    quick = explain(classifier, view, shown, label, against=other)
    assert quick is not None
    assert (quick.method, quick.label, quick.against) == ("layer-cam", label, other)
    assert quick.uri.startswith("data:image/") and quick.words
    assert quick.worth is not None and "not reliably better than a blob" in quick.worth
    best = worth(classifier, "occlusion")
    assert best is not None and "better than a blob" in best
    assert "On 40 photos" in best and "0.50" in best and "0.30" in best


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("nothing-like-it",), "not in"),
        (("airplane", "tea-leaves"), "no method 'tea-leaves'"),
        (("airplane", None, "airplane"), "against itself"),
        (("airplane", None, "teapot"), "not in"),
    ],
)
def test_what_cannot_be_explained_is_refused(
    own: Bundle, arguments: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        Classifier(own).explain(np.zeros((32, 32, 3), np.uint8), *arguments)


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "tea-leaves"},
        {"quick": "occlusion-2"},
        {"margins": {"occlusion": (0.1, 0.2)}},
        {"scores": {"occlusion": 2.0, "layer-cam": 0.1}},
        {"images": 0},
        {"milliseconds": {"occlusion": -1.0}},
        {"unknown": 1},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_card_with_a_bad_measurement_is_refused(own: Bundle, wrong: dict[str, object]) -> None:
    card = json.loads((own.path / CARD).read_text("utf-8"))
    card["explanation"] = measured().model_dump(mode="json")
    Card.model_validate(card)
    with pytest.raises(ValidationError):
        Card.model_validate(card | {"explanation": card["explanation"] | wrong})
