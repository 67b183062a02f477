"""`flask export`: what is kept runs elsewhere and answers as the network does."""

from __future__ import annotations

import errno
import functools
import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from flask.testing import FlaskCliRunner
from keras import layers

from model_training.bundles.bundle import Bundle
from model_training.bundles.exporting import export as exporting
from model_training.bundles.exporting.backend import (
    FEATURES,
    PROBABILITIES,
    ExportedBackend,
    Outputs,
)
from model_training.bundles.exporting.checking import TOLERANCE, Differs, check
from model_training.bundles.exporting.export import ExportError, export, read_metadata
from model_training.bundles.exporting.formats import FORMATS
from model_training.bundles.exporting.inference import for_inference, resizing_matrix
from model_training.bundles.reading import read_bundle
from model_training.datasets.dataset import DataSet, ImageSet
from model_training.files import file_digest
from model_training.networks.backend import KerasBackend
from model_training.networks.cutting import split_network
from tests.conftest import PROJECT, SHIPPED_DATA, make_site
from tests.exports import like_a_photo, make_enlarging
from webapp.serving.classifier import Classifier

NEEDED = FORMATS["onnx"].packages
HAS_ONNX = all(importlib.util.find_spec(name) for name in NEEDED)
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason=f"{' or '.join(NEEDED)} is not installed")


@pytest.fixture
def images(test_images: ImageSet) -> np.ndarray:
    return test_images.images[:60]


@pytest.fixture(scope="module")
def exporter(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> FlaskCliRunner:
    """Runs the command on a site that has the tiny bundle."""
    site = make_site(
        tmp_path_factory.mktemp("instance"),
        MODELS_FOLDER=tiny_bundle.path.parent,
        DATA_FOLDER=SHIPPED_DATA,
    )
    return site.test_cli_runner()


@pytest.fixture(scope="module")
def enlarging(
    tiny_bundle: Bundle, small_data: DataSet, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """A bundle whose network takes pictures of any size and enlarges them to 48 pixels."""
    folder = tmp_path_factory.mktemp("enlarging")
    return make_enlarging(tiny_bundle, small_data, folder / "enlarging")


EACH_FORMAT = ["saved_model", pytest.param("onnx", marks=needs_onnx), "litert"]


@pytest.fixture(scope="module")
def exported(
    exporter: FlaskCliRunner, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Path, str]]:
    """Exports the tiny network in the format of a name, once: where it is, and what was printed."""

    @functools.cache
    def make(name: str) -> tuple[Path, str]:
        path = tmp_path_factory.mktemp(name) / f"out{FORMATS[name].suffix}"
        result = exporter.invoke(args=["export", "tiny", "--format", name, "--to", str(path)])
        assert result.exit_code == 0, result.output
        return path, result.output

    return make


@pytest.mark.parametrize("name", EACH_FORMAT)
def test_each_form_answers_as_the_network_and_the_site_do(
    name: str,
    exported: Callable[[str], tuple[Path, str]],
    tiny_bundle: Bundle,
    test_images: ImageSet,
) -> None:
    path, output = exported(name)
    assert f"Written to {path}" in output
    assert "on 200 test images of CIFAR-10" in output
    assert "Judged 12 pictures" in output
    batch = "1" if name == "litert" else "any"
    assert f"RGB from 0 to 255 as float32 ({batch}, 32, 32, 3)" in output
    assert "features, 8 of each picture" in output
    assert "probabilities of airplane, automobile" in output
    assert list(path.parent.iterdir()) == [path]
    # Opened once more where it now is, and held against the figures that the site shows.
    some = slice(5_000, 5_020)
    opened = FORMATS[name].open(path)
    answers = opened.run(test_images.images[some].astype(np.float32))
    assert answers.features.shape == (20, opened.width) == (20, 8)
    assert np.abs(answers.probabilities - tiny_bundle.predictions.test[some]).max() < TOLERANCE
    # With its features the judge answers as the site does.
    classifier, judge = Classifier(tiny_bundle), tiny_bundle.judge
    assert judge is not None
    photo = like_a_photo(test_images, 90, 60)
    (here,), (there,) = (
        judge.judge([judge.views(photo)], opened),
        classifier.judge_views([classifier.judge.views(photo)]),
    )
    assert here.probabilities == pytest.approx(there.probabilities, abs=TOLERANCE)
    assert here.novelty == pytest.approx(there.novelty, abs=TOLERANCE)
    assert here.known == there.known


@pytest.mark.parametrize("name", EACH_FORMAT)
def test_each_form_says_what_turns_its_outputs_into_answers(
    name: str, exported: Callable[[str], tuple[Path, str]], tiny_bundle: Bundle
) -> None:
    said = read_metadata(FORMATS[name], exported(name)[0])
    judge, facts = tiny_bundle.judge, tiny_bundle.card.training
    assert judge is not None
    assert said.bundle == "tiny"
    assert said.model_sha256 == file_digest(tiny_bundle.path / "model.keras")
    assert (said.data_set.title, said.data_set.digest) == (facts.data_set, facts.data_digest)
    assert said.classes == judge.classes
    assert said.temperature == judge.calibration.temperature
    assert (said.plan, said.threshold) == (judge.plan, judge.threshold)
    assert said.interpolation is None, "it takes pictures of one size only"


def test_what_says_nothing_of_itself_is_no_export(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    with pytest.raises(ExportError, match="was not made by `flask export`"):
        read_metadata(FORMATS["saved_model"], tmp_path / "saved")
    extra = tmp_path / "saved" / "assets.extra"
    extra.mkdir()
    (extra / "ten_classes.json").write_text('{"schema_version": 2}')
    with pytest.raises(ExportError, match="is not valid .schema_version"):
        read_metadata(FORMATS["saved_model"], tmp_path / "saved")


def test_a_litert_file_takes_one_picture_or_after_a_word_several(
    exported: Callable[[str], tuple[Path, str]], images: np.ndarray
) -> None:
    path, output = exported("litert")
    assert "after resize_tensor_input" in output
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(str(path))
    (image,) = interpreter.get_input_details()
    assert tuple(image["shape"]) == (1, 32, 32, 3), "as was printed"
    interpreter.resize_tensor_input(image["index"], (7, 32, 32, 3))
    interpreter.allocate_tensors()
    interpreter.set_tensor(image["index"], images[:7].astype(np.float32))
    interpreter.invoke()
    found = {interpreter.get_tensor(one["index"]).shape for one in interpreter.get_output_details()}
    assert found == {(7, 8), (7, 10)}


@needs_onnx
def test_the_file_needs_nothing_of_ours(
    exported: Callable[[str], tuple[Path, str]], tmp_path: Path
) -> None:
    path, _output = exported("onnx")
    program = (
        "import json, sys, numpy, onnxruntime;"
        f"session = onnxruntime.InferenceSession({str(path)!r});"
        "(image,), answers = session.get_inputs(), session.get_outputs();"
        "found = session.run(None, {image.name: numpy.zeros((1, 32, 32, 3), 'float32')});"
        "print(json.dumps([image.name, image.shape[1:], [one.name for one in answers],"
        " float(found[1].sum()), 'tensorflow' in sys.modules]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    outputs = ["features", "probabilities"]
    assert json.loads(run.stdout) == ["image", [32, 32, 3], outputs, pytest.approx(1), False]


def changed(
    change: Callable[[dict[str, Any]], dict[str, Any]], *, training: bool = False
) -> Callable[..., keras.Model]:
    """Make what stands for `for_inference` and is wrong."""

    def wrong(network: keras.Model, _size: int | None = None) -> keras.Model:
        inputs = keras.Input(network.input_shape[1:], name="image")
        lower, upper, _name = split_network(network)
        features = lower(inputs, training=training)
        probabilities = upper(features, training=training)
        outputs = {FEATURES: features, PROBABILITIES: probabilities}
        return keras.Model(inputs, change(outputs))

    return wrong


in_training = changed(lambda outputs: outputs, training=True)
half_as_sure = changed(
    lambda outputs: outputs | {PROBABILITIES: outputs[PROBABILITIES] * 0.5 + 0.05}
)
other_features = changed(lambda outputs: outputs | {FEATURES: outputs[FEATURES] * 1.1})
fewer_features = changed(lambda outputs: outputs | {FEATURES: outputs[FEATURES][:, 1:]})


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("saved_model", in_training, "0.001 is allowed"),
        ("litert", half_as_sure, "a probability is off by up to 0."),
        ("saved_model", other_features, "a feature is off by up to"),
        ("saved_model", fewer_features, "for each feature it gives (50, 7)"),
    ],
)
def test_what_answers_otherwise_than_the_network_is_caught_and_removed(
    name: str,
    wrong: Callable[..., keras.Model],
    words: str,
    exporter: FlaskCliRunner,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(exporting, "for_inference", wrong)
    path = tmp_path / f"out{FORMATS[name].suffix}"
    result = exporter.invoke(args=["export", "tiny", "--format", name, "--to", str(path)])
    assert result.exit_code == 1
    assert "does not answer as the network does" in result.output
    assert words in result.output
    assert list(tmp_path.iterdir()) == [], "nothing is left of it"


def test_an_answer_that_differs_is_caught_where_features_seem_near_enough(
    tiny_bundle: Bundle, images: np.ndarray
) -> None:
    network = keras.saving.load_model(tiny_bundle.model_path, compile=False)
    lower, _upper, _name = split_network(network)
    judge = tiny_bundle.judge
    assert judge is not None

    def off_by(difference: float) -> ExportedBackend:
        def run(pixels: np.ndarray) -> Outputs:
            return Outputs(np.asarray(lower(pixels)) + np.float32(difference), network(pixels))

        return ExportedBackend(run, (None, 32, 32, 3), judge.width)

    assert check(network, judge, off_by(0), images).answers < TOLERANCE / 10
    # What is little to this network's features is much to its novelty.
    with pytest.raises(Differs, match="the judge's answer is off"):
        check(network, judge, off_by(0.9 * TOLERANCE), images)


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


KILLED = """
import os, signal, sys
from pathlib import Path
from model_training.bundles.exporting.export import _made_for

with _made_for(Path(sys.argv[1])) as made:
    made.write_bytes(bytes(1_000_000))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_export_left_goes_with_the_next_one_beside_it(
    tiny_bundle: Bundle, images: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "other.onnx"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=PROJECT)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert (left / "other.onnx").stat().st_size == 1_000_000
    (tmp_path / ".out-0a1b2c3d").mkdir()  # As an earlier version left it.
    (tmp_path / ".of-somebody-else").mkdir()
    with exporting._made_for(tmp_path / "by another process.onnx") as made:
        made.touch()
        export(tiny_bundle, FORMATS["saved_model"], tmp_path / "out", images)
        assert not left.exists()
        assert made.exists(), "what is being written now is left alone"
    there = {one.name for one in tmp_path.iterdir()}
    assert there == {".of-somebody-else", "by another process.onnx", "out"}


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
        (["nobody", "--format", "litert"], "no model called 'nobody' here. Available: tiny"),
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
    with pytest.raises(ExportError, match="`flask calibrate tiny` makes one"):
        export(replace(tiny_bundle, judge=None), FORMATS["litert"], tmp_path / "out.tflite", images)


def test_without_any_test_images_it_says_so(tiny_bundle: Bundle, tmp_path: Path) -> None:
    site = make_site(tmp_path, MODELS_FOLDER=tiny_bundle.path.parent)
    result = site.test_cli_runner().invoke(args=["export", "tiny", "--format", "litert"])
    assert result.exit_code == 1
    said = "test images of CIFAR-10, which tiny was tested on, and they are not here"
    assert said in result.output and "`flask data pack` keeps them" in result.output


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


@pytest.mark.parametrize(("size", "judged"), [(None, 4), (32, 2), (40, 0)])
def test_a_network_that_resizes_takes_any_size_or_the_one_that_is_asked_for(
    size: int | None, judged: int, enlarging: Bundle, images: np.ndarray, tmp_path: Path
) -> None:
    done = export(enlarging, FORMATS["litert"], tmp_path / "out.tflite", images[:6], size=size)
    assert done.input_shape == (1, size or 48, size or 48, 3)
    assert done.difference.pictures == judged, "photos at 48 pixels, small pictures at 32"
    network = keras.saving.load_model(enlarging.model_path, compile=False)
    pixels = images.astype(np.float32)
    answers = for_inference(network, 32)(pixels)
    features = KerasBackend(network).features(images)
    assert np.abs(np.asarray(answers[FEATURES]) - features).max() < 1e-4
    assert np.abs(np.asarray(answers[PROBABILITIES]) - np.asarray(network(pixels))).max() < 1e-5


def test_a_saved_model_still_takes_any_size(
    enlarging: Bundle, images: np.ndarray, tmp_path: Path
) -> None:
    done = export(enlarging, FORMATS["saved_model"], tmp_path / "out", images)
    assert done.input_shape == (None, None, None, 3)
    assert done.difference.pictures == 12
    assert done.metadata.interpolation == "bicubic"
    opened = FORMATS["saved_model"].open(tmp_path / "out")
    assert opened.run(np.zeros((1, 90, 70, 3), np.float32)).probabilities.shape == (1, 10)


def test_a_size_at_which_the_site_shows_nothing_is_named(enlarging: Bundle, tmp_path: Path) -> None:
    site = make_site(tmp_path, MODELS_FOLDER=enlarging.path.parent, DATA_FOLDER=SHIPPED_DATA)
    result = site.test_cli_runner().invoke(
        args=["export", "enlarging", "--format", "litert", "--size", "40"]
    )
    assert result.exit_code == 0, result.output
    assert "the site gives this network 48x48 pixels" in result.output
    assert (tmp_path / "exports" / "enlarging.tflite").is_file()


def test_the_report_page_says_how_to_export(exporter: FlaskCliRunner, tiny_bundle: Bundle) -> None:
    page = exporter.app.test_client().get("/models/tiny").get_data(as_text=True)
    assert "flask export tiny --format onnx" in page
    assert read_bundle(tiny_bundle.path).model_path is not None
