"""A data set of the catalogue is one module: commands find it, and the site shows what is kept."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskCliRunner

from model_training.auditing import agreement, near_copies
from model_training.auditing.audit import read_audit
from model_training.bundles.reading import read_bundle
from model_training.datasets import catalog
from model_training.datasets.kept import read_kept
from model_training.datasets.registry import (
    CatalogueError,
    UnknownDataSet,
    find_known,
    known_data_sets,
    read_catalogue,
    recognise,
)
from model_training.recipes import Recipe
from tests.conftest import make_site

MY_SHAPES = '''
"""Discs, squares and stripes in changing colours."""

import numpy as np

from model_training.datasets.dataset import DataSet, ImageSet, content_digest
from model_training.datasets.registry import KnownDataSet
from model_training.datasets.sources import find

NAME, TITLE, CLASSES = "my-shapes", "My shapes", ("disc", "square", "stripes")


def draw(count, seed):
    rng, labels = np.random.default_rng(seed), np.arange(count, dtype=np.uint8) % 3
    down, right = np.mgrid[:24, :24]
    images = np.empty((count, 24, 24, 3), np.uint8)
    for place, label in enumerate(labels):
        y, x = rng.integers(8, 16, 2)
        far = np.hypot(down - y, right - x), np.maximum(abs(down - y), abs(right - x))
        inside = (down + y) % 6 < 3 if label == 2 else far[label] < 7
        images[place] = np.where(inside[..., None], *rng.integers(0, 256, (2, 3)))
    return images, labels


def read_path(path):
    return dict(np.load(path / "shapes.npz"))


def fetch(progress):
    progress("drawing", 1, 2)
    train, test = draw(120, 0), draw(30, 1)
    return dict(train_images=train[0], train_labels=train[1], test_images=test[0],
                test_labels=test[1])


def verified(arrays, source):
    train, test = (ImageSet(arrays[f"{part}_images"], arrays[f"{part}_labels"])
                   for part in ("train", "test"))
    return DataSet(NAME, TITLE, CLASSES, train, test, content_digest(CLASSES, train, test), source)


def load(cache, path, progress):
    return find(TITLE, cache, path, progress, read_path=read_path, fetchers={"the pen": fetch},
                verified=verified, advice="Draw some.")


DATA_SET = KnownDataSet(NAME, TITLE, CLASSES, 24, None, load, marks=(frozenset({"shapes.npz"}),))
'''


@pytest.fixture
def add_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts a module of a name and a text into the catalogue, for the time of one test."""
    folder = tmp_path / "more"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.setattr(catalog, "__path__", [*catalog.__path__, str(folder)])

    def add(name: str, text: str) -> None:
        (folder / f"{name}.py").write_text(text, encoding="utf-8")

    yield add
    for name in set(sys.modules) - before:
        if name.startswith(f"{catalog.__name__}."):
            del sys.modules[name]
            delattr(catalog, name.rpartition(".")[2])


@pytest.fixture
def my_shapes(add_module: Callable[..., None]) -> None:
    add_module("my_shapes", MY_SHAPES)


def test_cifar_10_and_cifar_100_are_there_as_shipped() -> None:
    assert list(known_data_sets()) == ["animals7", "cifar10", "cifar100"]
    assert not read_catalogue().broken


@pytest.mark.usefixtures("my_shapes")
def test_a_module_is_found_and_nothing_else_is_edited(tmp_path: Path) -> None:
    assert list(known_data_sets()) == ["animals7", "cifar10", "cifar100", "my-shapes"]
    assert find_known("my-shapes").title == "My shapes"
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn" / "shapes.npz").touch()
    assert recognise(tmp_path / "drawn") is find_known("my-shapes")


def test_an_unknown_name_is_told_which_there_are() -> None:
    with pytest.raises(UnknownDataSet, match="no data set called 'mnist'.*cifar10, cifar100"):
        find_known("mnist")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("def load(:", "SyntaxError"),
        ("DATA_SET = 'my-shapes'", "its DATA_SET is a str"),
        (MY_SHAPES.replace('"my-shapes"', '"My Shapes"'), "'My Shapes' is not a name"),
    ],
)
def test_a_broken_module_is_named_and_the_others_are_there(
    text: str,
    words: str,
    add_module: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    runner: FlaskCliRunner,
) -> None:
    add_module("broken", text)
    with caplog.at_level(logging.ERROR):
        assert list(known_data_sets()) == ["animals7", "cifar10", "cifar100"]
    assert f"{catalog.__name__}.broken is left out" in caplog.text and words in caplog.text
    # Who asks for it is told why it is not there.
    result = runner.invoke(args=["data", "fetch", "--dataset", "my-shapes"])
    assert result.exit_code == 1
    assert "Available: animals7, cifar10, cifar100." in result.output and words in result.output


def test_two_modules_of_one_name_are_both_named(
    add_module: Callable[..., None], runner: FlaskCliRunner
) -> None:
    add_module("one_shapes", MY_SHAPES)
    add_module("other_shapes", MY_SHAPES)
    with pytest.raises(CatalogueError) as caught:
        known_data_sets()
    for words in ("'my-shapes'", "catalog.one_shapes", "catalog.other_shapes"):
        assert words in str(caught.value)
    result = runner.invoke(args=["data", "fetch"])
    assert result.exit_code == 1 and "catalog.other_shapes" in result.output


def test_a_module_that_has_no_data_set_is_a_helper(add_module: Callable[..., None]) -> None:
    add_module("helper", "SIDE = 32")
    assert "catalog.helper" not in read_catalogue().broken
    assert list(known_data_sets()) == ["animals7", "cifar10", "cifar100"]


@pytest.mark.usefixtures("my_shapes")
def test_every_command_takes_the_new_data_set(
    tmp_path: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = tmp_path / "instance"
    site = make_site(instance)
    runner: FlaskCliRunner = site.test_cli_runner()

    def done(*arguments: str) -> str:
        result = runner.invoke(args=arguments)
        assert result.exit_code == 0, result.output
        return result.output

    assert "120 training and 30 test images" in done("data", "fetch", "--dataset", "my-shapes")
    folder = instance / "data" / "my-shapes"
    assert (folder / "images.npz").is_file()
    trained = done("train", tiny_recipe.name, "--dataset", "my-shapes", "--epochs", "2")
    assert "Tiny network on My shapes" in trained
    bundle = read_bundle(instance / "models" / "tiny-my-shapes")
    assert bundle.card.classes == ["disc", "square", "stripes"]
    assert (bundle.card.training.data_set, len(bundle.predictions.test)) == ("My shapes", 30)
    assert bundle.card.training.command == (
        "flask train tiny --dataset my-shapes --epochs 2 --seed 0"
    )
    # Images of 24 pixels were enlarged to the 32 that the network takes, and are kept as they are.
    assert bundle.card.layers[0].output_shape == [None, 32, 32, 3]
    kept = read_kept(folder)
    assert not kept.problems and kept.description.title == "My shapes"
    assert (kept.description.image_size, kept.description.kept_size) == (24, 24)
    assert kept.test is not None and len(kept.test) == 30
    assert "read back and checked" in done("data", "pack", "--dataset", "my-shapes")

    # What eight channels make of an image tells no two of them apart.
    monkeypatch.setattr(near_copies, "LEAST_LIKENESS", 0.99999)
    monkeypatch.setattr(agreement, "LEAST_AGREEMENT", 0.3)
    audited = done("data", "audit", "--dataset", "my-shapes", "--features", "tiny-my-shapes")
    assert "judged by tiny-my-shapes" in audited and "rather" in audited
    audit = read_audit(folder / "audit.npz", kept.description)
    assert np.array_equal(audit.labels, kept.test.labels)
    assert list(audit.provenance.models) == ["tiny-my-shapes"]

    assert "95% of the" in done("calibrate", "tiny-my-shapes")
    page = make_site(instance).test_client().get("/models/").get_data(as_text=True)
    assert "Tiny network on My shapes" in page
