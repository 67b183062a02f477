"""Animals-7: photos that do not ship, taken in equal numbers; and the networks made for them."""

from __future__ import annotations

import csv
import tarfile
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskCliRunner
from PIL import Image

from model_training.datasets.catalog import animals7
from model_training.datasets.dataset import DataError
from model_training.datasets.folders.balanced import (
    divide_evenly,
    list_pictures,
    pictures_digest,
)
from model_training.datasets.folders.review import read_review
from model_training.datasets.registry import recognise
from model_training.recipes import RECIPES, find_recipe

COUNTS = dict(zip(animals7.CLASSES, (14, 11, 10, 12, 13, 10, 15), strict=True))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Class folders of small JPEG photos, some grey, each another."""
    rng = np.random.default_rng(7)
    folder = tmp_path / "animals7"
    for name, count in COUNTS.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            width, height = ((140, 110), (110, 140), (120, 120))[number % 3]
            noise = rng.integers(0, 256, (height // 10, width // 10, 3), np.uint8)
            picture = Image.fromarray(noise).resize((width, height))
            picture.convert("L" if number == 0 else "RGB").save(folder / name / f"{number}.jpg")
    return folder


@pytest.fixture
def known_photos(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as if they were the photos of Animals-7."""
    digest = pictures_digest(*list_pictures(photos))
    monkeypatch.setattr(animals7, "PICTURES_DIGEST", digest)
    monkeypatch.setattr(animals7, "TRAIN_IMAGES", 7 * 8)
    monkeypatch.setattr(animals7, "TEST_IMAGES", 7 * 2)
    return photos


def test_equally_many_of_each_class_are_taken_and_a_fifth_is_for_the_test(
    known_photos: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "images.npz"
    data = animals7.load(cache, known_photos)
    assert data.classes == animals7.CLASSES and data.side == 100
    assert np.bincount(data.train.labels).tolist() == [8] * 7
    assert np.bincount(data.test.labels).tolist() == [2] * 7
    assert data.digest == animals7.DIGEST

    archive = tmp_path / "animals7.tar"
    with tarfile.open(archive, "w") as packed:
        packed.add(known_photos, "animals7")
    same = animals7.load(cache, archive)
    assert np.array_equal(same.train.images, data.train.images)
    # What files are called changes nothing.
    first = known_photos / "cat" / "3.jpg"
    first.rename(first.with_name("renamed.jpg"))
    assert np.array_equal(animals7.load(cache, known_photos).test.images, data.test.images)


def test_other_photos_are_refused_and_it_is_said_what_to_give(photos: Path, tmp_path: Path) -> None:
    cache = tmp_path / "images.npz"
    with pytest.raises(DataError, match="85 files in 7 class folders are not the 15,094 photos"):
        animals7.load(cache, photos)
    told = "could not be had. Its photos do not ship: give --data the folder or the .tar archive"
    with pytest.raises(DataError, match=told):
        animals7.load(cache)
    (tmp_path / "broken.tar").write_bytes(b"no archive")
    with pytest.raises(DataError, match="neither a folder nor a whole .tar archive"):
        animals7.load(cache, tmp_path / "broken.tar")


def test_a_class_that_is_smaller_than_asked_for_is_named(photos: Path) -> None:
    classes, pictures = list_pictures(photos)
    with pytest.raises(DataError, match="11 images of each class .* chicken has 10"):
        divide_evenly(classes, pictures, 0.2, each=11)
    train, test = divide_evenly(classes, pictures, 0.2, each=5)
    assert (len(train), len(test)) == (7 * 4, 7 * 1)


def test_photos_that_are_there_twice_or_in_two_classes_are_not_taken_twice(photos: Path) -> None:
    copied = (photos / "cat" / "1.jpg").read_bytes()
    (photos / "cat" / "again.jpg").write_bytes(copied)
    (photos / "horse" / "a-cat.jpg").write_bytes((photos / "cat" / "2.jpg").read_bytes())
    classes, pictures = list_pictures(photos)
    parts = divide_evenly(classes, pictures, 0.2)
    digests = [one.digest for part in parts for one in part]
    assert len(digests) == len(set(digests)) == 7 * 10
    contradicted = {one.digest for one in pictures if one.path.name == "a-cat.jpg"}
    assert not contradicted & set(digests)


def test_the_archive_is_recognised_by_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "somewhere" / "butterfly"
    folder.mkdir(parents=True)
    for name in ("000925a2769e.jpg", "001fe3c751bb.jpg"):
        (folder / name).write_bytes(b"")
    assert recognise(folder.parent) == animals7.DATA_SET


def test_the_review_says_what_the_source_looked_at(
    photos: Path, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    archive, table = tmp_path / "some.tar", tmp_path / "files.csv"
    with tarfile.open(archive, "w") as packed:
        packed.add(photos, "photos")
    told = runner.invoke(
        args=["data", "review", str(archive), "--name", "some", "--files", str(table)]
    )
    assert told.exit_code == 0, told.output
    made = read_review(Path(runner.app.instance_path) / "data" / "some" / "review.json")
    butterfly = made.classes[0]
    assert butterfly.modes == {"RGB": 13, "L": 1} and butterfly.formats == {"JPEG": 14}
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 85 and len({row["hash"] for row in rows}) == 85
    first = next(row for row in rows if row["path"] == "cat/0.jpg")
    first.pop("hash")
    assert first == {
        "width": "140",
        "height": "110",
        "mode": "L",
        "format": "JPEG",
        "orientation": "landscape",
        "path": "cat/0.jpg",
        "label": "cat",
    }
    page = runner.app.test_client().get("/dataset/some").get_data(as_text=True)
    assert "Modes" in page and "RGB 13, L 1" in page


def test_the_small_network_is_the_sources_for_ten_classes() -> None:
    base = find_recipe("animals-base")
    assert base.build(classes=10).count_params() == 4_354_378
    assert base.reported is not None and base.reported.task == "ten classes, another task"
    of_animals = [one for one in RECIPES.values() if one.name.startswith("animals-")]
    assert {one.data_set for one in of_animals} == {"animals7"} and len(of_animals) == 7
