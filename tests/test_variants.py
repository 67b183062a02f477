"""What one run may change of any recipe, and what its bundle tells of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from flask.testing import FlaskCliRunner

from model_training.bundles.bundle import BundleError
from model_training.bundles.reading import read_bundle
from model_training.datasets.augmentation import Augmentation, Augmenter, Transform
from model_training.datasets.balancing import balanced
from model_training.datasets.dataset import DataError, DataSet, ImageSet
from model_training.datasets.registry import find_known
from model_training.naming import is_slug
from model_training.networks.cutting import cut
from model_training.recipes import (
    RECIPES,
    EarlyStopping,
    Optimizer,
    Phase,
    Recipe,
    Reported,
    find_recipe,
)
from model_training.recipes.variants import (
    STRONG,
    InputChange,
    with_augmentation,
    with_input,
    with_input_size,
)
from model_training.training.options import (
    Options,
    Parts,
    as_trained,
    for_data_set,
    without_validation,
)
from model_training.training.run import run
from model_training.training.why import Reached, why
from tests.conftest import TINY, make_site, place_in
from webapp.cli.common.preparing import say_what_is_resized

QUICK = dataclasses.replace(TINY, phases=(dataclasses.replace(TINY.phases[0], epochs=1),))


def seen(how: InputChange, images: Any) -> tuple[keras.Model, Any]:
    """A changed network, and what reaches its first weights of `images`."""
    model = with_input(TINY, how, images).build()
    convolution = next(
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.name != "input_whitening"
    )
    return model, np.asarray(cut(model, convolution.name)[0](images))


def test_centred_input_has_no_mean_and_standardised_a_deviation_of_one(
    few_data: DataSet,
) -> None:
    images = few_data.train.images[:500]
    model, centred = seen("centred", images)
    assert centred.mean(axis=(0, 1, 2)) == pytest.approx([0, 0, 0], abs=1e-4)
    assert centred.std() == pytest.approx((images / 255).std(), rel=0.05)
    assert model.count_params() == TINY.parameters
    _model, standardised = seen("standardised", images)
    assert standardised.std(axis=(0, 1, 2)) == pytest.approx([1, 1, 1], abs=1e-3)


def test_pca_leaves_channels_that_tell_nothing_of_each_other(few_data: DataSet) -> None:
    images = few_data.train.images[:500]
    _model, found = seen("pca", images)
    before = np.asarray(np.corrcoef(images.reshape(-1, 3).T))
    after = np.asarray(np.corrcoef(found.reshape(-1, 3).T))
    assert before[0, 1] > 0.8 and np.abs(after - np.eye(3)).max() < 0.05


def test_zca_takes_away_what_neighbours_tell_and_keeps_the_picture(few_data: DataSet) -> None:
    images = few_data.train.images[:500]
    model, found = seen("zca", images)
    inner, pixels = found[:, 4:-4, 4:-4], images[:, 4:-4, 4:-4] / 255

    def beside(values: Any) -> float:
        return float(np.corrcoef(values[:, :, 1:, 1].ravel(), values[:, :, :-1, 1].ravel())[0, 1])

    assert beside(pixels) > 0.9 and abs(beside(inner)) < 0.4
    # Each output is most like its own pixel and channel, where PCA would have mixed them.
    likeness = [
        np.corrcoef(inner[..., 1].ravel(), pixels[..., one].ravel())[0, 1] for one in (0, 1)
    ]
    assert likeness[1] > max(0.1, likeness[0])
    assert model.count_params() == (TINY.parameters or 0) + 9 * 25
    assert not model.get_layer("input_whitening").trainable


def test_a_run_with_another_input_is_saved_whole_and_called_what_it_is(
    few_data: DataSet, tmp_path: Path
) -> None:
    asked = Options(input="zca", input_size=40, augmentation="strong")
    bundle = run(QUICK, few_data, asked, tmp_path / "tiny", place_in(tmp_path))
    card = bundle.card
    assert card.title == (
        "Tiny network, stronger augmentation, input of 40 pixels, ZCA-whitened input"
    )
    assert card.recipe == "tiny" and card.input_size == 40
    assert card.training.command == (
        "flask train tiny --seed 0 --input zca --input-size 40 --augmentation strong"
    )
    assert "Turned by up to 10°" in card.training.augmentation
    saved = keras.saving.load_model(bundle.model_path, compile=False)
    again = saved.predict(few_data.test.images[:50], verbose=0)
    assert np.allclose(again, bundle.predictions.test[:50], atol=1e-5)


def test_larger_input_is_interpolated_in_the_network() -> None:
    plain = find_recipe("cnn-plain")
    larger = with_input_size(plain, 64)
    model = larger.build()
    assert model.input.shape == (None, None, None, 3) and larger.input_size == 64
    assert model.get_layer("block1a_conv").output.shape == (None, 64, 64, 64)
    # Flattened places are four times as many.
    assert model.count_params() == (plain.parameters or 0) + 3 * 4096 * 256
    small = np.zeros((2, 32, 32, 3), np.uint8)
    assert np.asarray(model(small)).shape == (2, 10)


def test_input_that_is_too_small_for_a_network_is_said() -> None:
    with pytest.raises(ValueError, match="animals-deep cannot be built for 16 pixels. Give a larg"):
        with_input_size(find_recipe("animals-deep"), 16).build()


def test_a_network_with_operations_of_its_own_is_shown_larger_images() -> None:
    def build(classes: int = 10) -> keras.Model:
        inputs = keras.Input((None, None, 3), name="image")
        x = keras.layers.Resizing(32, 32, name="resize")(inputs)
        x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3)(x))
        # An operation of Keras, which is no layer.
        x = keras.ops.sqrt(keras.ops.relu(x) + 1e-6)
        return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))

    model = with_input_size(dataclasses.replace(TINY, build=build), 64).build()
    assert model.get_layer("resize").output.shape == (None, 64, 64, 3)
    assert np.asarray(model(np.zeros((2, 32, 32, 3), np.uint8))).shape == (2, 10)


def test_phases_on_smaller_images_stay_in_proportion_to_the_input() -> None:
    recipe = find_recipe("mobilenetv2-finetuned")
    assert [phase.input_size for phase in recipe.phases] == [None, 97, None]
    smaller = with_input_size(recipe, 64)
    assert [phase.input_size for phase in smaller.phases] == [None, 48, None]
    larger, _phases = trained_on(images_of(32), recipe, Options(input_size=258))
    assert [phase.input_size for phase in larger.phases] == [None, 194, None]


def images_of(side: int, name: str = "cifar10") -> DataSet:
    """A data set of that name with a few images of chance."""
    rng = np.random.default_rng(side)
    classes = find_known(name).classes
    labels = np.tile(np.arange(len(classes), dtype=np.uint8), 12)
    images = rng.integers(0, 256, (len(labels), side, side, 3), np.uint8)
    part = ImageSet(images, labels)
    return DataSet(name, name, classes, part, part, "0" * 64, "chance")


def trained_on(data: DataSet, recipe: Recipe, options: Options) -> tuple[Recipe, tuple[Phase, ...]]:
    """`recipe` and its phases as a run trains them on `data`."""
    data = for_data_set(recipe, data, options.input_size)
    return as_trained(recipe, data, Parts.of(data, options), options)


def test_augmentation_is_changed_in_every_phase() -> None:
    frozen = Phase(1, 8, Optimizer("sgd", 0.1), learns_from="x", views=(Transform(flip=True),))
    recipe = dataclasses.replace(TINY, phases=(frozen, TINY.phases[0]))
    strong = with_augmentation(recipe, "strong", 32)
    none = with_augmentation(recipe, "none", 32)
    assert strong.phases[1].augmentation == STRONG and len(strong.phases[0].views) == 6
    assert none.phases[1].augmentation == Augmentation() and none.phases[0].views == (Transform(),)


AMOUNTS = ("shift", "cutout", "rotation", "shear", "zoom", "light")


@pytest.mark.parametrize("name", [name for name, one in RECIPES.items() if not one.network_of])
def test_strong_augmentation_is_never_weaker_than_the_recipes_own(name: str) -> None:
    recipe = find_recipe(name)
    data = images_of(find_known(recipe.data_set).image_size, recipe.data_set)
    _recipe, usual = trained_on(data, recipe, Options())
    _recipe, strong = trained_on(data, recipe, Options(augmentation="strong"))
    side = for_data_set(recipe, data).side
    for before, after in zip(usual, strong, strict=True):
        if before.learns_from is not None:
            assert set(before.views) < set(after.views)
            continue
        own, more = before.augmentation, after.augmentation
        amounts = [(getattr(own, one), getattr(more, one)) for one in AMOUNTS]
        assert all(b >= a for a, b in amounts) and amounts != [(b, b) for _a, b in amounts]
        assert more.flip != "none" and more.enlarge == own.enlarge
        assert own.flip in ("none", more.flip)
        # The same share of large images as of small ones.
        assert more.cutout >= round(8 * side / 32) and more.shift >= round(4 * side / 32)


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_recipe_is_trained_as_it_is_where_no_option_is_given(name: str) -> None:
    recipe = find_recipe(name)
    data = images_of(find_known(recipe.data_set).image_size, recipe.data_set)
    grey = round(float(for_data_set(recipe, data).mean.mean()))
    expected = tuple(
        dataclasses.replace(phase, augmentation=dataclasses.replace(phase.augmentation, grey=grey))
        if any(one.augmentation.cutout for one in recipe.phases)
        else phase
        for phase in recipe.phases
    )
    assert trained_on(data, recipe, Options())[1] == expected


def test_pixels_are_scaled_to_images_that_an_option_makes_smaller() -> None:
    recipe, data = find_recipe("best-cnn"), images_of(32)
    _recipe, (phase,) = trained_on(data, recipe, Options(input_size=8))
    assert (phase.augmentation.shift, phase.augmentation.cutout) == (1, 3)
    _recipe, (phase,) = trained_on(data, recipe, Options(input_size=8, augmentation="strong"))
    small = data.at_side(8).train.images
    varied = Augmenter(small, phase.augmentation, 0).batch(np.arange(len(small)), 0, 0)
    assert all(len(np.unique(image)) > 1 for image in varied), "not one is wholly grey"
    # Larger input is interpolated in the network, after images were varied.
    _recipe, phases = trained_on(data, recipe, Options(input_size=64))
    assert phases[0].augmentation.shift == recipe.phases[0].augmentation.shift


def test_pixels_of_a_recipe_for_larger_images_are_of_those() -> None:
    recipe = find_recipe("animals-augmented")
    assert recipe.phases[0].augmentation.shift == 10
    _recipe, (phase,) = trained_on(images_of(100, "animals7"), recipe, Options(input_size=50))
    assert phase.augmentation.shift == 5
    _recipe, (phase,) = trained_on(images_of(32), recipe, Options())
    assert phase.augmentation.shift == 10, "enlarged to 100 pixels"


def test_classes_are_balanced_by_the_smallest(few_data: DataSet) -> None:
    labels = few_data.train.labels
    uneven = few_data.train.take(np.flatnonzero((labels != 3) | (np.arange(len(labels)) % 4 == 0)))
    data = dataclasses.replace(few_data, train=uneven)
    smallest = int(np.bincount(uneven.labels).min())
    parts = Parts.of(data, Options(balance="smallest"))
    assert parts.validation is not None
    both = np.concatenate([parts.fit.labels, parts.validation.labels])
    assert np.bincount(both).tolist() == [smallest] * 10
    again = balanced(uneven, data.classes)
    assert np.array_equal(again.images, balanced(uneven, data.classes, smallest).images)
    asked = f"{smallest + 1} images of each class are asked for, and cat has {smallest}. .*smallest"
    with pytest.raises(DataError, match=asked):
        Parts.of(data, Options(balance=str(smallest + 1)))
    with pytest.raises(ValueError, match="number of images or `smallest`, not 'all'"):
        Parts.of(data, Options(balance="all"))
    with pytest.raises(ValueError, match="--balance 1: the only image of 10 of the 10 classes is"):
        Parts.of(data, Options(balance="1"))
    without = ImageSet(uneven.images[uneven.labels != 3], uneven.labels[uneven.labels != 3])
    with pytest.raises(DataError, match="there is no image of cat"):
        balanced(without, data.classes)


def test_variants_of_recipes_and_data_with_long_names_have_names_of_their_own() -> None:
    recipe, data = "animals-efficientnetv2b3", "photos-of-" + 40 * "x"
    asked = [Options(), Options(limit=200), Options(balance="500"), Options(balance="501")]
    names = [one.bundle_name(recipe, data) for one in asked]
    assert len(set(names)) == len(names) and all(is_slug(name) for name in names)
    assert names == [one.bundle_name(recipe, data) for one in asked]
    # One that is short enough is told in full.
    assert Options(input="zca", limit=200).bundle_name("tiny", None) == "tiny-zca-quick"


def test_a_class_whose_only_image_is_validated_on_is_said(few_data: DataSet) -> None:
    labels = few_data.train.labels
    first = int(np.flatnonzero(labels == 3)[0])
    uneven = few_data.train.take(np.flatnonzero((labels != 3) | (np.arange(len(labels)) == first)))
    data = dataclasses.replace(few_data, train=uneven)
    with pytest.raises(ValueError, match="^The only image of 1 of the 10 classes is one of those"):
        Parts.of(data, Options())
    assert len(Parts.of(data, Options(all_data=True)).fit) == len(uneven)


def test_a_report_has_all_but_the_network(
    few_data: DataSet, tmp_path: Path, tiny_recipe: object
) -> None:
    models = tmp_path / "instance" / "models"
    report = run(
        QUICK, few_data, Options(report_only=True), models / "report", place_in(tmp_path / "a")
    )
    assert report.model_path is None and report.judge is None
    assert report.card.training.command.endswith("--report-only")
    whole = run(QUICK, few_data, Options(), models / "whole", place_in(tmp_path / "b"))
    assert np.array_equal(report.predictions.test, whole.predictions.test)

    commands: FlaskCliRunner = make_site(tmp_path / "instance").test_cli_runner()
    told = commands.invoke(args=["models", "report-only", "whole", "report", "--yes"])
    assert told.exit_code == 0, told.output
    assert "`flask train tiny --seed 0` makes it again" in told.output
    assert "whole is a report now" in told.output and "report: a report already" in told.output
    left = read_bundle(models / "whole")
    assert left.model_path is None and left.judge is None
    assert left.card.metrics == whole.card.metrics and left.history == whole.history
    assert sorted(path.name for path in (models / "whole").iterdir()) == [
        "card.json",
        "history.csv",
        "predictions.npz",
    ]
    with pytest.raises(BundleError):
        read_bundle(models / "nothing")


REACHED = Reached(0.83, 0.95, 45_000, 31, 100, 21)


@pytest.mark.parametrize(("side", "how"), [(100, "reduced"), (16, "enlarged"), (32, "")])
def test_it_is_said_what_becomes_of_images_of_another_size(
    side: int, how: str, few_data: DataSet, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = ImageSet(np.zeros((4, side, side, 3), np.uint8), np.arange(4, dtype=np.uint8))
    data = dataclasses.replace(few_data, name="animals7", title="Animals-7", train=photos)
    say_what_is_resized(TINY, data, TINY.input_size, fitted=False)
    told = f"tiny sees 32 pixels: the images of Animals-7, of {side} pixels, are {how} to that.\n"
    assert capsys.readouterr().out == (told if how else "")


def test_why_a_figure_differs_is_said_from_what_was_measured() -> None:
    reported = Reported("S", 0.86, differs=("the source chose its epochs by the test images",))
    recipe = dataclasses.replace(TINY, reported=reported, change="ZCA-whitened input")
    assert why(recipe, REACHED) == (
        "Ours is 3.0 points below the reported 86%: the source chose its epochs by the test "
        "images; this run had ZCA-whitened input; it stopped after 31 of 100 epochs and has the "
        "weights of epoch 21, on 45,000 images; it is right on 95.0% of the images that it learned "
        "from, 12.0 points more than on those of the test, so it has memorised many of them."
    )
    plain = dataclasses.replace(
        REACHED, test=0.858, train=0.86, best_epoch=None, epochs=2, planned=2
    )
    told = why(dataclasses.replace(TINY, reported=Reported("S", 0.86)), plain)
    assert told == (
        "Ours agrees with the reported 86%: it was trained for 2 epochs, on 45,000 images; it is "
        "right on 86.0% of the images that it learned from, 0.2 points more than on those of the "
        "test, so it could probably learn more from more epochs."
    )
    better = dataclasses.replace(plain, test=0.88)
    told = why(dataclasses.replace(TINY, reported=Reported("S", 0.86)), better)
    # How well it fits its own images is no reason for being better than reported.
    assert told == (
        "Ours is 2.0 points above the reported 86%: it was trained for 2 epochs, on 45,000 images."
    )
    assert why(dataclasses.replace(TINY, reported=None), REACHED) is None


def test_a_run_that_was_out_of_minutes_says_so() -> None:
    recipe = dataclasses.replace(TINY, reported=Reported("S", 0.83))
    ended = dataclasses.replace(REACHED, minutes=110.0)
    told = "it stopped after 31 of 100 epochs, when its 110 minutes were over"
    assert f"{told}, and has the weights of epoch 21, on" in (why(recipe, ended) or "")
    assert f"{told}, on" in (why(recipe, dataclasses.replace(ended, best_epoch=None)) or "")


def test_a_run_of_fewer_epochs_than_its_recipe_says_so() -> None:
    recipe = dataclasses.replace(TINY, reported=Reported("S", 0.86))
    fewer = dataclasses.replace(REACHED, best_epoch=None, epochs=1, planned=1)
    assert "trained for 1 epoch where its recipe has 2, on" in (why(recipe, fewer) or "")
    whole = dataclasses.replace(fewer, epochs=2, planned=2)
    assert "trained for 2 epochs, on" in (why(recipe, whole) or "")


def test_a_run_on_some_images_of_each_class_says_so() -> None:
    recipe = dataclasses.replace(TINY, reported=Reported("S", 0.78))
    some = dataclasses.replace(REACHED, images=9_000, balance="1000")
    told = "on 9,000 images, since it was given 1,000 of each class, validation included"
    assert told in (why(recipe, some) or "")


def test_a_run_that_was_better_before_its_end_says_so() -> None:
    recipe = dataclasses.replace(TINY, reported=Reported("S", 0.78))
    past = dataclasses.replace(REACHED, best_epoch=None, validation=[0.8, 0.857, 0.84, 0.834])
    told = "best after epoch 2 (85.7%, and 83.4% at the end), so further epochs did not help"
    assert told in (why(recipe, past) or "")
    # Where early stopping chose the epoch, nothing was lost; and a little is chance.
    little = dataclasses.replace(past, validation=[0.8, 0.84, 0.834])
    for other in (dataclasses.replace(past, best_epoch=2), little):
        assert "best after" not in (why(recipe, other) or "")


def test_what_a_first_phase_reached_is_said_of_a_recipe_of_two() -> None:
    head, last = dataclasses.replace(TINY.phases[0], epochs=1), TINY.phases[0]
    recipe = dataclasses.replace(TINY, phases=(head, last), reported=Reported("S", 0.83))
    both = dataclasses.replace(REACHED, validation=[0.7, 0.8, 0.83])
    told = "before its last phase it was right on 70.0% of the validation images"
    assert told in (why(recipe, both) or "")
    assert told not in (why(dataclasses.replace(recipe, phases=(last,)), both) or "")


def test_a_loss_above_the_reported_one_is_not_passed_over() -> None:
    recipe = dataclasses.replace(TINY, reported=Reported("S", 0.78, 0.69))
    surer = dataclasses.replace(REACHED, loss=0.905)
    told = "its loss is the higher one, 0.91 against 0.69, so it is surer where it is wrong"
    assert told in (why(recipe, surer) or "")
    for test, loss in ((0.83, 0.70), (0.70, 0.905)):
        other = dataclasses.replace(surer, test=test, loss=loss)
        assert "its loss" not in (why(recipe, other) or "")


def test_a_reported_figure_of_another_task_is_not_compared() -> None:
    other = Reported("S", 0.55, task="ten classes, another task")
    told = why(dataclasses.replace(TINY, reported=other), REACHED)
    assert told is not None
    assert told.startswith(
        "Ours cannot be compared with the reported 55% of ten classes, another task: "
    )
    assert "above" not in told


def test_a_final_run_is_as_long_as_the_one_that_stopped_early() -> None:
    stopping = dataclasses.replace(TINY.phases[0], epochs=50, early_stopping=EarlyStopping(5))
    before = dataclasses.replace(TINY.phases[0], epochs=3)
    (first, last) = without_validation((before, stopping), 21, Options(all_data=True))
    assert (first.epochs, last.epochs, last.early_stopping) == (3, 18, None)
    with pytest.raises(ValueError, match="Say with --epochs"):
        without_validation((stopping,), None, Options(all_data=True))
