"""`flask models`: what is here, and keeping it tidy."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskCliRunner

from model_training.bundles.bundle import Bundle
from model_training.bundles.reading import read_bundle
from model_training.training import checkpoint
from tests.conftest import TINY


@pytest.fixture
def instance(runner: FlaskCliRunner) -> Path:
    return Path(runner.app.instance_path)


@pytest.fixture
def models(instance: Path, tiny_bundle: Bundle) -> Path:
    """A folder with one sound bundle, one that is only a report, and a damaged one."""
    folder = instance / "models"
    for name in ("tiny", "report", "broken"):
        shutil.copytree(tiny_bundle.path, folder / name)
    (folder / "broken" / "model.keras").unlink()
    card = json.loads((folder / "report" / "card.json").read_text())
    card |= {"name": "report", "title": "A large one"}
    for file in ("model.keras", "judge.npz"):
        (folder / "report" / file).unlink()
        del card["files"][file]
    (folder / "report" / "card.json").write_text(json.dumps(card))
    card = json.loads((folder / "broken" / "card.json").read_text())
    (folder / "broken" / "card.json").write_text(json.dumps(card | {"name": "broken"}))
    return folder


@pytest.fixture
def left_behind(instance: Path, models: Path) -> Path:
    """What trainings leave: one in its second epoch, features, and half a model."""
    training = instance / "training"
    settings = {"recipe": "tiny", "phases": [{"epochs": 2}, {"epochs": 3}]}
    row: dict[str, object] = {
        "epoch": 1,
        "learning_rate": 0.1,
        "loss": 2.0,
        "accuracy": 0.2,
        "seconds": 3.0,
    }
    row |= {"validation_loss": None, "validation_accuracy": None}
    progress = {"settings": settings, "command": "flask train tiny --seed 7", "history": [row]}
    (training / "mine").mkdir(parents=True)
    checkpoint.save(training / "mine", TINY.build(), None, progress)
    (training / "old").mkdir()
    (training / "old" / checkpoint.STATE_NAME).write_bytes(b"half")
    (training / "features").mkdir()
    np.save(training / "features" / "0123.npy", np.zeros(250_000, np.float16))
    (training / "features" / "0123.seconds").write_text("12.0")
    half = models / ".tiny-abcd1234"
    half.mkdir()
    (half / "model.keras").write_bytes(bytes(3_000_000))
    os.utime(half, (0, 0))
    return training


def invoke(runner: FlaskCliRunner, *arguments: str, answer: str = "", code: int = 0) -> str:
    result = runner.invoke(args=["models", *arguments], input=answer)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def test_the_list_has_a_line_for_each_model(
    runner: FlaskCliRunner, models: Path, tiny_bundle: Bundle
) -> None:
    head, report, tiny, broken = invoke(runner, "list").splitlines()
    assert head.split() == ["name", "accuracy", "data", "set", "size", "network", "title"]
    accuracy = f"{tiny_bundle.card.metrics['test'].accuracy:.4f}"
    taken = sum(file.stat().st_size for file in (models / "tiny").iterdir()) / 1e6
    assert tiny.split() == ["tiny", accuracy, "CIFAR-10", f"{taken:.1f}", "MB", "default"] + [
        "Tiny",
        "network",
    ]
    assert "report only" in report and report.endswith("A large one")
    assert broken.startswith("broken is damaged and left out (")
    assert broken.endswith("model.keras is missing")


def test_an_empty_list_says_what_to_do(runner: FlaskCliRunner) -> None:
    assert "No model is here yet: `flask train custom-cnn`" in invoke(runner, "list")


@pytest.mark.usefixtures("left_behind")
def test_the_list_shows_what_trainings_have_left_behind(runner: FlaskCliRunner) -> None:
    lines = invoke(runner, "list").splitlines()
    mine = next(line for line in lines if line.startswith("  mine: "))
    assert "an unfinished training after 1 of 5 epochs, in phase 1 of 2, last saved on 20" in mine
    assert "begun with `flask train tiny --seed 7`" in mine
    old = next(line for line in lines if line.startswith("  old: "))
    assert "cannot be read" in old and "damaged" in old
    assert "  features: features of frozen layers, in 2 files, 0.5 MB" in lines
    assert "  .tiny-abcd1234: a model that was not written to the end, 3.0 MB" in lines


def test_a_model_is_removed_after_asking(runner: FlaskCliRunner, models: Path) -> None:
    refused = invoke(runner, "remove", "report", answer="n\n", code=1)
    assert "report: A large one, test accuracy 0." in refused and "for good?" in refused
    assert (models / "report").exists()
    invoke(runner, "remove", "report", answer="y\n")
    assert not (models / "report").exists()
    removed = invoke(runner, "remove", "broken", "tiny", "--yes")
    assert "broken: damaged: model.keras is missing" in removed
    assert "tiny was the model that answers visitors. Set DEFAULT_MODEL" in removed
    assert list(models.iterdir()) == []


def test_nothing_is_removed_where_one_name_is_wrong(runner: FlaskCliRunner, models: Path) -> None:
    refused = invoke(runner, "remove", "tiny", "tinny", "--yes", code=2)
    assert "no model called 'tinny' here. Available: broken, report, tiny." in refused
    assert (models / "tiny").exists()


def test_a_folder_that_may_be_something_else_is_left_as_it_is(
    runner: FlaskCliRunner, models: Path
) -> None:
    (models / "notes").mkdir()
    (models / "notes" / "thesis.txt").write_text("three years of work")
    refused = invoke(runner, "remove", "notes", "--yes", code=1)
    assert "notes is left as it is: it holds neither card.json nor model.keras" in refused
    assert (models / "notes" / "thesis.txt").exists()


def test_a_model_gets_another_name(runner: FlaskCliRunner, models: Path) -> None:
    network = (models / "tiny" / "model.keras").read_bytes()
    told = invoke(runner, "rename", "tiny", "mine")
    assert "tiny is called mine now" in told and "Set DEFAULT_MODEL" in told
    assert read_bundle(models / "mine").name == "mine"
    assert (models / "mine" / "model.keras").read_bytes() == network
    assert not (models / "tiny").exists()


@pytest.mark.usefixtures("left_behind")
def test_an_unfinished_training_keeps_its_name(
    runner: FlaskCliRunner, instance: Path, models: Path
) -> None:
    shutil.copytree(instance / "training" / "mine", instance / "training" / "tiny")
    told = invoke(runner, "rename", "tiny", "other")
    assert "An unfinished training of tiny is there too, and keeps that name." in told


@pytest.mark.parametrize(
    ("name", "new", "words", "code"),
    [
        ("tiny", "report", "something called 'report' already", 1),
        ("tiny", "Tiny", "lower-case letters", 1),
        ("nobody", "mine", "no model called 'nobody'", 2),
        ("broken", "mine", "damaged: model.keras is missing", 1),
    ],
)
def test_a_name_that_cannot_be_given_is_refused(
    name: str, new: str, words: str, code: int, runner: FlaskCliRunner, models: Path
) -> None:
    assert words in invoke(runner, "rename", name, new, code=code)
    assert sorted(path.name for path in models.iterdir()) == ["broken", "report", "tiny"]


def test_what_was_left_behind_is_cleaned_up_after_asking(
    runner: FlaskCliRunner, left_behind: Path, models: Path
) -> None:
    asked = invoke(runner, "clean", answer="n\n", code=1)
    assert asked.count("MB") == 4 and (left_behind / "mine").exists()
    one = invoke(runner, "clean", "mine", "--yes")
    assert "begun with `flask train tiny --seed 7`" in one
    assert sorted(path.name for path in left_behind.iterdir()) == ["features", "old"]
    told = invoke(runner, "clean", answer="y\n")
    assert told.endswith("3.5 MB freed\n")
    assert [path.name for path in left_behind.rglob("*")] == ["features"]
    assert sorted(path.name for path in models.iterdir()) == ["broken", "report", "tiny"]
    assert invoke(runner, "clean") == "Nothing was left behind.\n"
    assert "nothing called 'mine' was left behind" in invoke(runner, "clean", "mine", code=2)


def test_trials_of_a_search_are_cleaned_up_when_it_is_gone(
    runner: FlaskCliRunner, left_behind: Path
) -> None:
    trial = left_behind / "tuning" / "trial-1"
    shutil.copytree(left_behind / "mine", trial)
    with checkpoint.claim(trial):
        assert "trial-1" not in invoke(runner, "list")
        refused = invoke(runner, "clean", "features", "--yes", code=1)
        assert "trial-1 is running" in refused
    assert "a trial of a search that was killed" in invoke(runner, "list")
    invoke(runner, "clean", "tuning/trial-1", "--yes")
    assert not trial.exists() and checkpoint.exists(left_behind / "mine")


def test_what_a_running_training_needs_is_not_cleaned_up(
    runner: FlaskCliRunner, left_behind: Path
) -> None:
    with checkpoint.claim(left_behind / "mine"):
        assert "mine: running now, an unfinished training" in invoke(runner, "list")
        refused = invoke(runner, "clean", "features", "--yes", code=1)
        assert "features is left as it is" in refused and "mine is running" in refused
        refused = invoke(runner, "clean", "mine", "--yes", code=1)
        assert "mine is left as it is: Another training of this model is running" in refused
    assert (left_behind / "features" / "0123.npy").exists()
    assert checkpoint.exists(left_behind / "mine")


def test_a_disk_that_does_not_let_us_is_said(
    runner: FlaskCliRunner, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    refused = invoke(runner, "rename", "tiny", "mine", code=1)
    assert "tiny is left as it is: [Errno 13] Permission denied" in refused
    assert sorted(path.name for path in models.iterdir()) == ["broken", "report", "tiny"]
