"""`flask export`: what is kept runs elsewhere and answers as the network does."""

from __future__ import annotations

import errno
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from flask.testing import FlaskCliRunner
from keras import layers

from model_training.bundles import export as exporting
from model_training.bundles.bundle import Bundle
from model_training.bundles.export import (
    FORMATS,
    TOLERANCE,
    ExportError,
    export,
)
from model_training.bundles.history import Epoch
from model_training.bundles.reading import read_bundle
from model_training.bundles.writing import write_bundle
from model_training.datasets.dataset import ImageSet
from model_training.networks.inference import for_inference, resizing_matrix
from tests.conftest import PROJECT, SHIPPED_DATA, make_site

NEEDED = FORMATS["onnx"].packages
HAS_ONNX = all(importlib.util.find_spec(name) for name in NEEDED)
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason=f"{' or '.join(NEEDED)} is not installed")


@pytest.fixture
def images(test_images: ImageSet) -> np.ndarray:
    return test_images.images[:60]


@pytest.fixture(scope="module")
def enlarging(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose network takes pictures of any size and enlarges them to 48 pixels."""
    inputs = keras.Input((None, None, 3), name="image")
    x = layers.Resizing(48, 48, interpolation="bicubic")(inputs)
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Conv2D(4, 5, strides=2, activation="relu")(x)
    x = layers.GlobalMaxPooling2D()(x)
    network = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
    path = tmp_path_factory.mktemp("enlarging") / "enlarging"
    card = tiny_bundle.card.model_copy(update={"name": "enlarging", "input_size": 48})
    history = [Epoch(1, 0.1, 2.0, 0.2, 2.0, 0.2, 1.0)]
    return write_bundle(path, card, history, tiny_bundle.predictions, network)


@pytest.fixture
def exporter(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> FlaskCliRunner:
    """Runs the command on a site that has the tiny bundle."""
    site = make_site(
        tmp_path_factory.mktemp("instance"),
        MODELS_FOLDER=tiny_bundle.path.parent,
        DATA_FOLDER=SHIPPED_DATA,
    )
    return site.test_cli_runner()


@pytest.mark.parametrize("name", ["saved_model", pytest.param("onnx", marks=needs_onnx), "litert"])
def test_each_form_answers_as_the_network_does(
    name: str, exporter: FlaskCliRunner, tiny_bundle: Bundle, test_images: ImageSet, tmp_path: Path
) -> None:
    path = tmp_path / f"out{FORMATS[name].suffix}"
    result = exporter.invoke(args=["export", "tiny", "--format", name, "--to", str(path)])
    assert result.exit_code == 0, result.output
    assert f"Written to {path}" in result.output
    assert "RGB from 0 to 255 as float32 (any, 32, 32, 3)" in result.output
    assert "airplane, automobile" in result.output
    assert list(tmp_path.iterdir()) == [path]
    # Opened once more where it now is, and held against the figures that the site shows.
    some = slice(5_000, 5_020)
    answers = FORMATS[name].open(path)(test_images.images[some].astype(np.float32))
    assert np.abs(answers - tiny_bundle.predictions.test[some]).max() < TOLERANCE


@needs_onnx
def test_the_file_needs_nothing_of_ours(exporter: FlaskCliRunner, tmp_path: Path) -> None:
    path = tmp_path / "tiny.onnx"
    result = exporter.invoke(args=["export", "tiny", "--format", "onnx", "--to", str(path)])
    assert result.exit_code == 0, result.output
    program = (
        "import json, sys, numpy, onnxruntime;"
        f"session = onnxruntime.InferenceSession({str(path)!r});"
        "(image,), answers = session.get_inputs(), session.get_outputs();"
        "found = session.run(None, {image.name: numpy.zeros((1, 32, 32, 3), 'float32')})[0];"
        "print(json.dumps([image.name, image.shape[1:], float(found.sum()),"
        " 'tensorflow' in sys.modules]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(run.stdout) == ["image", [32, 32, 3], pytest.approx(1), False]


def in_training(network: keras.Model, _size: int | None = None) -> keras.Model:
    inputs = keras.Input(network.input_shape[1:], name="image")
    return keras.Model(inputs, network(inputs, training=True))


def half_as_sure(network: keras.Model, _size: int | None = None) -> keras.Model:
    inputs = keras.Input(network.input_shape[1:], name="image")
    return keras.Model(inputs, network(inputs, training=False) * 0.5 + 0.05)


@pytest.mark.parametrize(
    ("name", "wrong"), [("saved_model", in_training), ("litert", half_as_sure)]
)
def test_what_answers_otherwise_than_the_network_is_caught_and_removed(
    name: str,
    wrong: Callable[..., keras.Model],
    exporter: FlaskCliRunner,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(exporting, "for_inference", wrong)
    path = tmp_path / f"out{FORMATS[name].suffix}"
    result = exporter.invoke(args=["export", "tiny", "--format", name, "--to", str(path)])
    assert result.exit_code == 1
    assert "does not answer as the network does" in result.output
    assert "0.001 is allowed" in result.output
    assert list(tmp_path.iterdir()) == [], "nothing is left of it"


def test_an_export_that_is_there_is_replaced_only_with_force(
    exporter: FlaskCliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = ["export", "tiny", "--format", "saved_model", "--to", str(tmp_path / "out")]
    marker = tmp_path / "out" / "of the one before"
    marker.parent.mkdir()
    marker.touch()
    (tmp_path / "out" / "saved_model.pb").touch()
    refused = exporter.invoke(args=command)
    assert (refused.exit_code, "--force" in refused.output) == (1, True)
    with monkeypatch.context() as patch:
        patch.setattr(exporting, "for_inference", in_training)
        assert exporter.invoke(args=[*command, "--force"]).exit_code == 1
    assert marker.exists(), "a failed export leaves the one before as it was"
    assert exporter.invoke(args=[*command, "--force"]).exit_code == 0
    assert not marker.exists()


@pytest.mark.parametrize("name", ["saved_model", "litert"])
def test_what_is_no_export_is_never_replaced(
    name: str, exporter: FlaskCliRunner, tmp_path: Path
) -> None:
    path = tmp_path / f"work{FORMATS[name].suffix}"
    (path / "years").mkdir(parents=True)
    command = ["export", "tiny", "--format", name, "--to", str(path), "--force"]
    if name == "litert":
        path = path / "tiny.tflite"  # A folder is where the file goes.
        path.mkdir()
    result = exporter.invoke(args=command)
    assert result.exit_code == 1
    assert "so it is not replaced" in result.output
    assert path.is_dir()


def test_a_full_disk_is_said_and_leaves_nothing(
    exporter: FlaskCliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keras.Model, "export", full)
    path = tmp_path / "out.tflite"
    result = exporter.invoke(args=["export", "tiny", "--format", "litert", "--to", str(path)])
    assert result.exit_code == 1
    assert "No space left" in result.output and "make room" in result.output
    assert list(tmp_path.iterdir()) == []


def test_what_a_converter_cannot_do_is_said_and_leaves_nothing(
    exporter: FlaskCliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise ValueError("no kernel for FancyOp\nand much more")

    monkeypatch.setattr(keras.Model, "export", refuse)
    path = tmp_path / "out.tflite"
    result = exporter.invoke(args=["export", "tiny", "--format", "litert", "--to", str(path)])
    assert result.exit_code == 1
    assert "cannot be written as litert: no kernel for FancyOp Try another" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody", "--format", "litert"], "no model called 'nobody' here. There is: tiny"),
        (["../tiny", "--format", "litert"], "no model called"),
        (["tiny"], "--format"),
        (["tiny", "--format", "coreml"], "'coreml' is not one of"),
        (["tiny", "--format", "litert", "--to", "x.onnx"], "ends in .tflite"),
        (["tiny", "--format", "litert", "--size", "64"], "32x32 pixels and nothing else"),
    ],
)
def test_wrong_arguments_are_explained(
    arguments: list[str], words: str, exporter: FlaskCliRunner
) -> None:
    result = exporter.invoke(args=["export", *arguments])
    assert result.exit_code != 0
    assert words in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_a_bundle_without_its_network_has_nothing_to_export(
    tiny_bundle: Bundle, images: np.ndarray, tmp_path: Path
) -> None:
    report = replace(tiny_bundle, model_path=None)
    with pytest.raises(ExportError, match="only a report"):
        export(report, FORMATS["litert"], tmp_path / "out.tflite", images)


def test_a_damaged_bundle_is_named(exporter: FlaskCliRunner, tmp_path: Path) -> None:
    folder = Path(exporter.app.config["MODELS_FOLDER"])
    site = make_site(tmp_path, MODELS_FOLDER=tmp_path, DATA_FOLDER=SHIPPED_DATA)
    shutil.copytree(folder / "tiny", tmp_path / "tiny")
    (tmp_path / "tiny" / "model.keras").write_bytes(b"no network")
    result = site.test_cli_runner().invoke(args=["export", "tiny", "--format", "litert"])
    assert result.exit_code == 1
    assert "The bundle tiny is damaged: model.keras is damaged" in result.output


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    exporter: FlaskCliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    find: Callable[..., Any] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else find(name)
    )
    result = exporter.invoke(args=["export", "tiny", "--format", "onnx"])
    assert result.exit_code == 1
    assert "For onnx, tf2onnx must be installed" in result.output
    assert "pip install -r requirements-export.txt" in result.output
    pinned = (PROJECT / "requirements-export.txt").read_text()
    assert all(f"\n{name}==" in pinned for name in NEEDED), "the command brings all of them"


@pytest.mark.parametrize(("size", "goal"), [(32, 48), (20, 48), (100, 48), (48, 48)])
@pytest.mark.parametrize("way", ["bicubic", "bilinear", "nearest"])
def test_resizing_is_two_matrices(size: int, goal: int, way: str, images: np.ndarray) -> None:
    source = layers.Resizing(size, size)(images[:4].astype(np.float32))
    resizing = layers.Resizing(goal, goal, interpolation=way)
    rows = resizing_matrix(resizing, size)
    ours = np.einsum("oh,bhwc,pw->bopc", rows, np.asarray(source), rows)
    assert np.abs(ours - np.asarray(resizing(source))).max() < 1e-3  # of 255


@pytest.mark.parametrize("size", [None, 32, 48])
def test_a_network_that_resizes_takes_any_size_or_the_one_that_is_asked_for(
    size: int | None, enlarging: Bundle, images: np.ndarray, tmp_path: Path
) -> None:
    done = export(enlarging, FORMATS["litert"], tmp_path / "out.tflite", images, size=size)
    assert done.input_shape == (None, size or 48, size or 48, 3)
    assert done.difference < TOLERANCE
    network = keras.saving.load_model(enlarging.model_path, compile=False)
    pixels = images.astype(np.float32)
    model = for_inference(network, 32)
    assert np.abs(np.asarray(model(pixels)) - np.asarray(network(pixels))).max() < 1e-5


def test_a_saved_model_still_takes_any_size(
    enlarging: Bundle, images: np.ndarray, tmp_path: Path
) -> None:
    done = export(enlarging, FORMATS["saved_model"], tmp_path / "out", images)
    assert done.input_shape == (None, None, None, 3)
    run = FORMATS["saved_model"].open(tmp_path / "out")
    assert run(np.zeros((1, 90, 70, 3), np.float32)).shape == (1, 10)


def test_the_report_page_says_how_to_export(exporter: FlaskCliRunner, tiny_bundle: Bundle) -> None:
    page = exporter.app.test_client().get("/models/tiny").get_data(as_text=True)
    assert "flask export tiny --format onnx" in page
    assert read_bundle(tiny_bundle.path).model_path is not None
