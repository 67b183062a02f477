"""The training images nearest to a photo: which they are, how they look, where they are kept."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskCliRunner
from PIL import Image

from model_training.bundles.bundle import Bundle
from model_training.bundles.reading import read_bundle
from model_training.datasets.dataset import DataSet
from model_training.datasets.kept import keep, keep_once, read_kept
from model_training.datasets.pictures.remembered import (
    REMEMBERED,
    RememberedImages,
    read_remembered,
    write_remembered,
)
from model_training.explaining.neighbours import draws, nearest
from model_training.files import DamagedFile
from model_training.judging.out_of_distribution import Reference
from tests.conftest import SHIPPED_DATA, SHIPPED_MODELS
from tests.garden import make_garden
from webapp.answering.explaining import NearImage, nearest_images, nearest_in_words
from webapp.data_sets import ServedDataSet
from webapp.serving.classifier import Classifier

SHIPPED = SHIPPED_DATA / "cifar10" / REMEMBERED


def a_reference() -> tuple[Reference, np.ndarray]:
    features = np.random.default_rng(0).random((40, 12), np.float32)
    return Reference.remember(features, np.arange(40, dtype=np.uint8) % 4), features


def test_an_image_that_is_remembered_is_the_nearest_to_itself() -> None:
    reference, features = a_reference()
    near = nearest(reference, features[[7, 30]], 5)
    assert near.places.shape == near.labels.shape == near.likeness.shape == (2, 5)
    assert near.places[:, 0].tolist() == [7, 30]
    assert near.labels.tolist() == (near.places % 4).tolist()
    assert near.likeness[:, 0] == pytest.approx(1, abs=1e-3)
    assert (np.diff(near.likeness, axis=1) <= 0).all()
    everything = reference.likeness(features[[7]])[0]
    assert near.likeness[0] == pytest.approx(np.sort(everything)[::-1][:5], abs=1e-5)


def test_no_more_are_named_than_are_remembered() -> None:
    reference, features = a_reference()
    assert sorted(nearest(reference, features[:1], 99).places[0].tolist()) == list(range(40))


@pytest.fixture(scope="module")
def shipped() -> RememberedImages:
    return read_remembered(SHIPPED)


def test_the_pictures_that_ship_are_small_in_bytes_and_true_to_the_images(
    shipped: RememberedImages,
) -> None:
    assert SHIPPED.stat().st_size < 8e6
    assert (len(shipped), shipped.side) == (14_724, 32)
    assert shipped.indices.max() < 50_000 and (np.diff(shipped.indices) > 0).all()
    for place in (0, 5_000, len(shipped) - 1):
        with Image.open(io.BytesIO(shipped.picture(place)), formats=["WEBP"]) as picture:
            assert picture.size == (32, 32)


@pytest.mark.parametrize(
    "name", sorted(path.parent.name for path in SHIPPED_MODELS.glob("*/judge.npz"))
)
def test_what_every_shipped_judge_remembers_can_be_shown(
    name: str, shipped: RememberedImages
) -> None:
    judge = read_bundle(SHIPPED_MODELS / name).judge
    assert judge is not None and judge.reference is not None
    drawn = shipped.draw_of(judge.reference.remembered_labels)
    assert drawn is not None and len(drawn) == len(judge.reference.remembered)
    assert shipped.draw_of(judge.reference.remembered_labels[::-1]) is None


def test_one_file_keeps_the_images_of_every_draw(tmp_path: Path) -> None:
    data, told = make_garden(), []
    drawn = [np.array([3, 5, 9]), np.array([0, 5, 20])]
    path = tmp_path / REMEMBERED
    found = write_remembered(path, data, drawn, lambda *done: told.append(done))
    assert told[-1] == (5, 5)
    assert found.indices.tolist() == [0, 3, 5, 9, 20] and found.digest == data.digest
    for one in drawn:
        places = found.draw_of(data.train.labels[one])
        assert places is not None and found.indices[places].tolist() == one.tolist()
    seen = np.asarray(Image.open(io.BytesIO(found.picture(3))).convert("RGB"))
    others = [np.abs(seen.astype(int) - image).mean() for image in data.train.images]
    assert int(np.argmin(others)) == 9


def test_larger_images_are_kept_smaller(tmp_path: Path) -> None:
    found = write_remembered(tmp_path / REMEMBERED, make_garden().at_side(80), [np.arange(3)])
    assert found.side == 64
    assert Image.open(io.BytesIO(found.picture(2))).size == (64, 64)


BAD: dict[str, Callable[[dict[str, np.ndarray]], object]] = {
    "it has no ends": lambda stored: stored.pop("ends"),
    "its parts do not fit each other": lambda stored: stored.update(labels=stored["labels"][1:]),
    "its parts do not fit": lambda stored: stored.update(ends=stored["ends"][::-1].copy()),
    "its parts do": lambda stored: stored.update(draw_0=np.array([999], np.int32)),
    "its parts": lambda stored: stored.update(pictures=stored["pictures"][:-1]),
    "digest or side": lambda stored: stored.update(side=np.array("wide")),
}


@pytest.mark.parametrize("problem", BAD)
def test_a_damaged_file_is_named_and_all_else_of_the_data_set_served(
    problem: str, tmp_path: Path
) -> None:
    data = make_garden()
    folder = tmp_path / data.name
    keep(folder, data)
    write_remembered(folder / REMEMBERED, data, draws(data.train.labels))
    assert read_kept(folder).remembered is not None
    stored = dict(np.load(folder / REMEMBERED))
    BAD[problem](stored)
    np.savez(folder / REMEMBERED, **stored)
    with pytest.raises(DamagedFile, match=problem):
        read_remembered(folder / REMEMBERED)
    found = read_kept(folder)
    assert found.remembered is None and problem in found.problems[REMEMBERED]
    assert found.test is not None and found.statistics is not None
    sheet = folder / "test" / "00.webp"
    before = sheet.stat().st_mtime_ns
    keep_once(folder, data)
    assert sheet.stat().st_mtime_ns == before, "the test images are not written again for that"


def test_images_of_another_data_set_are_not_shown(tmp_path: Path) -> None:
    data, other = make_garden(), make_garden(seed=8)
    folder = tmp_path / data.name
    keep(folder, data)
    write_remembered(folder / REMEMBERED, other, draws(other.train.labels))
    found = read_kept(folder)
    assert found.remembered is None and "another data set" in found.problems[REMEMBERED]
    keep(folder, other)
    write_remembered(folder / REMEMBERED, other, draws(other.train.labels))
    keep(folder, data)
    assert not (folder / REMEMBERED).exists()


def served(data: DataSet, folder: Path, *, with_images: bool = True) -> ServedDataSet:
    kept = keep(folder / data.name, data)
    if with_images:
        path = kept.folder / REMEMBERED
        kept = dataclasses.replace(
            kept, remembered=write_remembered(path, data, draws(data.train.labels))
        )
    return ServedDataSet(data.name, data.title, data.classes, data.digest, kept)


def test_a_page_is_given_the_images_nearest_to_a_photo(
    tiny_bundle: Bundle, small_data: DataSet, tmp_path: Path
) -> None:
    """A training image is shown as its own nearest, with its number, class and picture."""
    data = dataclasses.replace(small_data, test=small_data.test.take(np.arange(100)))
    classifier, data_set = Classifier(tiny_bundle), served(data, tmp_path)
    number = int(draws(data.train.labels)[0][17])
    views = classifier.judge.views(Image.fromarray(data.train.images[number]))
    features = classifier.features([views])
    (by_features,) = classifier.judge.judge_features(features)
    (by_views,) = classifier.judge_views([views])
    assert np.allclose(by_features.probabilities, by_views.probabilities)
    near = nearest_images(classifier, data_set, features, 4)
    assert len(near) == 4
    assert near[0].number == number
    assert near[0].label == data.classes[data.train.labels[number]]
    kind, _, encoded = near[0].uri.partition(",")
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
        assert picture.size == (near[0].side, near[0].side) == (32, 32)
        shown = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(shown - data.train.images[number]).mean() < 10
    bare = served(data, tmp_path / "bare", with_images=False)
    assert nearest_images(classifier, bare, features) == []
    assert nearest_images(classifier, served(make_garden(), tmp_path), features) == []
    forgetful = dataclasses.replace(classifier.judge, reference=None)
    classifier.judge = forgetful
    assert nearest_images(classifier, data_set, features) == []


def test_a_sentence_counts_them() -> None:
    near = [NearImage(number, "dog", "", 32) for number in range(5)]
    assert nearest_in_words(near, "dog") == "All 5 are labelled dog."
    near.append(NearImage(5, "cat", "", 32))
    assert nearest_in_words(near, "cat") == "1 of the 6 is labelled cat."
    assert nearest_in_words(near, "ship").startswith("None of the 6 ")


def test_data_pack_keeps_the_images_of_ones_own(runner: FlaskCliRunner, tmp_path: Path) -> None:
    data = make_garden()
    np.savez(
        tmp_path / "finds.npz",
        x_train=data.train.images,
        y_train=data.train.labels,
        x_test=data.test.images,
        y_test=data.test.labels,
    )
    said = runner.invoke(args=["data", "pack", "--data", str(tmp_path / "finds.npz")])
    assert said.exit_code == 0, said.output
    assert "MB of the training images that answers are compared with" in said.output
    found = read_kept(runner.app.config["DATA_FOLDER"] / "finds")
    assert found.remembered is not None and not found.problems
    assert len(found.remembered) == len(data.train)
