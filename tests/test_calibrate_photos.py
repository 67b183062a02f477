"""`flask calibrate NAME --photos FOLDER`: verdicts are set on photos of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from PIL import Image

from model_training.bundles.bundle import Bundle
from model_training.bundles.reading import read_bundle

PHOTOS = 44


@pytest.fixture
def bundle(empty_site: Flask, tiny_bundle: Bundle) -> Path:
    return Path(shutil.copytree(tiny_bundle.path, empty_site.config["MODELS_FOLDER"] / "tiny"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Noise of two brightnesses: dark photos are cats and dogs, bright ones teapots."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "holiday"
    for kind, least in (("cat", 0), ("dog", 0), ("teapot", 180)):
        (folder / kind).mkdir(parents=True)
        for number in range(PHOTOS):
            pixels = rng.integers(least, least + 70, (36, 48, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / kind / f"{number:02}.png")
    return folder


def calibrate(runner: FlaskCliRunner, *words: object) -> str:
    result = runner.invoke(args=["calibrate", "tiny", "--photos", *map(str, words)])
    return f"{result.exit_code} {result.output}"


def test_one_half_sets_the_verdicts_and_the_other_measures_them(
    runner: FlaskCliRunner, bundle: Path, photos: Path
) -> None:
    before = read_bundle(bundle)
    said = calibrate(runner, photos)
    assert said.startswith("0 ")
    assert "tiny: set on 44 photos of the classes and 22 of anything else" in said
    assert "Measured on the other half of the photos in holiday: 44 photos of the classes" in said
    after = read_bundle(bundle)
    assert after.judge is not None and before.judge is not None
    threshold = after.judge.threshold
    assert threshold.novelty < before.judge.threshold.novelty
    assert threshold.rates is not None
    assert (threshold.rates.photos, threshold.rates.strangers) == (44, 22)
    for verdict, share in zip(
        ("known", "unsure", "stranger"), threshold.rates.of_photos, strict=True
    ):
        assert f"{verdict:9} {share:6.1%} of the photos" in said
    for name in ("model.keras", "predictions.npz", "history.csv"):
        assert after.card.files[name] == before.card.files[name]


def test_what_is_no_photo_is_named_and_left_out(
    runner: FlaskCliRunner, bundle: Path, photos: Path
) -> None:
    (photos / "cat" / "00.png").write_bytes(b"no picture")
    (photos / "dog" / ".hidden").write_bytes(b"")
    said = calibrate(runner, photos)
    assert "left out: " in said and "cat/00.png" in said and ".hidden" not in said
    assert "set on 43 photos of the classes" in said
    assert bundle.is_dir()


def test_too_few_photos_change_nothing(runner: FlaskCliRunner, bundle: Path, photos: Path) -> None:
    for path in [*(photos / "cat").iterdir(), *sorted((photos / "dog").iterdir())[10:]]:
        path.unlink()
    before = (bundle / "card.json").read_bytes()
    said = calibrate(runner, photos)
    assert said.startswith("1") and "5 photos of the classes are too few" in said
    assert (bundle / "card.json").read_bytes() == before


@pytest.mark.usefixtures("bundle")
def test_a_folder_without_photos_of_a_class_is_refused(
    runner: FlaskCliRunner, photos: Path
) -> None:
    for kind in ("cat", "dog"):
        shutil.rmtree(photos / kind)
    said = calibrate(runner, photos)
    assert said.startswith("1") and "has no folder with photos of a class of tiny" in said


@pytest.mark.usefixtures("bundle")
def test_photos_and_a_data_set_exclude_each_other(runner: FlaskCliRunner, photos: Path) -> None:
    assert "--photos needs no data set" in calibrate(runner, photos, "--dataset", "cifar10")
