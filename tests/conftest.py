"""What the tests share: a few real images, a small network really trained on them, and a site."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from keras import layers

from model_training.bundles.bundle import Bundle
from model_training.bundles.writing import replace_judge
from model_training.datasets.augmentation import Augmentation
from model_training.datasets.catalog import cifar10
from model_training.datasets.dataset import DataSet, ImageSet
from model_training.datasets.kept import keep
from model_training.datasets.pictures.sprites import read_test_images
from model_training.datasets.registry import find_known, known_data_sets
from model_training.recipes import RECIPES, Lookahead, Optimizer, Phase, Recipe, Reported, Schedule
from model_training.training.loop import Place
from model_training.training.options import Options
from model_training.training.run import run
from tests import garden, server
from tests.page_client import ClosingClient, PageClient
from webapp import create_app
from webapp.library import Result, load_library
from webapp.settings import SETTINGS

PROJECT = server.PROJECT
SHIPPED_DATA = PROJECT / "instance" / "data"
SHIPPED_MODELS = PROJECT / "instance" / "models"
DEFAULT_MODEL = next(str(one.default) for one in SETTINGS if one.name == "DEFAULT_MODEL")


def build_tiny(classes: int = 10) -> keras.Model:
    inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(8, 3, strides=2)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.1)(x)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax", dtype="float32")(x))


TINY = Recipe(
    name="tiny",
    title="Tiny network",
    summary="One convolution, for tests.",
    input_size=32,
    parameters=346,
    phases=(
        Phase(
            epochs=2,
            batch_size=64,
            optimizer=Optimizer("sgd", 0.1, weight_decay=1e-3),
            schedule=Schedule(warmup=0.3),
            label_smoothing=0.1,
            augmentation=Augmentation(shift=1, flip="alternating"),
            lookahead=Lookahead(every=3),
        ),
    ),
    reported=Reported(source="Nobody", test_accuracy=0.5),
    build=build_tiny,
)


def place_in(folder: Path) -> Place:
    """Where a training in `folder` keeps what it needs to go on."""
    return Place(folder / "state", folder / "features")


@pytest.fixture(scope="session")
def test_images() -> ImageSet:
    """The 10,000 test images that ship."""
    return read_test_images(SHIPPED_DATA / "cifar10" / "test", 32)


@pytest.fixture(scope="session")
def small_data(test_images: ImageSet) -> DataSet:
    """800 real images to train on, and the whole test set, as the gallery needs it."""
    return cifar10.make(test_images.take(np.arange(800)), test_images, "the tests")


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> Callable[[DataSet], None]:
    """Makes the catalogue give the images that it is called with, wherever they would be found."""

    def give(data: DataSet) -> None:
        known = dataclasses.replace(find_known(data.name), load=lambda *_arguments: data)
        monkeypatch.setitem(known_data_sets(), data.name, known)

    return give


@pytest.fixture(scope="session")
def few_data(small_data: DataSet) -> DataSet:
    """The same with 500 test images: where a run is tested, and no page shows it."""
    return dataclasses.replace(small_data, test=small_data.test.take(np.arange(500)))


@pytest.fixture
def tiny_recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A small network that can be trained by name."""
    monkeypatch.setitem(RECIPES, "tiny", TINY)
    return TINY


@pytest.fixture(scope="session")
def tiny_bundle(small_data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of a small network, trained for real.

    It calls nothing strange: two epochs on a few images teach nobody what a photo is.
    """
    folder = tmp_path_factory.mktemp("trained")
    bundle = run(TINY, small_data, Options(), folder / "models" / "tiny", place_in(folder))
    assert bundle.judge is not None
    lenient = bundle.judge.threshold.model_copy(update={"novelty": 1e6})
    return replace_judge(bundle, dataclasses.replace(bundle.judge, threshold=lenient))


@pytest.fixture(scope="session")
def site(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A site with one model and the test images, loaded once for all tests that only read."""
    assert tiny_bundle.model_path is not None
    app = make_site(
        tmp_path_factory.mktemp("instance"),
        MODELS_FOLDER=tiny_bundle.model_path.parent.parent,
        DATA_FOLDER=SHIPPED_DATA,
    )
    load_library(app)
    return app


@pytest.fixture(scope="session")
def two_models(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A site with two models that disagree: the second is the first with other answers."""
    assert tiny_bundle.model_path is not None
    app = make_site(
        tmp_path_factory.mktemp("two"),
        MODELS_FOLDER=tiny_bundle.model_path.parent.parent,
        DATA_FOLDER=SHIPPED_DATA,
    )
    library = load_library(app)
    stored = tiny_bundle.predictions
    turned = np.where(np.arange(10_000)[:, None] % 3 == 0, stored.test[:, ::-1], stored.test)
    card = tiny_bundle.card.model_copy(update={"name": "other", "title": "Other network"})
    other = dataclasses.replace(
        tiny_bundle, card=card, predictions=dataclasses.replace(stored, test=turned)
    )
    library.results["other"] = Result(other)
    return app


def make_site(instance: Path, **config: object) -> Flask:
    """A site with an instance folder of its own."""
    config = {"TESTING": True, "WTF_CSRF_ENABLED": False, "DEFAULT_MODEL": "tiny"} | config
    app = create_app(config, instance_path=instance)
    app.test_client_class = ClosingClient
    return app


@pytest.fixture
def tiny_site(site: Flask, tmp_path: Path) -> Callable[..., Flask]:
    """Makes a site with one model, the settings that it is called with, and its own instance."""

    def make(**config: object) -> Flask:
        app = make_site(tmp_path, **config)
        app.extensions["library"] = site.extensions["library"]  # loading takes a second
        return app

    return make


@pytest.fixture(scope="session")
def garden_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An instance folder with a data set of seven classes, and a model trained on it for real."""
    folder = tmp_path_factory.mktemp("garden")
    data = garden.make_garden()
    keep(folder / "data" / garden.NAME, data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(known_data_sets(), garden.NAME, garden.KNOWN)
        run(garden.SPROUT, data, Options(), folder / "models" / "sprout", place_in(folder))
    return folder


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the site with the shipped models answers, under a gunicorn of its own."""
    with server.running(tmp_path_factory.mktemp("server") / "log") as address:
        yield address


@pytest.fixture
def client(site: Flask) -> Iterator[PageClient]:
    """Visits pages, and checks that each is sound HTML."""
    with site.test_client() as plain:
        yield PageClient(plain)


@pytest.fixture
def empty_site(tmp_path: Path) -> Flask:
    """A site with no model and no images."""
    return make_site(tmp_path)


@pytest.fixture
def runner(empty_site: Flask) -> FlaskCliRunner:
    """Runs the `flask` commands in an empty instance folder."""
    return empty_site.test_cli_runner()
