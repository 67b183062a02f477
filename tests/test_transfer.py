"""Transfer learning: pretrained weights, frozen layers run once, phases one after the other."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import h5py
import keras
import numpy as np
import pytest
from filelock import FileLock
from keras import layers

from model_training.datasets.augmentation import Transform
from model_training.datasets.dataset import DataSet
from model_training.datasets.registry import find_known
from model_training.networks.cutting import cut
from model_training.networks.frozen import features, pieces
from model_training.networks.frozen.digest import digest_of
from model_training.networks.frozen.features import FeatureViews, Stopped, extract
from model_training.networks.frozen.pieces import FullDisk
from model_training.networks.pretrained import WeightsError, load_pretrained
from model_training.recipes import (
    RECIPES,
    Optimizer,
    Phase,
    Pretrained,
    Recipe,
    Schedule,
    find_recipe,
)
from model_training.recipes.recipe import Precision
from model_training.recipes.variants import with_input
from model_training.training import environment, measuring
from model_training.training.checkpoint import CheckpointError
from model_training.training.learning.learner import Learner
from model_training.training.learning.outcome import Interrupted
from model_training.training.learning.watcher import Watcher
from model_training.training.loop import train
from model_training.training.options import Options
from model_training.training.run import run
from tests.conftest import place_in


def base_layers(x: Any) -> Any:
    x = layers.Conv2D(4, 3, strides=2, activation="relu", name="base_conv1")(x)
    x = layers.BatchNormalization(name="base_bn", trainable=False)(x)
    return layers.Conv2D(8, 3, strides=2, activation="relu", name="base_conv2")(x)


def TinyBase(include_top: bool, input_shape: tuple[int, ...], weights: str) -> keras.Model:
    """Stands in for a network of `keras.applications`."""
    assert not include_top
    if weights == "imagenet":
        raise OSError("URL fetch failure on https://somewhere: None -- no network in tests")
    inputs = keras.Input(input_shape)
    base = keras.Model(inputs, base_layers(inputs))
    base.load_weights(weights)
    return base


def build_transfer(classes: int = 10) -> keras.Model:
    inputs = keras.Input((None, None, 3))
    x = layers.Resizing(24, 24)(inputs)
    x = layers.Rescaling(1 / 255)(x)
    x = layers.GlobalAveragePooling2D(name="head_pool")(base_layers(x))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax", name="head")(x))


TWO_PHASES = (
    Phase(
        2,
        64,
        Optimizer("adam", 0.02),
        Schedule(),
        learns_from="head_pool",
        views=(Transform(), Transform(flip=True)),
    ),
    Phase(2, 64, Optimizer("sgd", 0.05), Schedule(warmup=0.2), learns_from="base_conv2"),
)

TRANSFER = Recipe(
    name="transfer",
    title="Transfer",
    summary="Carried over, for tests.",
    input_size=24,
    parameters=4 * 27 + 4 + 16 + 8 * 36 + 8 + 90,
    phases=TWO_PHASES,
    reported=None,
    build=build_transfer,
    pretrained=Pretrained("TinyBase"),
)


def begin(model: keras.Model, weights: Path | None) -> str:
    """Give `model` the pretrained weights that the recipe begins with."""
    assert isinstance(TRANSFER.pretrained, Pretrained)
    return load_pretrained(model, TRANSFER.pretrained, TRANSFER.input_size, weights)


@pytest.fixture(autouse=True)
def tiny_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.applications, "TinyBase", TinyBase, raising=False)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    keras.utils.set_random_seed(7)
    inputs = keras.Input((24, 24, 3))
    base = keras.Model(inputs, base_layers(inputs))
    base.save_weights(tmp_path / "tiny.weights.h5")
    return tmp_path / "tiny.weights.h5"


def layer_weights(model: keras.Model, name: str) -> list[Any]:
    return [np.array(value) for value in model.get_layer(name).get_weights()]


def same(left: list[Any], right: list[Any]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def test_a_training_starts_from_the_weights_in_a_file(weights: Path) -> None:
    model, other = TRANSFER.build(), TRANSFER.build()
    assert not same(layer_weights(model, "base_conv1"), layer_weights(other, "base_conv1"))
    told = begin(model, weights)
    begin(other, weights)
    assert same(layer_weights(model, "base_conv2"), layer_weights(other, "base_conv2"))
    assert not same(layer_weights(model, "head"), layer_weights(other, "head"))
    assert "TinyBase" in told and weights.name in told and str(weights.parent) not in told


def test_a_whitened_input_is_no_layer_of_the_pretrained_ones(
    weights: Path, few_data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def numbered(include_top: bool, input_shape: tuple[int, ...], weights: str) -> keras.Model:
        base = TinyBase(include_top, input_shape, weights)
        # As Keras names layers that have no name of their own: by how many a process has made.
        unnamed = keras.models.clone_model(
            base, clone_function=lambda one: type(one)(**{**one.get_config(), "name": None})
        )
        unnamed.set_weights(base.get_weights())
        return unnamed

    monkeypatch.setattr(keras.applications, "TinyBase", numbered)
    plain = TRANSFER.build()
    begin(plain, weights)
    whitened = with_input(TRANSFER, "zca", few_data.train.images).build()
    begin(whitened, weights)
    assert same(layer_weights(whitened, "base_conv2"), layer_weights(plain, "base_conv2"))
    assert not same(
        layer_weights(whitened, "base_conv2"), layer_weights(TRANSFER.build(), "base_conv2")
    )


def test_weights_that_cannot_be_downloaded_name_the_option() -> None:
    with pytest.raises(WeightsError, match="could not be downloaded.*--weights"):
        begin(TRANSFER.build(), None)


def test_weights_of_the_wrong_shape_are_refused(tmp_path: Path) -> None:
    other = keras.Sequential([keras.Input((24, 24, 3)), layers.Conv2D(5, 3), layers.Conv2D(2, 3)])
    other.save_weights(tmp_path / "other.weights.h5")
    (tmp_path / "noise.weights.h5").write_bytes(b"not weights")
    for name in ("other", "noise"):
        with pytest.raises(WeightsError, match="does not hold weights of TinyBase"):
            begin(TRANSFER.build(), tmp_path / f"{name}.weights.h5")
    with pytest.raises(WeightsError, match="no file"):
        begin(TRANSFER.build(), tmp_path / "nowhere.h5")


def test_the_two_parts_of_a_cut_network_are_the_whole(few_data: DataSet) -> None:
    model = TRANSFER.build()
    images = few_data.train.images[:8]
    for first in ("head_pool", "base_conv2"):
        lower, upper = cut(model, first)
        assert np.allclose(upper(lower(images)), model(images), atol=1e-6)


def test_frozen_layers_run_once_per_image_and_view(few_data: DataSet, tmp_path: Path) -> None:
    lower, _upper = cut(TRANSFER.build(), "base_conv2")
    images, views = few_data.train.images[:90], (Transform(), Transform(flip=True))
    told: list[int] = []
    first = extract([lower], images, views, tmp_path, on_images=told.append)
    assert sum(told) == 180
    flipped = np.asarray(lower(images[:, :, ::-1]))
    assert np.allclose(first.views[1], flipped, atol=1e-2)

    lower.predict_on_batch = None  # It would fail if it were run again.
    again = extract([lower], images, views, tmp_path)
    assert np.array_equal(first.views[0], again.views[0])
    with pytest.raises(TypeError):
        extract([lower], images[:89], views, tmp_path)


def test_features_that_were_kept_before_transforms_had_this_name_are_still_found(
    few_data: DataSet, tmp_path: Path
) -> None:
    former = "View(flip=True, down=-2, right=3, enlarge=5)"
    transform = Transform(flip=True, down=-2, right=3, enlarge=5)
    assert transform.key == former
    assert Transform().key == "View(flip=False, down=0, right=0, enlarge=1)"

    lower, _upper = cut(TRANSFER.build(), "base_conv2")
    images = few_data.train.images[:20]
    of_network = digest_of(lower, images)
    name = hashlib.sha256(f"{of_network} {former}".encode()).hexdigest()[:32]
    kept = np.full((20, 3), 7, np.float16)
    np.save(tmp_path / f"{name}.npy", kept)
    (tmp_path / f"{name}.seconds").write_text("1.5")
    assert np.array_equal(extract([lower], images, (transform,), tmp_path).views[0], kept)


def test_a_part_within_a_network_is_called_the_same_in_any_process(few_data: DataSet) -> None:
    model, images = TRANSFER.build(), few_data.train.images[:4]

    def upper_name() -> str:
        keras.Input((3,))  # Another process has made other tensors before.
        _lower, upper = cut(cut(model, "head")[0], "base_conv2")
        return digest_of(upper, images)

    assert upper_name() == upper_name()


def test_what_computes_another_way_is_called_otherwise() -> None:
    def name(offset: float, *, skips: bool = False) -> str:
        keras.utils.clear_session()
        inputs = keras.Input((4, 4, 3))
        first = layers.ReLU(name="first")(inputs)
        second = layers.ReLU(name="second")(first)
        outputs = keras.ops.sqrt((first if skips else second) + offset)
        if skips:
            outputs = layers.Add(name="joined")([outputs, second])
        return digest_of(keras.Model(inputs, outputs), b"")

    assert name(1.0) == name(1.0)
    assert len({name(1.0), name(2.0), name(1.0, skips=True)}) == 3


def test_other_weights_have_other_features(few_data: DataSet, tmp_path: Path) -> None:
    images = few_data.train.images[:20]
    found = [
        extract([cut(TRANSFER.build(), "base_conv2")[0]], images, (Transform(),), tmp_path).views[0]
        for _ in range(2)
    ]
    assert not np.allclose(found[0], found[1])


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frozen layers are given a few images at a time."""
    monkeypatch.setattr(features, "batch_within_memory", lambda _network: 40)


@pytest.mark.usefixtures("small_pieces")
def test_features_are_gone_on_with_where_they_were_stopped(
    few_data: DataSet, tmp_path: Path
) -> None:
    lower, _upper = cut(TRANSFER.build(), "base_conv2")
    images = few_data.train.images[:130]
    whole = np.array(extract([lower], images, (Transform(),), tmp_path / "whole").views[0])

    folder, told = tmp_path / "parts", list[int]()
    with pytest.raises(Stopped):
        options = {"on_images": told.append, "stop": lambda: sum(told) >= 80}
        extract([lower], images, (Transform(),), folder, **options)  # type: ignore[arg-type]
    assert told == [0, 40, 40] and not list(folder.glob("*.npy"))
    # A process that is killed leaves half a piece behind the last whole one.
    (part,) = folder.glob("*.part")
    part.write_bytes(part.read_bytes() + b"half a piece")
    told.clear()
    again = extract([lower], images, (Transform(),), folder, on_images=told.append)
    assert told == [80, 40, 10], "what was kept is not computed again"
    assert np.array_equal(again.views[0], whole) and again.views[0].dtype == np.float16
    assert not list(folder.glob("*.part")) and not list(folder.glob("*.progress"))


@pytest.mark.usefixtures("small_pieces")
def test_pieces_whose_count_is_damaged_are_begun_anew(few_data: DataSet, tmp_path: Path) -> None:
    lower, _upper = cut(TRANSFER.build(), "base_conv2")
    images, told = few_data.train.images[:90], list[int]()
    with pytest.raises(Stopped):
        options = {"on_images": told.append, "stop": lambda: sum(told) >= 40}
        extract([lower], images, (Transform(),), tmp_path, **options)  # type: ignore[arg-type]
    (part,) = tmp_path.glob("*.part")
    part.with_suffix(".progress").write_text('{"images": 80, "seconds": 1}')
    told.clear()
    extract([lower], images, (Transform(),), tmp_path, on_images=told.append)
    assert told == [0, 40, 40, 10]


def test_features_of_another_configuration_are_not_taken(few_data: DataSet, tmp_path: Path) -> None:
    model = TRANSFER.build()
    images = few_data.train.images[:20]
    lower, _upper = cut(model, "base_conv2")
    extract([lower], images, (Transform(),), tmp_path)
    next(one for one in lower.layers if isinstance(one, layers.Rescaling)).scale = 1 / 100
    extract([cut(model, "base_conv2")[0]], images, (Transform(),), tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 2


@pytest.mark.parametrize("left", [300, 0])
def test_damaged_features_are_computed_again(left: int, few_data: DataSet, tmp_path: Path) -> None:
    lower, _upper = cut(TRANSFER.build(), "base_conv2")
    images = few_data.train.images[:20]
    first = np.array(extract([lower], images, (Transform(),), tmp_path).views[0])
    (stored,) = tmp_path.glob("*.npy")
    stored.write_bytes(stored.read_bytes()[:left])
    assert np.array_equal(extract([lower], images, (Transform(),), tmp_path).views[0], first)


@pytest.mark.usefixtures("small_pieces")
def test_a_full_disk_among_frozen_layers_keeps_what_is_done_and_says_what_to_do(
    few_data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower, _upper = cut(TRANSFER.build(), "base_conv2")
    images, told = few_data.train.images[:90], list[int]()
    real = os.fsync

    def full(handle: int) -> None:
        if sum(told) >= 40:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(FullDisk, match="disk is full.* 40 of 90 images is kept"):
            extract([lower], images, (Transform(),), tmp_path, on_images=told.append)
    told.clear()
    extract([lower], images, (Transform(),), tmp_path, on_images=told.append)
    assert told == [40, 40, 10]


def test_too_small_a_disk_is_said_before_anything_is_computed(
    few_data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower, _upper = cut(TRANSFER.build(), "base_conv2")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1000))
    told: list[int] = []
    with pytest.raises(FullDisk, match=r"takes 0.0 GB, and .* has room for 0.0 GB. Make room"):
        extract([lower], few_data.train.images, (Transform(),), tmp_path, on_images=told.append)
    assert told == []


def test_too_small_a_disk_for_all_phases_views_and_parts_is_said_before_anything_is_kept(
    weights: Path, few_data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = dataclasses.replace(
        TRANSFER, phases=tuple(dataclasses.replace(phase, epochs=1) for phase in TWO_PHASES)
    )
    fit, validation = (few_data.train.take(np.arange(*part)) for part in ((0, 200), (200, 260)))
    place, told = place_in(tmp_path), list[int]()
    watcher = Watcher(on_features=lambda count, _total: told.append(count))

    def learn() -> None:
        keras.utils.clear_session()  # As in another process: layers have the same names again.
        train(recipe, recipe.phases, 0, fit, validation, place, weights=weights, watcher=watcher)

    # Both views of the first phase and the one of the second, and of validation one in each.
    wanted = 2 * (5 * 5 * 8 * (2 * 200 + 60) + 11 * 11 * 4 * (200 + 60))
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=wanted - 1))
    with pytest.raises(FullDisk, match="the images of this run .*Make room"):
        learn()
    assert told == [] and not place.state.exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=wanted))
    learn()
    kept = [np.load(path, mmap_mode="r").nbytes for path in place.features.glob("*.npy")]
    assert sum(kept) == wanted
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=0))
    learn()  # All of it is there.


def full(*_arguments: Any, **_options: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("what", ["finish", "lock", "folder"])
def test_a_disk_that_is_full_to_the_last_file_is_said_in_the_same_way(
    what: str, few_data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower, _upper = cut(TRANSFER.build(), "base_conv2")
    images, folder = few_data.train.images[:20], tmp_path / "features"
    owner, name = {
        "finish": (os, "replace"),
        "lock": (FileLock, "acquire"),
        "folder": (Path, "mkdir"),
    }[what]
    with monkeypatch.context() as patch:
        patch.setattr(pieces.Pieces, "_write_progress", lambda *_: None)
        patch.setattr(owner, name, full)
        with pytest.raises(FullDisk, match="The disk is full: .*Make room"):
            extract([lower], images, (Transform(),), folder)
    assert len(extract([lower], images, (Transform(),), folder).views[0]) == 20


def test_who_waits_for_another_training_s_features_says_so_once(
    weights: Path, few_data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, waited, held = place_in(tmp_path), list[str](), list[FileLock]()

    def hold(lower: keras.Model, images: Any) -> str:
        digest = real(lower, images)
        if held:
            return digest
        for transform in TWO_PHASES[0].views:
            name = hashlib.sha256(f"{digest} {transform.key}".encode()).hexdigest()[:32]
            place.features.mkdir(exist_ok=True)
            held.append(FileLock(place.features / f"{name}.lock"))
            held[-1].acquire()
        return digest

    def look_again(_seconds: float) -> None:
        held.pop(0).release()

    real = digest_of
    monkeypatch.setattr(features, "digest_of", hold)
    monkeypatch.setattr(features, "time", SimpleNamespace(sleep=look_again, monotonic=lambda: 0.0))
    watcher = Watcher(on_wait=lambda: waited.append("for another"))
    recipe = dataclasses.replace(TRANSFER, phases=(dataclasses.replace(TWO_PHASES[0], epochs=1),))
    train(recipe, recipe.phases, 0, few_data.train, None, place, weights=weights, watcher=watcher)
    assert waited == ["for another"] and not held, "it waited for both views, and said it once"


def test_frozen_layers_in_parts_share_what_is_below(few_data: DataSet, tmp_path: Path) -> None:
    model = TRANSFER.build()
    lower, _upper = cut(model, "head")
    parts = [*cut(lower, "base_conv2")]
    images, views = few_data.train.images[:90], (Transform(), Transform(flip=True))
    told: list[int] = []
    found = extract(parts, images, views, tmp_path, on_images=told.append)
    assert sum(told) == 2 * 2 * 90, "each part of each view"
    mirrored = np.asarray(lower(images[:, :, ::-1]))
    assert np.allclose(found.views[1], mirrored, atol=1e-2)
    assert len(found.seconds) == len(list(tmp_path.glob("*.npy"))) == 4

    told.clear()
    parts[0].predict_on_batch = None  # It would fail if it were run again.
    below = extract(parts[:1], images, views, tmp_path, on_images=told.append)
    assert told == [2 * 90], "what is there counts before anything is computed"
    assert below.seconds.items() <= found.seconds.items()
    # What is above is found without what is below, which may be gone.
    for view in below.seconds:
        (tmp_path / view).unlink()
    again = extract(parts, images, views, tmp_path)
    assert np.array_equal(again.views[1], found.views[1])


@pytest.mark.usefixtures("small_pieces")
def test_frozen_layers_in_parts_are_gone_on_with_where_they_were_stopped(
    few_data: DataSet, tmp_path: Path
) -> None:
    parts = [*cut(cut(TRANSFER.build(), "head")[0], "base_conv2")]
    images, told = few_data.train.images[:90], list[int]()
    whole = np.array(extract(parts, images, (Transform(),), tmp_path / "whole").views[0])
    with pytest.raises(Stopped):
        options = {"on_images": told.append, "stop": lambda: sum(told) >= 130}
        extract(parts, images, (Transform(),), tmp_path, **options)  # type: ignore[arg-type]
    assert told == [0, 40, 40, 10, 40]
    told.clear()
    again = extract(parts, images, (Transform(),), tmp_path, on_images=told.append)
    assert told == [130, 40, 10]
    assert np.array_equal(again.views[0], whole)


def test_an_image_shows_another_view_each_epoch() -> None:
    views = [np.full((50, 2), number, np.float16) for number in range(4)]
    inputs = FeatureViews(views, seed=0)
    shown = [inputs.batch(np.arange(50), epoch, 0)[:, 0] for epoch in range(4)]
    assert all(sorted(column) == [0, 1, 2, 3] for column in np.transpose(shown))


def test_each_phase_trains_its_own_layers(weights: Path, few_data: DataSet, tmp_path: Path) -> None:
    head_only = dataclasses.replace(TRANSFER, phases=TWO_PHASES[:1])
    place = place_in(tmp_path)
    options = Options(weights=weights)
    run(head_only, few_data, options, tmp_path / "head", place)
    bundle = run(TRANSFER, few_data, options, tmp_path / "both", place)

    fresh = TRANSFER.build()
    begin(fresh, weights)
    head, both = (
        keras.saving.load_model(tmp_path / name / "model.keras", compile=False)
        for name in ("head", "both")
    )
    assert same(layer_weights(head, "base_conv2"), layer_weights(fresh, "base_conv2"))
    assert not same(layer_weights(both, "base_conv2"), layer_weights(fresh, "base_conv2"))
    for name in ("base_conv1", "base_bn"):
        assert same(layer_weights(both, name), layer_weights(fresh, name))
    assert not same(layer_weights(head, "head"), layer_weights(fresh, "head"))
    card = bundle.card
    assert card.training.epochs == len(bundle.history["loss"]) == 4
    assert card.training.pretrained and weights.name in card.training.pretrained
    assert card.training.command.endswith(f"--weights {weights.name}")
    assert card.trainable_parameters == 8 * 36 + 8 + 90
    assert bundle.history["loss"][1] < bundle.history["loss"][0]


def test_phases_share_what_the_layers_say_that_are_frozen_in_both(
    weights: Path, few_data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, last = TWO_PHASES
    phases = (dataclasses.replace(head, through="base_conv2", views=last.views), last)
    recipe, place = dataclasses.replace(TRANSFER, phases=phases), place_in(tmp_path)
    monkeypatch.setattr(pieces.Pieces, "took", lambda _pieces: 100.0)
    bundle = run(recipe, few_data, Options(weights=weights), tmp_path / "both", place)
    kept = 2 * (len(last.views) + 1)
    assert len(list(place.features.glob("*.npy"))) == kept, "two parts, the views and validation"
    of_features = bundle.card.training.seconds - sum(bundle.history["seconds"])
    assert round(of_features / 100) == kept, "each file once, though both phases need some"


def test_a_phase_in_which_all_learns_keeps_nothing_on_its_way() -> None:
    with pytest.raises(ValueError, match="keeps nothing"):
        Phase(1, 64, Optimizer("sgd", 0.05), through="base_conv2")


def test_batch_normalisation_of_the_base_keeps_its_statistics_when_all_is_trained(
    weights: Path, few_data: DataSet, tmp_path: Path
) -> None:
    everything = Phase(1, 64, Optimizer("sgd", 0.05), Schedule())
    recipe = dataclasses.replace(TRANSFER, phases=(everything,))
    options = Options(weights=weights)
    bundle = run(recipe, few_data, options, tmp_path / "all", place_in(tmp_path))
    trained = keras.saving.load_model(bundle.model_path, compile=False)
    fresh = TRANSFER.build()
    begin(fresh, weights)
    assert same(layer_weights(trained, "base_bn"), layer_weights(fresh, "base_bn"))
    assert not same(layer_weights(trained, "base_conv1"), layer_weights(fresh, "base_conv1"))


def test_a_phase_may_see_smaller_pictures_than_the_network_that_it_trains(
    weights: Path, few_data: DataSet, tmp_path: Path
) -> None:
    small, full = (
        Phase(1, 64, Optimizer("sgd", 0.05), Schedule(), input_size=size) for size in (12, None)
    )
    sizes: list[int] = []

    def note(_steps: int) -> None:
        sizes.extend(one.height for one in built[0].layers if isinstance(one, layers.Resizing))

    built: list[keras.Model] = []

    def build(classes: int = 10) -> keras.Model:
        built.append(build_transfer(classes))
        return built[-1]

    recipe = dataclasses.replace(TRANSFER, phases=(small, full), build=build)
    watched = Watcher(on_step=note)
    options, place = Options(weights=weights), place_in(tmp_path)
    bundle = run(recipe, few_data, options, tmp_path / "both", place, watcher=watched)
    assert sizes == sorted(sizes) and set(sizes) == {12, 24}
    assert "at 12 pixels" in bundle.card.training.optimizer
    saved = keras.saving.load_model(bundle.model_path, compile=False)
    resizing = next(one for one in saved.layers if isinstance(one, layers.Resizing))
    assert (resizing.height, resizing.width) == (24, 24)


@pytest.mark.parametrize("stop_after", [3, 22, 25], ids=["first phase", "between", "second phase"])
def test_an_interrupted_run_resumes_in_its_phase(
    stop_after: int, weights: Path, few_data: DataSet, tmp_path: Path
) -> None:
    options = Options(weights=weights)
    whole = run(TRANSFER, few_data, options, tmp_path / "whole", place_in(tmp_path))
    steps = 0

    def stop(_steps: int) -> None:
        nonlocal steps
        steps += 1
        if steps == stop_after:
            os.kill(os.getpid(), signal.SIGINT)

    output, place = tmp_path / "parts", place_in(tmp_path / "parts-state")
    with pytest.raises(Interrupted):
        run(TRANSFER, few_data, options, output, place, watcher=Watcher(on_step=stop))
    resumed = run(TRANSFER, few_data, options, output, place, resume=True)
    assert np.allclose(resumed.predictions.test, whole.predictions.test, atol=1e-6)
    assert resumed.history["loss"] == pytest.approx(whole.history["loss"], rel=1e-5)


def test_a_run_that_is_stopped_among_its_frozen_layers_resumes(
    weights: Path, few_data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_in(tmp_path)
    stop = Watcher(on_features=lambda _count, _total: os.kill(os.getpid(), signal.SIGTERM))
    options = Options(weights=weights)
    with monkeypatch.context() as patch:
        patch.setattr(features, "batch_within_memory", lambda _network: 100)
        with pytest.raises(Interrupted):
            run(TRANSFER, few_data, options, tmp_path / "net", place, watcher=stop)
    other = tmp_path / "other.h5"
    other.write_bytes(b"other weights")
    with pytest.raises(CheckpointError, match=f"began from .*{weights.name}"):
        run(TRANSFER, few_data, Options(weights=other), tmp_path / "net", place, resume=True)
    # The weights are in the state: the file is not needed again.
    weights.unlink()
    bundle = run(TRANSFER, few_data, Options(), tmp_path / "net", place, resume=True)
    told = bundle.card.training
    assert told.pretrained and weights.name in told.pretrained
    assert told.command == f"flask train transfer --seed 0 --weights {weights.name}"


def test_a_run_whose_bundle_could_not_be_written_is_told_right_after_a_resume(
    weights: Path, few_data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, head_only = place_in(tmp_path), dataclasses.replace(TRANSFER, phases=TWO_PHASES[:1])
    output, options = tmp_path / "net", Options(weights=weights)
    with monkeypatch.context() as patch:
        patch.setattr(measuring, "write_bundle", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            run(head_only, few_data, options, output, place)
    bundle = run(head_only, few_data, options, output, place, resume=True)
    assert bundle.card.trainable_parameters == 90


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_what_frozen_layers_say_is_not_computed_again_to_measure_what_was_learned(
    precision: Precision,
    weights: Path,
    few_data: DataSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Also where this processor would rather train in float32.
    monkeypatch.setattr(environment, "usable_precision", lambda wanted: wanted)
    head = dataclasses.replace(TWO_PHASES[0], epochs=1)
    recipe = dataclasses.replace(TRANSFER, phases=(head,), precision=precision)
    place, options = place_in(tmp_path), Options(weights=weights)
    bundle = run(recipe, few_data, options, tmp_path / "net", place)
    assert len(list(place.features.glob("*.npy"))) == 3, "two views to learn from, one to validate"
    assert bundle.card.metrics["train"].images == len(few_data.train) - 81


def test_a_report_keeps_what_frozen_layers_say_of_test_images_for_the_next(
    weights: Path, few_data: DataSet, tmp_path: Path
) -> None:
    recipe, place = dataclasses.replace(TRANSFER, phases=TWO_PHASES[:1]), place_in(tmp_path)
    options = Options(weights=weights, seed=3)
    keras.utils.clear_session()  # Layers are named as in a process of its own.
    whole = run(recipe, few_data, options, tmp_path / "whole", place)
    before = len(list(place.features.glob("*.npy")))
    options = dataclasses.replace(options, report_only=True)
    keras.utils.clear_session()
    stages: dict[str, tuple[int, int]] = {}
    watcher = Watcher(on_stage=lambda name, *counts: stages.update({name: counts}))
    report = run(recipe, few_data, options, tmp_path / "report", place, watcher=watcher)
    assert len(list(place.features.glob("*.npy"))) == before + 1
    assert np.allclose(report.predictions.test, whole.predictions.test, atol=1e-3)
    # Those that learn may take as long.
    assert stages["measuring test images, frozen layers"] == (500, 500)
    assert stages["measuring test images"] == (500, 500)


def test_what_a_killed_training_left_is_cleared_away(
    weights: Path, few_data: DataSet, tmp_path: Path
) -> None:
    left, kept = tmp_path / ".net-abcd1234", tmp_path / ".net-other-abcd1234"
    for folder in (left, kept):
        folder.mkdir()
        (folder / "model.keras").write_bytes(b"half")
    run(TRANSFER, few_data, Options(weights=weights), tmp_path / "net", place_in(tmp_path))
    assert not left.exists() and kept.exists()


def test_vgg16_takes_rgb_though_its_weights_expect_bgr() -> None:
    recipe = find_recipe("vgg16-frozen-32")
    assert isinstance(recipe.pretrained, Pretrained)
    kernel = np.random.default_rng(0).random((3, 3, 3, 4))
    adapted, bias = recipe.pretrained.adapt("block1_conv1", [kernel, np.zeros(4)])
    image = np.random.default_rng(1).random((3, 3, 3))
    assert np.tensordot(image, adapted, 3) == pytest.approx(
        np.tensordot(image[..., ::-1], kernel, 3)
    )
    assert recipe.pretrained.adapt("block1_conv2", [kernel, bias])[0] is kernel


MODULES = {
    "VGG16": "vgg16",
    "MobileNetV2": "mobilenet_v2",
    "ResNet50": "resnet",
    "InceptionResNetV2": "inception_resnet_v2",
    "DenseNet121": "densenet",
}


@pytest.mark.parametrize(
    "name", [name for name, one in RECIPES.items() if isinstance(one.pretrained, Pretrained)]
)
def test_preprocessing_is_that_of_keras_and_inside_the_network(name: str) -> None:
    recipe = find_recipe(name)
    assert isinstance(recipe.pretrained, Pretrained)
    model = recipe.build()
    first_convolution = next(one for one in model.layers if isinstance(one, layers.Conv2D))
    before = cut(model, first_convolution.name)[0]
    photo = np.random.default_rng(0).integers(0, 256, (1, 40, 30, 3)).astype(np.float32)
    ours = np.asarray(before(photo))
    assert ours.shape[1] >= recipe.input_size
    module = MODULES.get(recipe.pretrained.application)
    if module is None:
        pytest.skip("Keras has no such network")
    preprocess = getattr(keras.applications, module)
    resized = np.array(model.get_layer("resize")(photo))
    theirs = preprocess.preprocess_input(resized)
    if module in ("vgg16", "resnet"):
        theirs = theirs[..., ::-1]  # The channels are turned in the weights.
    inside = ours[:, 3:-3, 3:-3] if ours.shape != theirs.shape else ours
    assert np.allclose(inside, theirs, atol=1e-3)


ONE_STEP = {
    "vgg16-frozen-224": True,
    "vgg16-finetuned-224": True,
    "resnet50-224": False,
    "inception-resnet-v2": True,
    "animals-efficientnetv2b3": True,
    "animals-densenet121": True,
}
"""Networks too large to be trained here, and whether their first layer is frozen."""


@pytest.mark.release
@pytest.mark.parametrize("name", ONE_STEP)
def test_the_large_networks_learn_a_step_from_random_weights(
    name: str, few_data: DataSet, tmp_path: Path
) -> None:
    recipe = find_recipe(name)
    classes = len(find_known(recipe.data_set).classes)
    model = recipe.build(classes=classes)
    assert model.count_params() == recipe.parameters
    few = few_data.train.take(np.flatnonzero(few_data.train.labels < classes)[:2])
    frozen = {layer.name for layer in model.layers if not layer.trainable}
    learner = Learner(
        model,
        frozen,
        recipe.input_size,
        recipe.phases[-1],
        1,
        few,
        None,
        0,
        tmp_path,
        on_features=lambda _: None,
        stop=lambda: False,
    )
    first = next(one.name for one in model.layers if isinstance(one, layers.Conv2D))
    before = {one: layer_weights(model, one) for one in (first, "probabilities")}
    loss, _accuracy = learner.step(np.arange(2), epoch=0, batch=0, step=1)
    assert np.isfinite(loss)
    assert not same(before["probabilities"], layer_weights(model, "probabilities"))
    assert same(before[first], layer_weights(model, first)) == ONE_STEP[name]


@pytest.mark.release
@pytest.mark.parametrize(
    "name",
    [
        "inception-resnet-v2",
        "resnet50-224",
        "animals-densenet121",
        "animals-efficientnetv2b3",
    ],
)
def test_a_file_of_weights_reaches_the_layers_of_a_large_network(name: str, tmp_path: Path) -> None:
    recipe = find_recipe(name)
    assert isinstance(recipe.pretrained, Pretrained)
    shape = (recipe.input_size, recipe.input_size, 3)
    build = getattr(keras.applications, recipe.pretrained.application)
    base = build(include_top=False, weights=None, input_shape=shape)
    path = tmp_path / "made.weights.h5"
    base.save_weights(path)
    model = recipe.build()
    told = load_pretrained(model, recipe.pretrained, recipe.input_size, path)
    assert "made.weights.h5" in told
    ours = [one for one in model.layers if one.weights][1:]
    theirs = [one for one in base.layers if one.weights][1:]  # The first may be turned to RGB.
    for mine, given in zip(ours, theirs, strict=False):
        for one, other in zip(mine.get_weights(), given.get_weights(), strict=True):
            assert np.array_equal(one, other), mine.name


def write_old_weights(path: Path, model: keras.Model, names: list[str]) -> None:
    """A file of weights as an older Keras wrote it, with "/" in the names of layers."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.replace("_", "/", 1).encode() for name in names]
        for name in names:
            group = file.create_group(name.replace("_", "/", 1))
            group.attrs["weight_names"] = [b"W:0", b"b:0"]
            for told, weight in zip(("W:0", "b:0"), layer_weights(model, name), strict=True):
                group[told] = np.full_like(weight, 0.25)


def test_a_network_that_keras_lacks_takes_its_weights_by_the_names_of_layers(
    tmp_path: Path,
) -> None:
    recipe = find_recipe("squeezenet")
    assert isinstance(recipe.pretrained, Pretrained)
    model, path = recipe.build(), tmp_path / "squeezenet.h5"
    write_old_weights(path, model, list(recipe.pretrained.layers))
    told = load_pretrained(model, recipe.pretrained, 64, path)
    assert told.startswith("ImageNet weights of SqueezeNet 1.1: squeezenet.h5")
    for name in recipe.pretrained.layers:
        assert {float(np.unique(weight)[0]) for weight in layer_weights(model, name)} == {0.25}

    with pytest.raises(WeightsError, match="no weights of SqueezeNet 1.1 to download.*--weights"):
        load_pretrained(model, recipe.pretrained, 64, None)
    write_old_weights(path, model, list(recipe.pretrained.layers[:-1]))
    with pytest.raises(WeightsError, match="it has no fire9_expand3x3"):
        load_pretrained(model, recipe.pretrained, 64, path)
    path.write_bytes(b"noise")
    with pytest.raises(WeightsError, match="does not hold weights of SqueezeNet 1.1 by layer"):
        load_pretrained(model, recipe.pretrained, 64, path)


def test_what_cannot_be_downloaded_is_said_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(**_options: object) -> None:
        raise OSError("Name or service not known\nmore")

    monkeypatch.setattr(keras.applications, "VGG16", fail)
    recipe = find_recipe("vgg16-frozen-32")
    assert isinstance(recipe.pretrained, Pretrained)
    with pytest.raises(WeightsError, match=r"known\). Connect this machine .*or download .*--weig"):
        load_pretrained(TRANSFER.build(), recipe.pretrained, 32, None)
