"""Nothing is overwritten or lost in silence: bundles, unfinished trainings, trained networks."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from flask.testing import FlaskCliRunner

from model_training.bundles.bundle import Bundle
from model_training.bundles.history import Epoch
from model_training.bundles.manage import BundleExists
from model_training.bundles.reading import read_bundle
from model_training.datasets.dataset import DataSet
from model_training.networks.pretrained import WeightsError
from model_training.recipes import Recipe
from model_training.training import checkpoint, loop
from model_training.training import run as whole_run
from model_training.training.checkpoint import CheckpointError
from model_training.training.learning.outcome import Interrupted
from model_training.training.learning.watcher import Watcher
from model_training.training.measuring import MeasuringInterrupted
from model_training.training.options import QUICK_IMAGES, Options, Parts, some
from model_training.training.pretrained_heads import FILE
from model_training.training.run import run
from tests.conftest import TINY, place_in
from webapp.cli.common import training
from webapp.cli.common.bars import Bars
from webapp.cli.common.data_sources import Source

ONE_EPOCH = Options(epochs=1)
STAGES = [
    "measuring training images",
    "measuring validation images",
    "averaging validation images",
    "out-of-distribution fit",
    "measuring test images",
    "averaging test images",
]


@pytest.fixture
def models(runner: FlaskCliRunner) -> Path:
    return Path(runner.app.instance_path) / "models"


@pytest.fixture
def there(tiny_bundle: Bundle, models: Path) -> bytes:
    """A bundle that is there already: the card, by which another would be told from it."""
    shutil.copytree(tiny_bundle.path, models / "tiny")
    return (models / "tiny" / "card.json").read_bytes()


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for data has come too far."""

    def fail(*_arguments: object) -> NoReturn:
        raise AssertionError("data were fetched")

    monkeypatch.setattr(Source, "read", fail)


@pytest.fixture
def data_at_hand(few_data: DataSet, at_hand: Callable[[DataSet], None]) -> None:
    at_hand(few_data)


def interrupt(*_told: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("no_data", "tiny_recipe")
@pytest.mark.parametrize(
    "arguments",
    [
        ["tiny"],
        ["tiny", "--all-data"],
        ["tiny", "--limit", "200", "--output", "tiny"],
        ["custom-cnn", "--output", "tiny"],
    ],
)
def test_a_bundle_is_not_replaced_and_that_is_said_before_data_are_fetched(
    arguments: list[str], runner: FlaskCliRunner, models: Path, there: bytes
) -> None:
    result = runner.invoke(args=["train", *arguments])
    assert result.exit_code == 1
    accuracy = read_bundle(models / "tiny").card.metrics["test"].accuracy
    assert "There is a bundle called tiny already (Tiny network, " in result.output
    assert f"test accuracy {accuracy:.4f} on 10,000 images of CIFAR-10" in result.output
    assert "Keep both with --output tiny-2, or replace it with --force." in result.output
    assert ("calibration is taken over" in result.output) == ("--all-data" in arguments)
    assert (models / "tiny" / "card.json").read_bytes() == there


@pytest.mark.usefixtures("no_data", "tiny_recipe")
def test_a_damaged_bundle_and_one_elsewhere_are_not_replaced_either(
    runner: FlaskCliRunner, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere" / "mine").mkdir(parents=True)
    (tmp_path / "elsewhere" / "mine" / "card.json").write_text("{}")
    (tmp_path / "elsewhere" / "mine-2").mkdir()
    result = runner.invoke(args=["train", "tiny", "--output", str(tmp_path / "elsewhere" / "mine")])
    assert result.exit_code == 1
    assert "mine already (damaged: card.json is not valid" in result.output
    assert f"--output {tmp_path / 'elsewhere' / 'mine-3'}" in result.output


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_with_force_it_is_replaced(runner: FlaskCliRunner, models: Path, there: bytes) -> None:
    result = runner.invoke(args=["train", "tiny", "--epochs", "1", "--force"])
    assert result.exit_code == 0, result.output
    assert read_bundle(models / "tiny").card.training.epochs == 1
    assert (models / "tiny" / "card.json").read_bytes() != there


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_a_quick_try_makes_room_for_the_next_and_nothing_else_does(
    runner: FlaskCliRunner, models: Path, tiny_bundle: Bundle
) -> None:
    quick = ["train", "tiny", "--limit", "200", "--epochs", "1"]
    assert runner.invoke(args=quick).exit_code == 0
    again = runner.invoke(args=[*quick, "--seed", "1"])
    assert again.exit_code == 0, again.output
    assert read_bundle(models / "tiny-quick").card.training.seed == 1
    # The name alone does not make a quick try of it.
    shutil.rmtree(models / "tiny-quick")
    shutil.copytree(tiny_bundle.path, models / "tiny-quick")
    card = (models / "tiny-quick" / "card.json").read_text().replace('"tiny"', '"tiny-quick"', 1)
    (models / "tiny-quick" / "card.json").write_text(card)
    refused = runner.invoke(args=quick)
    assert refused.exit_code == 1
    assert "--output tiny-quick-2" in refused.output


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_who_began_with_force_need_not_say_it_again(
    runner: FlaskCliRunner, models: Path, there: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["train", "tiny", "--epochs", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(training, "epoch_line", interrupt)
        stopped = runner.invoke(args=[*command, "--force"])
    assert "--resume" in stopped.output
    assert (models / "tiny" / "card.json").read_bytes() == there
    resumed = runner.invoke(args=[*command, "--resume"])
    assert resumed.exit_code == 0, resumed.output
    assert read_bundle(models / "tiny").card.training.epochs == 1


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_a_bundle_that_came_while_a_training_was_interrupted_is_not_replaced(
    runner: FlaskCliRunner,
    models: Path,
    tiny_bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ["train", "tiny", "--epochs", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(training, "epoch_line", interrupt)
        runner.invoke(args=command)
    shutil.copytree(tiny_bundle.path, models / "tiny")
    refused = runner.invoke(args=[*command, "--resume"])
    assert refused.exit_code == 1
    assert "--resume --force" in refused.output and "flask models rename" in refused.output
    done = runner.invoke(args=[*command, "--resume", "--force"])
    assert done.exit_code == 0, done.output


def test_a_bundle_that_comes_while_a_network_trains_is_not_replaced(
    few_data: DataSet, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    output, place = tmp_path / "tiny", place_in(tmp_path)

    def come(_row: Epoch) -> None:
        shutil.copytree(tiny_bundle.path, output)

    with pytest.raises(BundleExists):
        run(TINY, few_data, ONE_EPOCH, output, place, watcher=Watcher(on_epoch=come))
    assert read_bundle(output).card == tiny_bundle.card
    # What was trained is kept, and takes the place once that is allowed.
    steps: list[int] = []
    watcher = Watcher(on_step=steps.append)
    run(TINY, few_data, ONE_EPOCH, output, place, resume=True, replace=True, watcher=watcher)
    assert steps == [] and read_bundle(output).card.training.epochs == 1


@pytest.mark.usefixtures("no_data", "tiny_recipe")
def test_an_unfinished_training_is_named_before_data_are_fetched(
    runner: FlaskCliRunner, tmp_path: Path
) -> None:
    state = Path(runner.app.instance_path) / "training" / "tiny"
    nothing = runner.invoke(args=["train", "tiny", "--resume"])
    assert "no unfinished training" in nothing.output
    state.mkdir(parents=True)
    (state / checkpoint.STATE_NAME).write_bytes(b"something")
    refused = runner.invoke(args=["train", "tiny"])
    assert "Continue it with --resume, or throw it away with --restart" in refused.output
    with checkpoint.claim(state):
        assert "Another training" in runner.invoke(args=["train", "tiny", "--restart"]).output
    assert (state / checkpoint.STATE_NAME).exists()


@pytest.mark.usefixtures("no_data", "tiny_recipe", "there")
def test_a_restart_may_not_replace_a_bundle_unasked_either(runner: FlaskCliRunner) -> None:
    state = Path(runner.app.instance_path) / "training" / "tiny"
    state.mkdir(parents=True)
    (state / checkpoint.STATE_NAME).write_bytes(b"something")
    said = runner.invoke(args=["train", "tiny", "--restart"]).output
    assert "or replace it with --force" in said and "--resume" not in said


@pytest.mark.usefixtures("no_data", "tiny_recipe")
def test_logs_that_cannot_be_written_are_named_before_data_are_fetched(
    runner: FlaskCliRunner, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    result = runner.invoke(args=["train", "tiny", "--tensorboard", str(tmp_path / "file" / "logs")])
    assert result.exit_code == 1
    assert "--tensorboard: nothing can be written into" in result.output
    assert "Give another folder, or leave it out." in result.output


@pytest.mark.parametrize("stage", STAGES[::3])
def test_a_run_stopped_while_it_is_measured_keeps_its_network(
    stage: str, few_data: DataSet, tmp_path: Path
) -> None:
    output, place = tmp_path / "tiny", place_in(tmp_path)

    def stop(told: str, _done: int, _total: int) -> None:
        if told == stage:
            interrupt()

    with pytest.raises(MeasuringInterrupted):
        run(TINY, few_data, ONE_EPOCH, output, place, watcher=Watcher(on_stage=stop))
    assert not output.exists()
    assert checkpoint.read_state(place.state).is_trained
    steps: list[int] = []
    watcher = Watcher(on_step=steps.append)
    bundle = run(TINY, few_data, ONE_EPOCH, output, place, resume=True, watcher=watcher)
    assert steps == [], "nothing is trained again"
    assert bundle.card.training.epochs == 1
    assert not checkpoint.exists(place.state)


def test_a_stop_in_the_last_step_is_not_forgotten(few_data: DataSet, tmp_path: Path) -> None:
    told: list[str] = []
    watcher = Watcher(on_epoch=interrupt, on_stage=lambda stage, _done, _total: told.append(stage))
    with pytest.raises(MeasuringInterrupted):
        run(TINY, few_data, ONE_EPOCH, tmp_path / "tiny", place_in(tmp_path), watcher=watcher)
    assert told == STAGES[:1], "it stops before anything is measured"


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_ctrl_c_while_measuring_says_what_is_kept(
    runner: FlaskCliRunner, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_bars: object, stage: str, _done: int, _total: int) -> None:
        if stage.startswith("averaging"):
            interrupt()

    command = ["train", "tiny", "--epochs", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(Bars, "show", stop)
        stopped = runner.invoke(args=command)
    assert stopped.exit_code == 1
    assert (
        "Stopped while measuring. The trained network is kept: give the same command with --resume "
        "and only the measuring is repeated."
    ) in stopped.output
    resumed = runner.invoke(args=[*command, "--resume"])
    assert resumed.exit_code == 0, resumed.output
    assert "resumed after 11 of 11 steps" in resumed.output
    assert read_bundle(models / "tiny").name == "tiny"


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
@pytest.mark.parametrize(
    ("where", "words"),
    [("find_doubts", "Nothing had been saved yet."), ("epoch", "--resume to go on from it.")],
)
def test_a_second_ctrl_c_ends_it_at_once_and_says_what_is_kept(
    where: str, words: str, runner: FlaskCliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(*_told: object) -> list[str]:
        interrupt()
        interrupt()
        return []

    if where == "epoch":
        monkeypatch.setattr(training, "epoch_line", twice)
    else:
        monkeypatch.setattr(loop, where, twice)
    result = runner.invoke(args=["train", "tiny"])
    assert result.exit_code == 1
    assert "Error: Stopped at once. " in result.output
    assert result.output.rstrip().endswith(words)


@pytest.fixture
def unfinished(few_data: DataSet, tmp_path: Path) -> bytes:
    """A training that was interrupted in its first epoch, as it lies on the disk."""
    place = place_in(tmp_path)
    with pytest.raises(Interrupted):
        run(TINY, few_data, ONE_EPOCH, tmp_path / "tiny", place, watcher=Watcher(on_step=interrupt))
    (place.state / FILE).write_bytes(b"the head that it came with")
    return (place.state / checkpoint.STATE_NAME).read_bytes()


def no_weights(*_arguments: object) -> NoReturn:
    raise WeightsError("nowhere to be had")


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        (TINY, Options(batch_size=5_000)),
        (dataclasses.replace(TINY, prepare=no_weights), ONE_EPOCH),
        (TINY, Options(epochs=1, input_size=1)),
    ],
    ids=["too few images", "no weights", "too few pixels"],
)
def test_a_restart_that_cannot_begin_loses_nothing(
    recipe: Recipe, options: Options, unfinished: bytes, few_data: DataSet, tmp_path: Path
) -> None:
    place = place_in(tmp_path)
    with pytest.raises((ValueError, WeightsError)):
        run(recipe, few_data, options, tmp_path / "tiny", place, restart=True)
    assert (place.state / checkpoint.STATE_NAME).read_bytes() == unfinished
    assert (place.state / FILE).exists()


def test_a_restart_takes_the_place_of_what_was_there_before_its_first_step(
    unfinished: bytes, few_data: DataSet, tmp_path: Path
) -> None:
    place = place_in(tmp_path)
    other = Options(epochs=1, seed=3)
    watcher = Watcher(on_step=interrupt)
    with pytest.raises(Interrupted):
        run(TINY, few_data, other, tmp_path / "tiny", place, restart=True, watcher=watcher)
    assert checkpoint.read_state(place.state).settings["seed"] == 3
    assert not (place.state / FILE).exists(), "a head is of the network that it came with"


@pytest.mark.parametrize(("first", "then"), [(True, False), (False, True)])
def test_a_report_that_was_asked_for_once_is_one_and_its_command_says_so(
    first: bool, then: bool, few_data: DataSet, tmp_path: Path
) -> None:
    output, place, stop = tmp_path / "tiny", place_in(tmp_path), Watcher(on_step=interrupt)
    with pytest.raises(Interrupted):
        run(TINY, few_data, Options(epochs=1, report_only=first), output, place, watcher=stop)
    bundle = run(TINY, few_data, Options(epochs=1, report_only=then), output, place, resume=True)
    assert bundle.model_path is None and bundle.judge is None
    assert bundle.card.training.command == "flask train tiny --epochs 1 --seed 0 --report-only"


def test_a_training_is_deterministic_from_its_first_step_to_its_last_or_not_at_all(
    few_data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The switch is one of the whole process, in which other tests run.
    switched: list[bool] = []
    monkeypatch.setattr(whole_run, "make_deterministic", lambda: switched.append(True))
    deterministic = dataclasses.replace(ONE_EPOCH, deterministic=True)
    for begun_with, place in (
        (deterministic, place_in(tmp_path / "with")),
        (ONE_EPOCH, place_in(tmp_path / "without")),
    ):
        stop = Watcher(on_step=interrupt)
        with pytest.raises(Interrupted):
            run(TINY, few_data, begun_with, tmp_path / "tiny", place, watcher=stop)
    assert switched == [True]
    with pytest.raises(CheckpointError, match="without --deterministic"):
        run(TINY, few_data, deterministic, tmp_path / "tiny", place, resume=True)
    again = place_in(tmp_path / "with")
    bundle = run(TINY, few_data, ONE_EPOCH, tmp_path / "tiny", again, resume=True)
    assert switched == [True, True]
    assert bundle.card.training.command == "flask train tiny --epochs 1 --seed 0 --deterministic"


@pytest.mark.parametrize("restart", [False, True])
def test_a_full_disk_is_found_before_anything_is_learned(
    restart: bool,
    unfinished: bytes,
    few_data: DataSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = place_in(tmp_path if restart else tmp_path / "another")

    def full(*_arguments: object, **_options: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    steps: list[int] = []
    watcher = Watcher(on_step=steps.append)
    with pytest.raises(OSError, match="No space left"):
        run(TINY, few_data, ONE_EPOCH, tmp_path / "b", place, restart=restart, watcher=watcher)
    assert steps == []
    if restart:
        assert (place.state / checkpoint.STATE_NAME).read_bytes() == unfinished
        assert (place.state / FILE).exists()


def test_every_stage_of_the_measuring_is_told_from_none_to_all(
    few_data: DataSet, tmp_path: Path
) -> None:
    told: dict[str, list[tuple[int, int]]] = {}

    def note(stage: str, done: int, total: int) -> None:
        told.setdefault(stage, []).append((done, total))

    run(
        TINY,
        few_data,
        ONE_EPOCH,
        tmp_path / "tiny",
        place_in(tmp_path),
        watcher=Watcher(on_stage=note),
    )
    assert list(told) == STAGES
    for counts in told.values():
        total = counts[0][1]
        assert counts[0] == (0, total) and counts[-1] == (total, total)
        assert counts == sorted(counts)
    assert told["measuring test images"][-1] == (500, 500)
    assert told["averaging test images"][-1] == (2_500, 2_500), "five views beside the plain one"


def test_a_quick_try_is_measured_on_a_part_and_the_card_says_so(
    small_data: DataSet, tmp_path: Path
) -> None:
    options = Options(limit=700, epochs=1)
    parts = Parts.of(small_data, options)
    bundle = run(TINY, small_data, options, tmp_path / "tiny", place_in(tmp_path))
    metrics = bundle.card.metrics
    assert (metrics["test"].images, metrics["train"].images) == (QUICK_IMAGES, QUICK_IMAGES)
    assert metrics["validation"].images == bundle.card.training.validation_images
    assert bundle.card.averaged == {}, "six views of each would take most of the time"
    assert np.array_equal(bundle.predictions.test_labels, parts.test.labels)
    assert len(Parts.of(small_data, Options()).test) == 10_000


def test_a_part_has_the_same_share_of_each_class_and_is_always_the_same(
    small_data: DataSet,
) -> None:
    part = some(small_data.test, 500)
    assert np.bincount(part.labels).tolist() == 10 * [50]
    assert np.array_equal(part.images, some(small_data.test, 500).images)
    assert some(part, 500) is part and some(part, 1_000) is part
    uneven = dataclasses.replace(part, labels=np.repeat([0, 1, 2], [400, 90, 10]).astype(np.uint8))
    assert np.bincount(some(uneven, 50).labels).tolist() == [40, 9, 1]


def test_a_state_of_a_version_before_is_gone_on_with(few_data: DataSet, tmp_path: Path) -> None:
    output, place = tmp_path / "tiny", place_in(tmp_path)
    with pytest.raises(Interrupted):
        run(TINY, few_data, ONE_EPOCH, output, place, watcher=Watcher(on_step=interrupt))
    saved = checkpoint.read(place.state)
    del saved.progress["replace"]
    state = checkpoint.State.of(place.state, saved.progress)
    assert state.replace is False and state.step == 1


def test_how_far_a_training_is_can_be_read_without_its_network(
    few_data: DataSet, tmp_path: Path
) -> None:
    place = place_in(tmp_path)
    stop = Watcher(on_epoch=interrupt)
    with pytest.raises(Interrupted):
        run(TINY, few_data, Options(), tmp_path / "tiny", place, watcher=stop)
    (found,) = checkpoint.unfinished(tmp_path)
    assert (found.name, found.problem, found.is_running) == ("state", None, False)
    assert found.state and (len(found.state.history), found.state.epochs) == (1, 2)
    assert not found.state.is_trained
    assert found.size == (place.state / checkpoint.STATE_NAME).stat().st_size
    with checkpoint.claim(place.state):
        assert checkpoint.unfinished(tmp_path)[0].is_running
        with pytest.raises(CheckpointError, match="Another training"):
            checkpoint.throw_away(place.state)
    checkpoint.throw_away(place.state)
    assert not place.state.exists()
    assert checkpoint.unfinished(tmp_path / "nowhere") == []
