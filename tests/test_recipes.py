"""Recipes find themselves, say in words what they do, and are held to what they state."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
from flask.testing import FlaskCliRunner
from keras import layers

from model_training import recipes
from model_training.bundles.reading import read_bundle
from model_training.datasets.augmentation import Augmentation, Transform, describe_transforms
from model_training.datasets.catalog import cifar10
from model_training.datasets.dataset import DataSet
from model_training.networks.checking import find_doubts
from model_training.recipes import RECIPES, Recipe, UnknownRecipe, find_recipe
from model_training.recipes.registry import Found, find_recipes
from model_training.training.learning.watcher import Watcher
from model_training.training.options import Options
from model_training.training.run import run
from tests.conftest import PROJECT, SHIPPED_DATA, SHIPPED_MODELS, TINY, make_site, place_in

PAGE = (PROJECT / "docs" / "your-first-recipe.md").read_text(encoding="utf-8")
(CODE,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)

A_RECIPE = """
from model_training.recipes import Optimizer, Phase, Recipe

def build(classes=10):
    raise NotImplementedError

PHASE = Phase(epochs=1, batch_size=64, optimizer=Optimizer("adam", 1e-3))
{variable} = Recipe(
    name="{name}", title="T", summary="S.", input_size=32, phases=(PHASE,), build=build
)
"""


def a_recipe(name: str, variable: str = "MINE") -> str:
    """The source of a module with one recipe."""
    return A_RECIPE.format(name=name, variable=variable)


@pytest.fixture
def found_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], Found]:
    """Finds the recipes in modules of somebody's own, given as their files' names and sources."""

    def find(files: dict[str, str]) -> Found:
        for name, source in files.items():
            path = tmp_path / "own" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
        package = ModuleType("own")
        package.__path__ = [str(tmp_path / "own")]
        monkeypatch.setitem(sys.modules, "own", package)
        importlib.invalidate_caches()
        before = set(sys.modules)
        try:
            return find_recipes(package)
        finally:
            for name in set(sys.modules) - before:
                del sys.modules[name]

    return find


@pytest.fixture
def data_at_hand(small_data: DataSet, at_hand: Callable[[DataSet], None]) -> None:
    """800 images to train on and 300 to test on, where the commands look for CIFAR-10."""
    at_hand(cifar10.make(small_data.train, small_data.test.take(np.arange(300)), "the tests"))


def test_a_module_is_enough_also_in_a_package_of_its_own(
    found_in: Callable[[dict[str, str]], Found],
) -> None:
    found = found_in(
        {
            "one.py": a_recipe("one"),
            "family/__init__.py": "",
            "family/two.py": a_recipe("two") + a_recipe("three", "ANOTHER"),
            "series.py": a_recipe("small", "_BASE")
            + "from dataclasses import replace\n"
            + 'SERIES = [replace(_BASE, name=f"size-{size}") for size in (1, 2)]\n',
            "helper.py": "SOMETHING = 7\n",
        }
    )
    assert list(found.recipes) == ["two", "three", "one", "size-1", "size-2"]
    assert found.find("two").name == "two"
    assert not found.broken and not found.ambiguous


def test_a_recipe_that_a_module_has_from_another_is_the_same_one(
    found_in: Callable[[dict[str, str]], Found],
) -> None:
    imported = "from own.one import MINE\n"
    found = found_in({"one.py": a_recipe("one"), "two.py": imported, "a.py": imported})
    assert list(found.recipes) == ["one"] and not found.ambiguous


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("x = 1\nlayer\n", r"NameError: name 'layer' is not defined \(my_first.py, line 2\)"),
        ("def build(:\n", r"SyntaxError: .*my_first.py, line 1"),
        ("import nowhere_at_all\n", r"ModuleNotFoundError: .*my_first.py, line 1"),
        (a_recipe("My First"), r"ValueError: a recipe's name has .* 'My First' does not .*line 8"),
        (a_recipe("first").replace("(PHASE,)", "()"), "ValueError: the recipe first has no phase"),
    ],
)
def test_a_module_that_is_broken_takes_no_other_down_and_is_named(
    source: str,
    reason: str,
    found_in: Callable[[dict[str, str]], Found],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        found = found_in({"good.py": a_recipe("good"), "my_first.py": source})
    assert list(found.recipes) == ["good"]
    assert re.search(rf"own\.my_first cannot be imported, .*: {reason}", caplog.text)
    with pytest.raises(UnknownRecipe) as refused:
        found.find("my-first")
    assert re.search(
        f"no recipe called 'my-first'. own.my_first cannot .*{reason}", str(refused.value)
    )
    # Whoever asks for something else is told too, as a module's name need not be its recipe's.
    with pytest.raises(UnknownRecipe, match="Did you mean good.* own.my_first cannot be imported"):
        found.find("god")


def test_a_broken_package_is_named_once(found_in: Callable[[dict[str, str]], Found]) -> None:
    found = found_in(
        {
            "family/__init__.py": "1 / 0\n",
            "family/in_it.py": a_recipe("in-it"),
            "b.py": a_recipe("b"),
        }
    )
    assert list(found.recipes) == ["b"]
    assert found.broken == {
        "own.family": "ZeroDivisionError: division by zero (__init__.py, line 1)"
    }


def test_two_recipes_of_one_name_are_both_left_out_and_named(
    found_in: Callable[[dict[str, str]], Found], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = found_in(
            {"a.py": a_recipe("same"), "b.py": a_recipe("same"), "c.py": a_recipe("other")}
        )
    assert list(found.recipes) == ["other"]
    assert "called same" in caplog.text and "own.a and own.b" in caplog.text
    with pytest.raises(UnknownRecipe, match="'same', in own.a and own.b"):
        found.find("same")


def test_looking_for_recipes_does_not_import_keras() -> None:
    program = "import sys, model_training.recipes; print('keras' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert result.stdout == "False\n"
    assert result.stderr == "", "no recipe that ships is left out"


def test_the_command_says_why_a_recipe_is_left_out(
    runner: FlaskCliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(recipes.FOUND.broken, "somewhere.my_first", "NameError: no such name")
    result = runner.invoke(args=["train", "my-first"])
    assert result.exit_code == 2
    assert "somewhere.my_first cannot be imported" in result.output.replace("\n", " ")
    assert "NameError: no such name" in result.output.replace("\n", " ")


def test_what_is_done_to_images_is_told_in_words() -> None:
    assert Augmentation().describe() == ""
    assert Augmentation(shift=1, flip="random").describe() == (
        "shifts of up to 1 pixel each way, reflected at the edge; half of the images mirrored, "
        "drawn anew each epoch"
    )
    everything = Augmentation(shift=2, flip="alternating", cutout=8, enlarge=(1, 1, 5))
    assert everything.describe() == (
        "shifts of up to 2 pixels each way, reflected at the edge; every image mirrored in every "
        "second epoch; a grey square of 8 pixels; one batch in 3 enlarged 5 times with hard edges"
    )
    assert describe_transforms((Transform(),)) == ""
    assert describe_transforms(
        (Transform(), Transform(flip=True), Transform(down=-2), Transform(enlarge=5))
    ) == (
        "a different one of 4 views each epoch (mirrored or not, moved by up to 2 pixels, "
        "enlarged 5 times with hard edges or not)"
    )


def test_a_recipe_tells_what_is_done_phase_by_phase() -> None:
    assert find_recipe("vgg16-finetuned").augmentation == (
        "None at first. Then a different one of 2 views each epoch (mirrored or not). Then shifts "
        "of up to 2 pixels each way, reflected at the edge; every image mirrored in every second "
        "epoch."
    )
    assert find_recipe("vgg16-frozen-224").augmentation == "None."
    (phase,) = TINY.phases
    inside = dataclasses.replace(TINY, varied_inside="random crops", phases=(phase, phase))
    assert inside.augmentation == f"Random crops. {TINY.augmentation}"


@pytest.mark.parametrize("name", ["custom-cnn", "fast-cnn", "best-cnn"])
def test_the_words_are_those_of_the_cards_that_ship(name: str) -> None:
    card = read_bundle(SHIPPED_MODELS / name).card
    assert find_recipe(name).augmentation == card.training.augmentation


def test_a_network_of_another_size_than_stated_is_refused_before_it_learns(
    small_data: DataSet, tmp_path: Path
) -> None:
    wrong = dataclasses.replace(TINY, parameters=345)
    steps: list[int] = []
    with pytest.raises(ValueError, match="tiny has 346 parameters, and its recipe states 345"):
        watcher = Watcher(on_step=steps.append)
        run(wrong, small_data, Options(), tmp_path / "tiny", place_in(tmp_path), watcher=watcher)
    assert steps == [] and not (tmp_path / "tiny").exists()


@pytest.mark.usefixtures("data_at_hand")
def test_a_size_that_is_not_stated_is_unknown_until_the_network_is_trained(
    runner: FlaskCliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "tiny", dataclasses.replace(TINY, parameters=None))
    listed = runner.invoke(args=["train", "--list"]).output
    assert re.search(r"^tiny +- +0\.500 +- ", listed, re.M)
    client = make_site(Path(runner.app.instance_path)).test_client()
    rows = client.get("/models.csv").get_data(as_text=True).splitlines()
    row = next(row.split(",") for row in rows if row.startswith("tiny,"))
    assert row[rows[0].split(",").index("parameters")] == ""
    assert client.get("/models/?sort=parameters").status_code == 200
    assert runner.invoke(args=["train", "tiny", "--epochs", "1"]).exit_code == 0
    listed = runner.invoke(args=["train", "--list"]).output
    assert re.search(r"^tiny +346 ", listed, re.M)


def test_a_network_that_cannot_be_trained_here_is_refused(
    small_data: DataSet, tmp_path: Path
) -> None:
    def refused(words: str, network: Callable[[], keras.Model]) -> None:
        recipe = dataclasses.replace(TINY, build=lambda classes=10: network(), parameters=None)
        with pytest.raises(ValueError, match=words):
            run(recipe, small_data, Options(), tmp_path / "tiny", place_in(tmp_path))

    class Subclassed(keras.Model):  # type: ignore[misc]
        pass

    refused("tiny cannot be trained: it must be made of layers", Subclassed)
    refused("tiny cannot be trained", lambda: keras.Sequential([layers.Dense(10)]))
    refused(r"tiny answers \(None, 7\), and for 10 classes", lambda: TINY.build(classes=7))


def network(*body: keras.layers.Layer, last: str = "softmax") -> keras.Model:
    """A small network of `body` between raw pixels and ten classes."""
    end = [layers.GlobalAveragePooling2D(), layers.Dense(10, activation=last)]
    return keras.Sequential([keras.Input((32, 32, 3)), *body, *end])


def doubts(model: keras.Model, data: DataSet) -> list[str]:
    return find_doubts(model, data.train.images, data.train.labels)


def test_a_network_without_scaling_is_noticed(small_data: DataSet) -> None:
    (told,) = doubts(network(layers.Conv2D(4, 3, name="first")), small_data)
    assert "0 to 255 unscaled: what reaches 'first' goes from 0 to 255" in told
    assert "layers.Rescaling(1 / 255)" in told
    resized = network(layers.Resizing(48, 48, interpolation="bicubic"), layers.Conv2D(4, 3))
    assert "unscaled" in doubts(resized, small_data)[0]
    inner = network(keras.Sequential([layers.ReLU(), layers.Conv2D(4, 3, name="within")]))
    assert "'within'" in doubts(inner, small_data)[0]


@pytest.mark.parametrize(
    "scaling",
    [
        layers.Rescaling(1 / 255),
        layers.Rescaling(1 / 127.5, -1),
        layers.Rescaling(1.0, [-123.68, -116.779, -103.939]),
        layers.BatchNormalization(),
    ],
    ids=["to 1", "around 0", "ImageNet's mean", "by the batch"],
)
@pytest.mark.parametrize("brightness", ["dark", "as it is", "bright"])
def test_no_way_of_scaling_is_doubted_whatever_the_pictures(
    scaling: keras.layers.Layer, brightness: str, small_data: DataSet
) -> None:
    images = small_data.train.images[:32]
    shown = {"dark": images // 6, "as it is": images, "bright": 255 - images // 6}[brightness]
    fresh = type(scaling).from_config(scaling.get_config())
    model = network(fresh, layers.Conv2D(4, 3), layers.BatchNormalization())
    assert find_doubts(model, shown, small_data.train.labels) == []


def test_a_wild_first_loss_is_noticed(small_data: DataSet) -> None:
    wild = layers.Rescaling(1e4)
    model = network(layers.Rescaling(1 / 127.5, -1), layers.Conv2D(4, 3), wild)
    (told,) = doubts(model, small_data)
    assert re.search(r"first loss is \d\d\.\d, where guessing costs 2\.3", told)
    nothing = network(layers.Rescaling(1 / 255), layers.Conv2D(4, 3), layers.Rescaling(np.nan))
    assert "not numbers" in doubts(nothing, small_data)[0]


def test_answers_that_are_not_probabilities_are_noticed(small_data: DataSet) -> None:
    scores = network(layers.Rescaling(1 / 255), layers.Conv2D(4, 3), last="linear")
    assert "does not answer with probabilities" in doubts(scores, small_data)[0]


def test_looking_at_a_network_changes_nothing_in_it(small_data: DataSet) -> None:
    model = find_recipe("custom-cnn").build()  # Normalises batches, drops out, shifts and flips.
    before = [keras.ops.convert_to_numpy(variable).copy() for variable in model.variables]
    assert doubts(model, small_data) == []
    for variable, value in zip(model.variables, before, strict=True):
        assert np.array_equal(keras.ops.convert_to_numpy(variable), value), variable.path


@pytest.mark.parametrize("name", ["fast-cnn", "best-cnn", "custom-cnn", "vgg16-frozen-32"])
def test_no_recipe_here_is_doubted(name: str, small_data: DataSet) -> None:
    recipe = find_recipe(name)
    model = recipe.build()
    if recipe.prepare is not None:
        recipe.prepare(model, small_data.train.images)
    assert doubts(model, small_data) == []


@pytest.mark.usefixtures("data_at_hand")
def test_the_command_warns_and_trains_nevertheless(
    runner: FlaskCliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(classes: int = 10) -> keras.Model:
        return network(layers.Conv2D(4, 3, strides=4, name="first"))

    unscaled = dataclasses.replace(TINY, build=build, parameters=None)
    monkeypatch.setitem(RECIPES, "tiny", unscaled)
    result = runner.invoke(args=["train", "tiny", "--limit", "200", "--epochs", "1"])
    assert result.exit_code == 0, result.output
    assert "Warning: The network seems to take 0 to 255 unscaled" in result.stderr
    assert "Warning" not in result.stdout


def test_the_page_keeps_its_word_on_length_and_on_scaling(small_data: DataSet) -> None:
    assert "fifteen lines" in PAGE
    assert len([line for line in CODE.splitlines() if line.strip()]) == 15
    without = re.sub(r"\n.*Rescaling.*", "\n    x = image", CODE)
    assert "Rescaling" in CODE and "Rescaling" not in without
    built: list[list[str]] = []
    for source in (CODE, without):
        names: dict[str, Any] = {}
        exec(source, names)
        built.append(doubts(names["MY_FIRST"].build(), small_data))
    assert built[0] == [] and "0 to 255 unscaled" in built[1][0]


@pytest.mark.usefixtures("data_at_hand")
def test_the_first_recipe_of_the_page_is_found_trained_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (command,) = re.findall(r"^\.venv/bin/flask (train my-first --limit .*)$", PAGE, re.M)

    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "my_first.py").write_text(CODE, encoding="utf-8")
    monkeypatch.setattr(recipes, "__path__", [*recipes.__path__, str(tmp_path / "own")])
    found = find_recipes(recipes)
    monkeypatch.delitem(sys.modules, "model_training.recipes.my_first")
    assert set(found.recipes) == {*RECIPES, "my-first"} and not found.broken
    monkeypatch.setitem(RECIPES, "my-first", found.recipes["my-first"])

    site = make_site(tmp_path / "instance", DATA_FOLDER=SHIPPED_DATA)
    words = command.replace("2000", "400").split()  # There are only 800 images in the tests.
    result = site.test_cli_runner().invoke(args=words)
    assert result.exit_code == 0, result.output
    assert "Warning" not in result.output
    bundle = read_bundle(tmp_path / "instance" / "models" / "my-first-quick")
    assert bundle.card.title == "My first network, a quick try"
    assert [layer.type for layer in bundle.card.layers].count("Conv2D") == 2
    assert bundle.card.training.augmentation == "None."
    assert "my-first-quick" in PAGE

    shown = make_site(tmp_path / "instance", DATA_FOLDER=SHIPPED_DATA).test_client()
    page = shown.get("/models/my-first-quick").get_data(as_text=True)
    assert "My first network" in page and "it saw each image as it is" in page


def test_what_the_page_speaks_of_is_there() -> None:
    for file in re.findall(r"`([a-z_0-9/]+\.py)`", PAGE):
        found = [PROJECT / file, PROJECT / "model_training" / "recipes" / file]
        assert file.endswith("my_first.py") or any(path.is_file() for path in found)
    for name in ("shift", "flip"):
        assert name in {field.name for field in dataclasses.fields(Augmentation)}
    assert "parameters" in {field.name for field in dataclasses.fields(Recipe)}
