"""`flask predict`: the site's answers on the command line."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from PIL import Image

from model_training.bundles.bundle import Bundle
from model_training.bundles.reading import read_bundle
from model_training.bundles.writing import replace_judge
from model_training.datasets.catalog.cifar10 import CLASSES
from model_training.datasets.dataset import ImageSet
from model_training.judging.parts.verdicts import Familiarity
from tests import pictures
from tests.conftest import make_site
from tests.exports import like_a_photo
from webapp.cli import predict
from webapp.library import load_library


@pytest.fixture(scope="module")
def two(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A site whose default model knows everything, and one that knows nothing."""
    models = tmp_path_factory.mktemp("models")
    for name in ("tiny", "strict"):
        shutil.copytree(tiny_bundle.path, models / name)
    card = json.loads((models / "strict" / "card.json").read_text())
    (models / "strict" / "card.json").write_text(json.dumps(card | {"name": "strict"}))
    strict = read_bundle(models / "strict")
    assert strict.judge is not None
    threshold = strict.judge.threshold.model_copy(update={"novelty": -1e6})
    replace_judge(strict, dataclasses.replace(strict.judge, threshold=threshold))
    return make_site(tmp_path_factory.mktemp("instance"), MODELS_FOLDER=models)


@pytest.fixture
def cli(two: Flask) -> FlaskCliRunner:
    return two.test_cli_runner()


@pytest.fixture
def photos(test_images: ImageSet, tmp_path: Path) -> list[Path]:
    """A photo in each of three shapes, and a test image."""
    made = {"wide.jpg": (300, 200), "tall.webp": (200, 300), "large.jpg": (1400, 1100)}
    for name, size in made.items():
        like_a_photo(test_images, *size).save(tmp_path / name)
    Image.fromarray(test_images.images[3]).save(tmp_path / "small.png")
    return [tmp_path / name for name in (*made, "small.png")]


def ask_the_site(site: Flask, photo: Path, model: str) -> dict[str, Any]:
    answer = site.test_client().post(
        "/api/classify",
        data={"image": (io.BytesIO(photo.read_bytes()), photo.name), "model": model},
        content_type="multipart/form-data",
    )
    return dict(answer.get_json())


def run(cli: FlaskCliRunner, *arguments: object) -> tuple[int, list[str], str]:
    """The exit status, the lines of the output, and what went to the error output."""
    result = cli.invoke(args=["predict", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, result.stdout.splitlines(), result.stderr


@pytest.mark.parametrize("at_a_time", [2, 32])
@pytest.mark.parametrize("model", ["tiny", "strict"])
def test_json_is_what_the_api_gives_for_the_same_file(
    model: str,
    at_a_time: int,
    cli: FlaskCliRunner,
    two: Flask,
    photos: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predict, "AT_A_TIME", at_a_time)
    status, lines, _errors = run(cli, *photos, "--json", "--model", model)
    assert status == 0
    assert len(lines) == len(photos)
    for photo, line in zip(photos, lines, strict=True):
        found, site = json.loads(line), ask_the_site(two, photo, model)
        assert found.pop("file") == str(photo)
        assert set(found) == set(site)
        for name in ("model", "label", "known"):
            assert found[name] == site[name]
        assert found["novelty"] == pytest.approx(site["novelty"], abs=1e-4)
        assert found["probabilities"] == pytest.approx(site["probabilities"], abs=1e-5)
        shares = list(found["probabilities"].values())
        assert shares == sorted(shares, reverse=True), "the most probable class comes first"


def test_the_table_says_the_answer_its_probability_and_the_second(
    cli: FlaskCliRunner, two: Flask, photos: list[Path]
) -> None:
    status, (head, *rows), _errors = run(cli, *photos)
    assert status == 0
    assert head.split() == ["photo", "answer", "probability", "second"]
    for photo, row in zip(photos, rows, strict=True):
        shares = ask_the_site(two, photo, "tiny")["probabilities"]
        first, second = sorted(shares, key=shares.__getitem__, reverse=True)[:2]
        assert row.split() == [
            str(photo),
            first,
            f"{shares[first]:.1%}",
            second,
            f"{shares[second]:.1%}",
        ]
        assert row.index(first, len(str(photo))) == head.index("answer")


def test_what_the_site_would_call_perhaps_a_class_is_called_that_with_its_percentage(
    cli: FlaskCliRunner, two: Flask, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = load_library(two).classifiers["tiny"]
    threshold = classifier.judge.threshold.model_copy(
        update={"novelty": 1e6, "unsure": -1e6, "familiarity": Familiarity(centre=0.0, slope=1e-9)}
    )
    unsure = dataclasses.replace(classifier.judge, threshold=threshold)
    monkeypatch.setattr(classifier, "judge", unsure)
    monkeypatch.setattr(predict, "default_classifier", lambda: classifier)
    _status, (_head, row), _errors = run(cli, photos[0])
    site = ask_the_site(two, photos[0], "tiny")
    # As likely as not that the photo shows any of the classes.
    share = site["probabilities"][site["label"]] / 2
    assert f"perhaps {site['label']} {share:.1%}" in " ".join(row.split())


def test_a_name_that_no_file_can_have_is_a_row(cli: FlaskCliRunner, photos: list[Path]) -> None:
    status, (_head, first, _second), _errors = run(cli, "n" * 300, photos[0])
    assert status == 1 and "not answered" in first and "File name too long" in first


def test_what_is_none_of_the_classes_is_called_that(
    cli: FlaskCliRunner, two: Flask, photos: list[Path]
) -> None:
    _status, (_head, row), _errors = run(cli, photos[0], "--model", "strict")
    site = ask_the_site(two, photos[0], "strict")
    share = site["probabilities"][site["label"]]
    assert row.removeprefix(str(photos[0])).split() == [
        *"none of these".split(),
        site["label"],
        f"{share:.1%}",
    ]


def test_what_cannot_be_read_is_a_row_and_the_rest_is_answered(
    cli: FlaskCliRunner, photos: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "note.txt").write_bytes(pictures.not_an_image())
    (tmp_path / "half.jpg").write_bytes(pictures.truncated_jpeg())
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "album").mkdir()
    os.mkfifo(tmp_path / "pipe")
    bad = {
        "note.txt": ("not-an-image", "is not a picture this site can open"),
        "half.jpg": ("damaged-photo", "damaged or incomplete"),
        "empty.jpg": ("empty-file", "That file is empty"),
        "album": ("unreadable-file", f"is a folder. Give the photos in it: {tmp_path}/album/*"),
        "pipe": ("unreadable-file", "That is no file"),
        "gone.jpg": ("unreadable-file", "It cannot be read: No such file or directory"),
    }
    paths = [photos[0], *(tmp_path / name for name in bad), photos[1]]
    status, lines, errors = run(cli, *paths, "--json")
    assert status == 1
    assert errors.splitlines()[-1] == "Not answered: 6 of 8."
    first, *problems, last = map(json.loads, lines)
    assert first["label"] in CLASSES and last["label"] in CLASSES
    for problem, (name, (code, words)) in zip(problems, bad.items(), strict=True):
        assert problem["file"] == str(tmp_path / name)
        assert problem["error"]["code"] == code
        assert words in problem["error"]["detail"]
    status, (_head, _first, *rows, _last), errors = run(cli, *paths)
    assert (status, errors.splitlines()[-1]) == (1, "Not answered: 6 of 8.")
    for row, (name, (_code, words)) in zip(rows, bad.items(), strict=True):
        assert row.startswith(str(tmp_path / name))
        assert "not answered: " in row and words in row


def test_a_folder_alone_is_refused_at_once_with_what_to_give(
    cli: FlaskCliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "Classifier", None)  # No model is loaded for that.
    status, _lines, errors = run(cli, tmp_path)
    assert status == 2
    assert f"Give the photos in it: {tmp_path}/*" in " ".join(errors.split())


def test_the_sites_limits_hold_here_too(
    two: Flask, cli: FlaskCliRunner, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide, _tall, large, _small = photos
    for name, most in (("MAX_PHOTO_PIXELS", 60_000), ("MAX_PHOTO_BYTES", wide.stat().st_size)):
        with monkeypatch.context() as patch:
            patch.setitem(two.config, name, most)
            _status, lines, _errors = run(cli, wide, large, "--json")
        assert "label" in json.loads(lines[0])
        assert json.loads(lines[1])["error"]["code"] == "photo-too-large"


def test_a_name_cannot_command_the_terminal(
    cli: FlaskCliRunner, photos: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "a\x1b[31mb.jpg"
    shutil.copy(photos[0], path)
    _status, (_head, row), _errors = run(cli, path)
    assert "\x1b" not in row and r"\x1b[31mb.jpg" in row


def test_many_photos_show_how_far_it_is(
    cli: FlaskCliRunner, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "AT_A_TIME", 2)
    _status, lines, errors = run(cli, *photos)
    assert len(lines) == 5
    assert "photos" in errors
    _status, _lines, errors = run(cli, *photos[:2])
    assert errors == ""


def test_another_model_than_the_default_answers_where_that_is_not_there(
    tiny_bundle: Bundle, photos: list[Path], tmp_path: Path
) -> None:
    site = make_site(
        tmp_path, MODELS_FOLDER=tiny_bundle.path.parent, DEFAULT_MODEL="mobilenetv2-frozen"
    )
    _status, lines, errors = run(site.test_cli_runner(), photos[0], "--json")
    assert json.loads(lines[0])["model"] == "tiny"
    assert "The default model mobilenetv2-frozen cannot answer (it is not here): tiny" in errors


def test_a_model_that_the_site_may_not_use_does_not_answer_in_its_place(
    tiny_bundle: Bundle, photos: list[Path], tmp_path: Path
) -> None:
    site = make_site(
        tmp_path,
        MODELS_FOLDER=tiny_bundle.path.parent,
        DEFAULT_MODEL="mobilenetv2-frozen",
        MODELS="mobilenetv2-frozen",
    )
    result = site.test_cli_runner().invoke(args=["predict", str(photos[0])])
    assert result.exit_code == 1 and "No model can answer (none is here)" in result.output


def test_without_a_model_or_with_a_damaged_one_it_says_so(
    tiny_bundle: Bundle, photos: list[Path], tmp_path: Path
) -> None:
    site = make_site(tmp_path, MODELS_FOLDER=tmp_path / "models")
    cli = site.test_cli_runner()
    status, _lines, errors = run(cli, photos[0])
    assert (status, "No model can answer (none is here)" in errors) == (1, True)
    shutil.copytree(tiny_bundle.path, tmp_path / "models" / "tiny")
    status, _lines, errors = run(cli, photos[0], "--model", "nobody")
    assert (status, "no model called 'nobody' here. Available: tiny" in errors) == (2, True)
    assert "--model" in errors
    bundle = read_bundle(tmp_path / "models" / "tiny")
    assert bundle.judge is not None
    other = dataclasses.replace(bundle.judge, kernel=np.zeros_like(bundle.judge.kernel))
    replace_judge(bundle, other)
    status, _lines, errors = run(cli, photos[0], "--model", "tiny")
    assert status == 1
    assert "tiny cannot answer: its judge was made for another network" in errors
    status, _lines, errors = run(cli, photos[0])
    assert (status, "No model can answer (tiny: its judge was" in errors) == (1, True)
