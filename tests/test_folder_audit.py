"""A folder of one's own: pictures that are there twice and labels that are wrong are found."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskCliRunner
from PIL import Image

from model_training.auditing.folder_audit import SIDE, neighbours_vote
from model_training.datasets.catalog.cifar10 import CLASSES
from model_training.datasets.dataset import ImageSet
from tests.conftest import SHIPPED_MODELS, make_site

EACH = 24


@pytest.fixture(scope="module")
def folder(test_images: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Airplanes and frogs; frogs/23.png is an airplane, and frogs/22.png airplanes/0.png cut."""
    folder = tmp_path_factory.mktemp("own") / "flying"
    numbers = {
        name: np.flatnonzero(test_images.labels == CLASSES.index(name[:-1])).tolist()
        for name in ("airplanes", "frogs")
    }
    numbers["frogs"][23] = numbers["airplanes"][EACH]
    for name, chosen in numbers.items():
        (folder / name).mkdir(parents=True)
        for place, number in enumerate(chosen[:EACH]):
            picture = Image.fromarray(test_images.images[number])
            picture.resize((128, 96)).save(folder / name / f"{place:02d}.png")
    with Image.open(folder / "airplanes" / "00.png") as picture:
        picture.resize((100, 100), box=(8, 4, 124, 92)).save(folder / "frogs" / "22.png")
    (folder / "frogs" / "broken.jpg").write_bytes(b"no picture")
    (folder / "frogs" / "notes.txt").write_text("no picture either", encoding="utf-8")
    (folder / "empty").mkdir()
    (folder / ".hidden").mkdir()
    return folder


def test_a_picture_has_no_vote_on_itself() -> None:
    vectors = np.array([[1, 0], [0.99, 0.14], [0.98, 0.2], [0, 1], [0.1, 0.99], [0.14, 0.99]])
    labels = np.array([1, 0, 0, 1, 1, 1])
    vote = neighbours_vote(vectors.astype(np.float32), labels, 2, neighbours=2)
    assert vote.argmax(axis=1).tolist() == [0, 0, 0, 1, 1, 1]
    assert np.allclose(vote.sum(axis=1), 1)
    assert vote.min() > 0


def test_the_command_writes_what_it_found(folder: Path, tmp_path: Path) -> None:
    app = make_site(tmp_path, MODELS_FOLDER=SHIPPED_MODELS)
    runner: FlaskCliRunner = app.test_cli_runner()
    result = runner.invoke(args=["data", "audit", "--data", str(folder)])
    assert result.exit_code == 0, result.output
    assert f"{2 * EACH} pictures of 2 classes" in result.output
    report = tmp_path / "data" / "flying-audit.csv"
    assert str(report) in result.output
    rows = list(csv.DictReader(report.read_text(encoding="utf-8").splitlines()))
    copies = [row for row in rows if row["finding"] == "near-copy with another label"]
    assert [(row["file"], row["other file"]) for row in copies] == [
        ("airplanes/00.png", "frogs/22.png")
    ]
    suspects = {row["file"]: row for row in rows if row["finding"] == "suspected label error"}
    assert suspects["frogs/23.png"]["rather"] == "airplanes"
    assert len(suspects) < 6
    assert [row["file"] for row in rows if row["finding"] == "not a picture"] == [
        "frogs/broken.jpg",
        "frogs/notes.txt",
    ]


def test_a_network_that_sees_too_little_is_refused(folder: Path, tmp_path: Path) -> None:
    app = make_site(tmp_path, MODELS_FOLDER=SHIPPED_MODELS)
    runner: FlaskCliRunner = app.test_cli_runner()
    command = ["data", "audit", "--data", str(folder)]
    result = runner.invoke(args=[*command, "--features", "custom-cnn"])
    assert result.exit_code == 2 and "sees only 32 pixels" in result.output
    result = runner.invoke(args=[*command, "custom-cnn"])
    assert result.exit_code == 2 and "leave out the MODELs" in result.output
    assert SIDE // 3 == 32
