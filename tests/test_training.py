"""Training: the networks are the reference's, runs resume exactly, and nothing is lost."""

from __future__ import annotations

import ast
import dataclasses
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from model_training.bundles import writing
from model_training.bundles.bundle import Bundle, BundleError
from model_training.bundles.reading import read_bundle
from model_training.datasets.dataset import DataSet
from model_training.datasets.registry import find_known
from model_training.recipes import RECIPES, Optimizer, Recipe, UnknownRecipe, find_recipe
from model_training.training import checkpoint, environment
from model_training.training.checkpoint import CheckpointError
from model_training.training.learning.learner import Learner, compile_network, epoch_order
from model_training.training.learning.optimizers import OneCycle
from model_training.training.learning.outcome import Diverged, Interrupted
from model_training.training.learning.watcher import Watcher
from model_training.training.options import Options, Parts
from model_training.training.run import run
from tests.conftest import PROJECT, TINY, place_in

# Somebody's own recipe, which need not state them, does not fail the tests.
STATED = {name: recipe for name, recipe in RECIPES.items() if recipe.parameters is not None}


# Each row of the reference, with the parameters that it states.
REFERENCE = {
    "custom-cnn": 1_117_514,
    "cnn-plain": 2_196_810,
    "cnn-augmented": 2_200_394,
    "cnn-scheduled": 4_101_450,
    "cnn-deep": 3_514_698,
    "cnn-four-block": None,
    "cnn-mish": 404_778,
    "vgg16-frozen-32": None,
    "vgg16-frozen-224": 41_071_690,
    "vgg16-finetuned-224": 41_071_690,
    "vgg16-frozen-224-augmented": 41_071_690,
    "vgg16-finetuned-224-augmented": 41_071_690,
    "vgg16-scheduled": None,
    "vgg16-first": None,
    "resnet50-224": 49_723_082,
    "resnet50-finetuned": None,
    "squeezenet": None,
    "inception-resnet-v2": 55_193_194,
    "animals-base": None,  # 4,354,378 for ten classes: tests/test_animals.py
    "animals-clean": None,
    "animals-augmented": None,
    "animals-deep": None,
    "animals-mobilenetv2": None,
    "animals-efficientnetv2b3": None,
    "animals-densenet121": None,
}
# Two of one build function need not both be built.
NETWORKS = {str((r.build, r.parameters)): r for r in STATED.values()}
# What takes many seconds to build is a release check.
LARGE = {"inception-resnet-v2", "resnet50-224", "animals-efficientnetv2b3", "animals-densenet121"}


def test_every_row_of_the_reference_has_a_recipe_with_the_parameters_stated_there() -> None:
    for name, parameters in REFERENCE.items():
        recipe = find_recipe(name)
        assert recipe.reported is not None, name
        assert recipe.parameters is not None, name
        assert parameters in (None, recipe.parameters), name


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(
            recipe, id=recipe.name, marks=[pytest.mark.release] if recipe.name in LARGE else []
        )
        for recipe in NETWORKS.values()
    ],
)
def test_each_network_has_exactly_the_parameters_of_its_recipe(recipe: Recipe) -> None:
    classes = len(find_known(recipe.data_set).classes)
    assert recipe.build(classes=classes).count_params() == recipe.parameters


def test_of_the_augmented_network_only_statistics_are_not_learned() -> None:
    model = find_recipe("cnn-augmented").build()
    learned = sum(math.prod(one.shape) for one in model.trainable_variables)
    assert model.count_params() - learned == 1_792


@pytest.mark.release
def test_of_inception_resnet_only_the_head_is_learned() -> None:
    model = find_recipe("inception-resnet-v2").build()
    assert sum(math.prod(one.shape) for one in model.trainable_variables) == 855_178


def test_no_declaration_and_no_function_of_a_recipe_is_longer_than_forty_lines() -> None:
    long = {}
    for path in (PROJECT / "model_training" / "recipes").glob("*/*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            told = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) else None
            lines = (node.end_lineno or 0) - node.lineno + 1 - len((told or "").splitlines())
            if isinstance(node, ast.FunctionDef | ast.Assign) and lines > 40:
                long[f"{path.stem}, line {node.lineno}"] = lines
    assert long == {}


def test_the_custom_cnn_is_the_reference_layer_by_layer() -> None:
    model = find_recipe("custom-cnn").build()
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    dropouts = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert [layer.filters for layer in convolutions] == [64, 64, 128, 128, 256, 128]
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    assert dropouts == [0.1, 0.2, 0.4, 0.3]
    assert [layer.units for layer in dense] == [128, 10]
    assert float(dense[0].kernel_regularizer.l2) == pytest.approx(0.005)


def test_augmentation_acts_while_training_and_is_inactive_when_serving() -> None:
    model = find_recipe("custom-cnn").build()
    augment = keras.Sequential([model.get_layer("shift"), model.get_layer("flip")])
    images = np.random.default_rng(0).random((4, 32, 32, 3), np.float32)
    assert np.array_equal(augment(images, training=False), images)
    moved = np.asarray(augment(images, training=True))
    assert not np.array_equal(moved, images)
    # Whole pixels: every value that comes out went in.
    assert np.isin(moved, images).all()


def test_scaling_is_in_the_network_so_it_takes_raw_pixels(tiny_bundle: Bundle) -> None:
    model = keras.saving.load_model(tiny_bundle.model_path, compile=False)
    assert [type(layer).__name__ for layer in model.layers[:2]] == ["InputLayer", "Rescaling"]


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    schedule = OneCycle(peak=0.4, steps=100, warmup=0.2, start=0.1)
    rates = [float(schedule(step)) for step in range(101)]
    assert rates[0] == pytest.approx(0.04)
    assert int(np.argmax(rates)) == 20 and rates[20] == pytest.approx(0.4)
    assert rates[60] == pytest.approx(0.2)
    assert rates[100] == 0
    assert OneCycle.from_config(schedule.get_config()).get_config() == schedule.get_config()


def test_weight_decay_spares_biases_and_normalisation() -> None:
    model = TINY.build()
    compile_network(model, TINY.phases[0], 10)
    variables = model.trainable_variables
    for variable in variables:
        variable.assign(np.ones(variable.shape))
    # Where nothing is learned, a step does nothing but decay.
    model.optimizer.apply([keras.ops.zeros(variable.shape) for variable in variables])
    assert {one.name for one in variables if np.all(np.asarray(one) < 1)} == {"kernel"}
    assert {one.name for one in variables if np.all(np.asarray(one) == 1)} == {
        *("bias", "beta", "gamma")
    }


def test_every_image_is_seen_once_an_epoch_in_an_order_of_its_own() -> None:
    assert sorted(epoch_order(50, seed=1, epoch=0)) == list(range(50))
    assert not np.array_equal(epoch_order(50, 1, 0), epoch_order(50, 1, 1))
    assert not np.array_equal(epoch_order(50, 1, 0), epoch_order(50, 2, 0))
    assert np.array_equal(epoch_order(50, 1, 0), epoch_order(50, 1, 0))


def test_a_run_learns_and_its_card_tells_the_truth(
    tiny_bundle: Bundle, small_data: DataSet
) -> None:
    card = tiny_bundle.card
    assert tiny_bundle.history["loss"][-1] < tiny_bundle.history["loss"][0]
    assert card.metrics["test"].accuracy > 0.12  # better than chance after 22 steps
    stored = tiny_bundle.predictions
    assert np.array_equal(stored.test_labels, small_data.test.labels)
    measured = accuracy_score(stored.test_labels, stored.test.argmax(axis=1))
    assert card.metrics["test"].accuracy == pytest.approx(measured)
    assert card.training.images + card.training.validation_images == 800
    assert card.training.command == "flask train tiny --seed 0"
    assert sum(layer.parameters for layer in card.layers) == card.parameters == TINY.parameters


def test_the_saved_network_gives_the_stored_predictions(
    tiny_bundle: Bundle, few_data: DataSet
) -> None:
    model = keras.saving.load_model(tiny_bundle.model_path, compile=False)
    again = model.predict(few_data.test.images[:200], verbose=0)
    assert np.allclose(again, tiny_bundle.predictions.test[:200], atol=1e-5)


def test_the_same_seed_gives_the_same_network_and_another_seed_another(
    tiny_bundle: Bundle, few_data: DataSet, tmp_path: Path
) -> None:
    same = run(TINY, few_data, Options(), tmp_path / "tiny", place_in(tmp_path))
    assert np.allclose(same.predictions.test, tiny_bundle.predictions.test[:500], atol=1e-6)
    other = run(TINY, few_data, Options(seed=1), tmp_path / "other", place_in(tmp_path))
    assert not np.allclose(other.predictions.test, tiny_bundle.predictions.test[:500], atol=1e-3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stop_after", [5, 11], ids=["mid-epoch", "at an epoch's end"])
def test_an_interrupted_run_resumes_to_the_same_network(
    number: signal.Signals,
    stop_after: int,
    tiny_bundle: Bundle,
    few_data: DataSet,
    tmp_path: Path,
) -> None:
    steps = 0

    def stop(_steps: int) -> None:
        nonlocal steps
        steps += 1
        if steps == stop_after:
            os.kill(os.getpid(), number)

    output, place = tmp_path / "tiny", place_in(tmp_path)
    with pytest.raises(Interrupted):
        run(TINY, few_data, Options(), output, place, watcher=Watcher(on_step=stop))
    assert steps == stop_after
    assert not output.exists()

    starts: list[tuple[int, int]] = []
    watcher = Watcher(on_start=lambda _parameters, *steps: starts.append(steps))
    resumed = run(TINY, few_data, Options(), output, place, resume=True, watcher=watcher)
    assert starts == [(stop_after, 22)]
    assert np.array_equal(resumed.predictions.test, tiny_bundle.predictions.test[:500])
    assert resumed.history["loss"] == pytest.approx(tiny_bundle.history["loss"], rel=1e-6)
    assert not checkpoint.exists(place.state)


def test_a_run_out_of_minutes_is_measured_as_it_is_and_its_card_says_so(
    few_data: DataSet, tmp_path: Path
) -> None:
    card = run(TINY, few_data, Options(minutes=1e-3), tmp_path / "tiny", place_in(tmp_path)).card
    told = card.training
    assert (told.epochs, told.planned_epochs, told.best_epoch) == (1, 2, None)
    assert told.minutes == 1e-3 and told.command == "flask train tiny --minutes 0.001 --seed 0"
    assert card.metrics["test"].images == 500


def test_an_unfinished_run_is_not_thrown_away_unasked(few_data: DataSet, tmp_path: Path) -> None:
    output, place = tmp_path / "tiny", place_in(tmp_path)
    stop = Watcher(on_step=lambda _steps: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        run(TINY, few_data, Options(), output, place, watcher=stop)
    with pytest.raises(CheckpointError, match="--resume.*--restart"):
        run(TINY, few_data, Options(), output, place)
    with pytest.raises(CheckpointError, match="phases 1 epochs was 2, now 3"):
        run(TINY, few_data, Options(epochs=3), output, place, resume=True)
    assert run(TINY, few_data, Options(epochs=1), output, place, restart=True).name == "tiny"


def test_nothing_to_resume_is_said(few_data: DataSet, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no unfinished training"):
        run(TINY, few_data, Options(), tmp_path / "tiny", place_in(tmp_path), resume=True)


def test_a_damaged_state_is_said(few_data: DataSet, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / checkpoint.STATE_NAME).write_bytes(b"PK\x03\x04 half")
    with pytest.raises(CheckpointError, match="damaged.*--restart"):
        run(TINY, few_data, Options(), tmp_path / "tiny", place_in(tmp_path), resume=True)


def test_a_state_of_another_version_is_said(few_data: DataSet, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    np.savez(tmp_path / "state" / checkpoint.STATE_NAME, v0=np.zeros(3))
    with pytest.raises(CheckpointError, match="another version.*--restart"):
        run(TINY, few_data, Options(), tmp_path / "tiny", place_in(tmp_path), resume=True)


def test_two_trainings_of_one_model_exclude_each_other(few_data: DataSet, tmp_path: Path) -> None:
    with checkpoint.claim(tmp_path / "state"):
        with pytest.raises(CheckpointError, match="Another training"):
            run(TINY, few_data, Options(), tmp_path / "tiny", place_in(tmp_path))


HOLD = """
import sys, time
from pathlib import Path
from model_training.training.checkpoint import claim

with claim(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_training_that_is_killed_gives_its_claim_up(tmp_path: Path) -> None:
    state = tmp_path / "state"
    command = [sys.executable, "-c", HOLD, str(state)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            with pytest.raises(CheckpointError, match="running. Wait for it, or give --output"):
                with checkpoint.claim(state):
                    pytest.fail("two trainings hold one state")
        finally:
            other.kill()
    with checkpoint.claim(state):
        assert (state / "lock").exists()


def test_what_fails_in_a_training_ends_its_claim(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), checkpoint.claim(tmp_path):
        _ = 1 / 0
    with checkpoint.claim(tmp_path):
        pass


def test_a_training_ends_where_the_system_does_not_tell_which_cores_it_gives(
    few_data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # macOS has no such call, and no /proc.
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    bundle = run(TINY, few_data, Options(epochs=1), tmp_path / "tiny", place_in(tmp_path))
    assert ", 12 cores, " in bundle.card.training.machine


def test_what_a_run_runs_on_is_asked_before_it_trains(
    few_data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise RuntimeError("nothing is known of this machine")

    monkeypatch.setattr(environment, "machine", fail)
    told: list[object] = []
    with pytest.raises(RuntimeError, match="nothing is known"):
        watcher = Watcher(on_start=lambda *numbers: told.append(numbers))
        run(TINY, few_data, Options(), tmp_path / "tiny", place_in(tmp_path), watcher=watcher)
    assert told == []


def test_a_training_that_diverges_is_stopped_and_said(few_data: DataSet, tmp_path: Path) -> None:
    (phase,) = TINY.phases
    wild_phase = dataclasses.replace(phase, optimizer=Optimizer("sgd", 1e30))
    wild = dataclasses.replace(TINY, phases=(wild_phase,))
    with pytest.raises(Diverged, match="diverged in epoch 1"):
        run(wild, few_data, Options(), tmp_path / "tiny", place_in(tmp_path))
    assert not (tmp_path / "tiny").exists()
    assert not checkpoint.exists(tmp_path / "state"), "there is nothing that could go on"


def test_a_training_that_diverges_in_the_last_step_of_an_epoch_keeps_the_one_before(
    few_data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, losses = Learner.validate, iter([None, math.nan])

    def validate(learner: Learner) -> tuple[float, float] | None:
        measured = real(learner)
        spoiled = next(losses)
        return measured if spoiled is None else (spoiled, 0.1)

    monkeypatch.setattr(Learner, "validate", validate)
    with pytest.raises(Diverged, match="diverged in epoch 2"):
        run(TINY, few_data, Options(epochs=2), tmp_path / "tiny", place_in(tmp_path))
    assert len(checkpoint.read_state(tmp_path / "state").history) == 1


def test_a_bundle_that_nobody_could_read_takes_no_place(
    few_data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run(TINY, few_data, Options(epochs=1), tmp_path / "tiny", place_in(tmp_path))

    def unreadable(folder: Path, name: str | None = None) -> Bundle:
        raise BundleError("predictions.npz would unpack to more than it may")

    monkeypatch.setattr(writing, "read_bundle", unreadable)
    longer, place = Options(epochs=2), place_in(tmp_path)
    with pytest.raises(BundleError):
        run(TINY, few_data, longer, tmp_path / "tiny", place, replace=True)
    assert read_bundle(tmp_path / "tiny").card == before.card


def test_a_failed_write_leaves_the_bundle_before_whole_and_the_run_resumable(
    few_data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, place = tmp_path / "tiny", place_in(tmp_path)
    before = run(TINY, few_data, Options(epochs=1), output, place)

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez_compressed", full)
        with pytest.raises(OSError, match="No space left"):
            run(TINY, few_data, Options(epochs=1, seed=5), output, place, replace=True)
    assert read_bundle(output).card == before.card
    assert [path.name for path in tmp_path.glob(".tiny*")] == []
    finished = run(TINY, few_data, Options(epochs=1, seed=5), output, place, resume=True)
    assert finished.card.training.seed == 5


def test_a_limit_takes_the_first_images_and_a_tenth_of_them_validates(
    few_data: DataSet,
) -> None:
    parts = Parts.of(few_data, Options(limit=500))
    assert parts.validation is not None
    assert len(parts.fit) + len(parts.validation) == 500
    assert len(parts.validation) == pytest.approx(50, abs=5)


@pytest.mark.parametrize("limit", [0, 99, 801])
def test_a_limit_out_of_range_is_said(limit: int, few_data: DataSet) -> None:
    with pytest.raises(ValueError, match="from 100 to 800"):
        Parts.of(few_data, Options(limit=limit))


def test_a_batch_larger_than_the_data_is_said(few_data: DataSet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--batch-size"):
        options = Options(batch_size=5_000)
        run(TINY, few_data, options, tmp_path / "tiny", place_in(tmp_path))


def test_a_mistyped_recipe_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownRecipe, match="Did you mean custom-cnn"):
        find_recipe("custm-cn")
