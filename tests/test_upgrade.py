"""`flask models upgrade`: a bundle of version 1 becomes one of version 2, and nothing is lost."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import Result
from flask import Flask

from model_training.bundles.bundle import Bundle, BundleError
from model_training.bundles.history import Epoch
from model_training.bundles.reading import read_bundle
from model_training.bundles.upgrade import is_outdated, upgrade
from model_training.bundles.writing import write_bundle
from model_training.datasets.dataset import DataSet
from model_training.datasets.pictures.views import default_plan
from model_training.files import file_digest
from model_training.judging.calibration import Calibrator
from model_training.judging.fitting import fit_judge
from model_training.judging.judge import Judge
from model_training.networks.backend import KerasBackend
from tests.conftest import make_site
from webapp.cli.models.upgrade import upgrade_command
from webapp.serving.classifier import Classifier

SCALE = 1 / 8
"""Of a network that shrinks its logits; a power of two, so that nothing is rounded."""


def make_old(bundle: Bundle, path: Path, scale: float = 1.0) -> Path:
    """Write `bundle` to `path` as version 1 had it.

    Args:
        scale: by which the network multiplies what its last dense layer gives, which version 1 did
            not know of.
    """
    shutil.copytree(bundle.path, path)
    judge = bundle.judge
    assert judge is not None and judge.reference is not None
    (path / "judge.npz").unlink()
    reference = judge.reference
    np.savez_compressed(
        path / "novelty.npz",
        kernel=judge.kernel / np.float32(scale),
        bias=judge.bias / np.float32(scale),
        axes=reference.axes,
        remembered=reference.remembered,
        remembered_labels=reference.remembered_labels,
        distance=np.array(reference.distance),
        belief=np.array(reference.logit) / scale,
        threshold=np.array(judge.threshold.novelty),
    )
    card = json.loads((path / "card.json").read_text())
    del card["files"], card["test_reads"]
    card |= {
        "schema_version": 1,
        "name": path.name,
        "rejection_threshold": judge.threshold.novelty,
        "novelty_sha256": file_digest(path / "novelty.npz"),
        "model_sha256": file_digest(path / "model.keras"),
    }
    (path / "card.json").write_text(json.dumps(card))
    return path


@pytest.fixture
def old(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    return make_old(tiny_bundle, tmp_path / "models" / "old")


@pytest.fixture
def site(tmp_path: Path) -> Flask:
    return make_site(tmp_path / "instance", MODELS_FOLDER=tmp_path / "models")


def run(site: Flask, *arguments: str) -> Result:
    return site.test_cli_runner().invoke(upgrade_command, list(arguments))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, hidden ones too, and what is in it."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()}


def same_judge(one: Judge | None, other: Judge | None) -> None:
    assert one is not None and other is not None
    here, there = one.arrays(), other.arrays()
    header, expected = (json.loads(str(arrays.pop("header"))) for arrays in (here, there))
    assert header == expected
    assert set(here) == set(there)
    for name, array in here.items():
        np.testing.assert_array_equal(array, there[name])


def test_it_becomes_what_is_written_today_and_its_network_stays_to_the_last_bit(
    old: Path, tiny_bundle: Bundle
) -> None:
    before = contents(old)
    assert is_outdated(old)
    with pytest.raises(BundleError, match="`flask models upgrade old` brings it up to date"):
        read_bundle(old)
    bundle = upgrade(old, test_reads=3)
    assert not is_outdated(old)
    after = contents(old)
    for name in ("model.keras", "history.csv", "predictions.npz"):
        assert after[name] == before[name]
    assert "novelty.npz" not in after
    assert [path.name for path in old.parent.iterdir()] == ["old"]
    same_judge(bundle.judge, tiny_bundle.judge)
    card = tiny_bundle.card.model_copy(
        update={"name": "old", "test_reads": 3, "files": bundle.card.files}
    )
    assert bundle.card == card
    Classifier(bundle)
    with pytest.raises(BundleError, match="nothing to upgrade"):
        upgrade(old)


@pytest.fixture(scope="module")
def scaled(
    tiny_bundle: Bundle, small_data: DataSet, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """A bundle whose network shrinks its logits, as the networks of `fast-cnn` do."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3)(inputs))
    logits = keras.layers.Rescaling(SCALE)(keras.layers.Dense(10)(x))
    network = keras.Model(inputs, keras.layers.Softmax()(logits))
    card = tiny_bundle.card.model_copy(update={"name": "scaled"})
    set_on = f"the validation images of the run `{card.training.command}`"
    judge = fit_judge(
        KerasBackend(network),
        small_data.classes,
        default_plan(32, 32),
        small_data.train.take(np.arange(300)),
        small_data.train.take(np.arange(300, 400)),
        Calibrator(temperature=card.calibration.temperature, set_on=set_on),
        set_on,
    )
    path = tmp_path_factory.mktemp("scaled") / "scaled"
    history = [Epoch(1, 0.1, 2.0, 0.2, 2.0, 0.2, 1.0)]
    return write_bundle(path, card, history, tiny_bundle.predictions, network, judge)


def test_a_scale_behind_the_last_layer_that_version_1_left_out_is_taken_in(
    scaled: Bundle, small_data: DataSet, tmp_path: Path
) -> None:
    bundle = upgrade(make_old(scaled, tmp_path / "scaled", SCALE))
    assert bundle.judge is not None and scaled.judge is not None
    np.testing.assert_array_equal(bundle.judge.kernel, scaled.judge.kernel)
    images = small_data.test.images[:20]
    network = keras.saving.load_model(bundle.model_path, compile=False)
    features = KerasBackend(network).features(images)
    plain = dataclasses.replace(
        bundle.judge, calibration=Calibrator(temperature=1.0, set_on="nothing")
    )
    own = network.predict_on_batch(images.astype(np.float32))
    assert plain.probabilities(features) == pytest.approx(own, abs=1e-5)
    assert bundle.judge.novelty(features) == pytest.approx(scaled.judge.novelty(features), abs=1e-4)


def test_one_without_novelty_has_no_judge_and_is_told_how_to_get_one(
    old: Path, site: Flask
) -> None:
    (old / "novelty.npz").unlink()
    change(old, novelty_sha256=None, rejection_threshold=None)
    result = run(site, "old")
    assert result.exit_code == 0, result.output
    assert "`flask calibrate old` makes one" in result.output
    assert read_bundle(old).judge is None


def test_a_report_without_its_network_stays_a_report(old: Path) -> None:
    (old / "novelty.npz").unlink()
    (old / "model.keras").unlink()
    change(old, novelty_sha256=None, rejection_threshold=None, model_sha256=None)
    bundle = upgrade(old)
    assert (bundle.model_path, bundle.judge) == (None, None)


def change(path: Path, **values: Any) -> None:
    card = json.loads((path / "card.json").read_text())
    (path / "card.json").write_text(json.dumps(card | values))


def arrays(path: Path, **values: Any) -> None:
    """Change arrays of the novelty and the digest in the card with them; None removes one."""
    with np.load(path / "novelty.npz") as stored:
        content = dict(stored) | values
    kept = {name: array for name, array in content.items() if array is not None}
    np.savez(path / "novelty.npz", **kept)
    change(path, novelty_sha256=file_digest(path / "novelty.npz"))


def replace(name: str, digest: str) -> Callable[[Path], None]:
    """Put another file in the place of one, and its digest into the card."""

    def damage(path: Path) -> None:
        (path / name).write_bytes(b"x")
        change(path, **{digest: file_digest(path / name)})

    return damage


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no network": (lambda path: (path / "model.keras").unlink(), "model.keras is missing"),
    "another network": (
        lambda path: (path / "model.keras").write_bytes(b"x"),
        "model.keras is damaged: its SHA-256",
    ),
    "a network that is none": (
        replace("model.keras", "model_sha256"),
        "model.keras has nothing to judge by",
    ),
    "no history": (lambda path: (path / "history.csv").unlink(), "history.csv is missing"),
    "no novelty": (lambda path: (path / "novelty.npz").unlink(), "novelty.npz is missing"),
    "another novelty": (
        lambda path: (path / "novelty.npz").write_bytes(b"x"),
        "novelty.npz is damaged: its SHA-256",
    ),
    "a novelty that is none": (
        replace("novelty.npz", "novelty_sha256"),
        "novelty.npz is damaged",
    ),
    "a novelty without a part": (
        lambda path: arrays(path, axes=None),
        "novelty.npz is damaged (it has no axes)",
    ),
    "a novelty of another network": (
        lambda path: arrays(path, kernel=np.ones((8, 10), np.float32)),
        "novelty.npz is damaged (it is of another network)",
    ),
    "a novelty whose parts do not fit": (
        lambda path: arrays(path, remembered=np.zeros((3, 2), np.int8)),
        "the parts of its reference do not fit each other",
    ),
    "a novelty without a network": (
        lambda path: change(path, model_sha256=None),
        "it has a novelty.npz and no model.keras",
    ),
    "no threshold": (lambda path: change(path, rejection_threshold=None), "novelty: Input"),
    "a card without classes": (lambda path: change(path, classes=[]), "classes: "),
    "another name": (lambda path: change(path, name="other"), "is of 'other'"),
    "damaged predictions": (
        lambda path: (path / "predictions.npz").write_bytes(b"x"),
        "predictions.npz is damaged",
    ),
}


@pytest.mark.parametrize("title", DAMAGES)
def test_a_damaged_one_is_named_and_left_as_it_was_and_the_others_go_on(
    title: str, old: Path, site: Flask, tiny_bundle: Bundle
) -> None:
    make_old(tiny_bundle, old.parent / "sound")
    damage, words = DAMAGES[title]
    damage(old)
    before = contents(old)
    result = run(site)
    assert result.exit_code == 1
    assert "old: not brought up to date, and left as it was: " in result.stderr
    assert words in result.stderr
    assert contents(old) == before
    assert "sound: brought up to date" in result.stdout
    assert "Run `flask models reload` to load it into a running site." in result.stdout
    assert read_bundle(old.parent / "sound").judge is not None
    assert sorted(path.name for path in old.parent.iterdir()) == ["old", "sound"]


@pytest.mark.parametrize(
    ("where", "number"),
    [("mkdtemp", errno.EROFS), ("savez", errno.ENOSPC), ("replace", errno.EACCES)],
)
def test_a_read_only_or_full_disk_leaves_it_as_it_was(
    where: str, number: int, old: Path, site: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError(number, errno.errorcode[number])

    before = contents(old.parent)
    with monkeypatch.context() as patch:
        if where == "mkdtemp":
            patch.setattr(tempfile, "mkdtemp", fail)
        elif where == "savez":
            patch.setattr(np, "savez_compressed", fail)
        else:
            patch.setattr(os, "replace", fail)
        result = run(site, "old")
    assert result.exit_code == 1
    assert errno.errorcode[number] in result.stderr
    assert "old: not brought up to date, and left as it was" in result.stderr
    assert contents(old.parent) == before
    assert run(site, "old").exit_code == 0


def test_what_is_up_to_date_stays_untouched(
    tiny_bundle: Bundle, site: Flask, tmp_path: Path
) -> None:
    assert run(site).output == "Every model is up to date.\n"
    shutil.copytree(tiny_bundle.path, tmp_path / "models" / "tiny")
    before = contents(tmp_path / "models")
    for arguments, words in (((), "Every model is up to date."), (("tiny",), "tiny is up to date")):
        result = run(site, *arguments)
        assert (result.exit_code, words in result.output) == (0, True)
    assert contents(tmp_path / "models") == before
    for name in ("nobody", "../models/tiny"):
        result = run(site, name)
        assert result.exit_code == 2
        assert f"no model called {name!r} here. Available: tiny" in " ".join(result.output.split())
