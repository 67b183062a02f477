"""Between epochs: early stopping, a learning rate on a plateau, dropout that grows, and logs."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from model_training.bundles.history import Epoch
from model_training.datasets.dataset import DataSet
from model_training.recipes import (
    DropoutSchedule,
    EarlyStopping,
    Optimizer,
    Phase,
    Plateau,
    Recipe,
    Schedule,
)
from model_training.training.checkpoint import CheckpointError
from model_training.training.learning.asked import Asked
from model_training.training.learning.callbacks import Between
from model_training.training.learning.learner import compile_network
from model_training.training.learning.optimizers import describe
from model_training.training.learning.outcome import Interrupted, Trained
from model_training.training.learning.watcher import Watcher
from model_training.training.loop import Place, train
from tests.conftest import TINY, place_in

PHASE = Phase(
    epochs=6,
    batch_size=144,
    optimizer=Optimizer("adam", 0.02),
    early_stopping=EarlyStopping(patience=2),
    plateau=Plateau(factor=0.25, patience=1),
    dropout=DropoutSchedule(),
)
WATCHFUL = dataclasses.replace(TINY, phases=(PHASE,))


def row(epoch: int, loss: float | None, accuracy: float | None = 0.5) -> Epoch:
    """An epoch with this loss and accuracy on validation images."""
    return Epoch(epoch, 0.01, 1.0, 0.5, loss, accuracy if loss is not None else None, 1.0)


def between(phase: Phase, **options: Any) -> tuple[keras.Model, Between]:
    """The callbacks of a phase that begins, and the network that they watch."""
    network = TINY.build()
    compile_network(network, phase, 10)
    callbacks = Between(network, phase, 0, **({"has_validation": True} | options))
    callbacks.all.on_train_begin()
    return network, callbacks


def mark(network: keras.Model, number: float) -> None:
    """Give every weight a value by which its epoch can be told."""
    network.set_weights([np.full_like(weight, number) for weight in network.get_weights()])


@pytest.mark.parametrize(
    ("monitor", "figures", "best"),
    [
        ("loss", [1.0, 0.8, 0.9, 0.85], 2),
        ("loss", [0.7, 0.8, 0.9], 1),
        ("accuracy", [0.3, 0.5, 0.4, 0.5], 2),
    ],
    ids=["improves once", "never improves", "by accuracy"],
)
def test_early_stopping_ends_after_its_patience_with_the_best_weights(
    monitor: Any, figures: list[float], best: int
) -> None:
    phase = dataclasses.replace(PHASE, plateau=None, early_stopping=EarlyStopping(2, monitor))
    network, callbacks = between(phase)
    for epoch, figure in enumerate(figures, start=1):
        assert not callbacks.stops
        mark(network, epoch)
        loss, accuracy = (figure, 0.5) if monitor == "loss" else (1.0, figure)
        callbacks.epoch_ends(row(epoch, loss, accuracy))
    assert callbacks.stops and callbacks.best_epoch == best
    callbacks.all.on_train_end()
    assert {float(np.unique(weight)[0]) for weight in network.get_weights()} == {float(best)}


def test_a_phase_that_reaches_its_last_epoch_has_its_best_weights_too() -> None:
    network, callbacks = between(dataclasses.replace(PHASE, plateau=None))
    for epoch, loss in enumerate([1.0, 0.5, 0.6], start=1):
        mark(network, epoch)
        callbacks.epoch_ends(row(epoch, loss))
    assert not callbacks.stops
    callbacks.all.on_train_end()
    assert np.unique(network.get_weights()[0]) == [2.0]


def test_the_rate_falls_when_validation_does_not_and_never_below_its_least() -> None:
    phase = dataclasses.replace(
        PHASE, early_stopping=None, plateau=Plateau(factor=0.5, patience=2, least=0.004)
    )
    network, callbacks = between(phase)
    rates = []
    for epoch, loss in enumerate([1.0, 1.0, 1.0, 0.5, 0.6, 0.6, 0.6, 0.6], start=1):
        callbacks.epoch_ends(row(epoch, loss))
        rates.append(float(network.optimizer.learning_rate))
    assert rates == pytest.approx([0.02, 0.02, 0.01, 0.01, 0.01, 0.005, 0.005, 0.004])


def test_without_validation_images_nothing_stops_early() -> None:
    _network, callbacks = between(PHASE, has_validation=False)
    for epoch in range(1, 6):
        callbacks.epoch_ends(row(epoch, None))
    assert not callbacks.stops and callbacks.best_epoch is None


def test_dropout_grows_over_the_epochs_and_the_saved_network_has_its_own() -> None:
    network, callbacks = between(PHASE)
    (dropout,) = (one for one in network.layers if isinstance(one, keras.layers.Dropout))
    rates = []
    for epoch in range(6):
        callbacks.all.on_epoch_begin(epoch)
        rates.append(dropout.rate)
    assert rates == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08, 0.1])
    callbacks.all.on_train_end()
    assert dropout.rate == 0.1


def test_a_changed_rate_of_dropout_changes_what_a_step_does() -> None:
    drops = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dropout(0.9), keras.layers.Dense(1, use_bias=False)]
    )
    drops.compile(keras.optimizers.SGD(0.0), "mse")
    phase = dataclasses.replace(PHASE, early_stopping=None, plateau=None, epochs=2)
    callbacks = Between(drops, phase, 0, has_validation=False)
    callbacks.all.on_train_begin()
    ones = np.ones((1, 64), np.float32)
    losses = []
    for epoch in range(2):
        callbacks.all.on_epoch_begin(epoch)
        losses.append({float(drops.train_on_batch(ones, np.zeros((1, 1)))) for _ in range(6)})
    assert len(losses[0]) == 1 and len(losses[1]) > 1


def test_a_one_cycle_rate_takes_no_plateau() -> None:
    with pytest.raises(ValueError, match="one-cycle"):
        dataclasses.replace(PHASE, schedule=Schedule(warmup=0.1))


def test_the_card_tells_what_is_done_between_epochs() -> None:
    told = describe(PHASE)
    assert "the rate times 0.25 after 1 epoch without a lower validation loss" in told
    assert "dropout from 0% to 100% of its rates" in told
    assert "up to 6 epochs, ended by 2 without a lower validation loss, the weights" in told
    assert describe(TINY.phases[0]).endswith(", 2 epochs")


def learned(
    recipe: Recipe, data: DataSet, place: Place, stop_after: int | None = None, **options: Any
) -> Trained:
    """Train on few images; `stop_after` so many steps the training is asked to stop."""
    steps = 0

    def count(more: int) -> None:
        nonlocal steps
        steps += more

    fit, validation = data.train.take(np.arange(288)), data.train.take(np.arange(288, 400))
    return train(
        recipe,
        recipe.phases,
        0,
        fit,
        validation,
        place,
        watcher=Watcher(on_step=count),
        stop=lambda: steps == stop_after,
        **options,
    )


@pytest.fixture(scope="module")
def whole(few_data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training that nobody interrupted, and that stopped early."""
    trained = learned(WATCHFUL, few_data, place_in(tmp_path_factory.mktemp("whole")))
    losses = [row.validation_loss for row in trained.history]
    assert trained.best_epoch == 1 + int(np.argmin(np.array(losses, float)))
    return trained


@pytest.mark.parametrize("stop_after", [3, 4, 5], ids=["within an epoch", "at its end", "later"])
def test_a_run_that_was_interrupted_stops_where_it_would_have(
    stop_after: int, whole: Trained, few_data: DataSet, tmp_path: Path
) -> None:
    place = place_in(tmp_path)
    with pytest.raises(Interrupted):
        learned(WATCHFUL, few_data, place, stop_after)
    resumed = learned(WATCHFUL, few_data, place, resume=True)
    for mine, theirs in zip(resumed.history, whole.history, strict=True):
        assert (mine.learning_rate, mine.loss) == (theirs.learning_rate, theirs.loss)
        assert mine.validation_loss == theirs.validation_loss
    assert (resumed.best_epoch, resumed.stopped) == (whole.best_epoch, whole.stopped)
    pairs = zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True)
    assert all(np.array_equal(ours, theirs) for ours, theirs in pairs)


def test_a_run_out_of_minutes_ends_with_its_epoch_and_has_the_best_weights(
    whole: Trained, few_data: DataSet, tmp_path: Path
) -> None:
    place = place_in(tmp_path)
    ended = learned(WATCHFUL, few_data, place, asked=Asked(minutes=1e-9))
    assert len(ended.history) == 1 < len(whole.history)
    assert (ended.stopped, ended.minutes, ended.best_epoch) == ("time", 1e-9, 1)
    assert ended.history[0].loss == whole.history[0].loss
    assert (
        learned(WATCHFUL, few_data, place_in(tmp_path / "enough"), asked=Asked(minutes=60)).stopped
        == "early"
    )


def test_a_run_out_of_minutes_goes_through_no_later_phase(
    few_data: DataSet, tmp_path: Path
) -> None:
    phase = dataclasses.replace(PHASE, epochs=1, early_stopping=None)
    recipe = dataclasses.replace(WATCHFUL, phases=(phase, phase))
    ended = learned(recipe, few_data, place_in(tmp_path), asked=Asked(minutes=1e-9))
    assert (len(ended.history), ended.stopped) == (1, "time")


def test_an_interrupted_run_can_be_told_to_end(
    whole: Trained, few_data: DataSet, tmp_path: Path
) -> None:
    place = place_in(tmp_path)
    with pytest.raises(Interrupted):
        learned(WATCHFUL, few_data, place, 4, asked=Asked("flask train tiny --minutes 9", 9))
    ended = learned(WATCHFUL, few_data, place, resume=True, asked=Asked(minutes=1e-9))
    assert [one.loss for one in ended.history] == [one.loss for one in whole.history[:2]]
    assert ended.stopped == "time" and ended.command == "flask train tiny --minutes 1e-09"


def test_minutes_that_come_when_nothing_is_left_to_learn_are_not_told(
    few_data: DataSet, tmp_path: Path
) -> None:
    place = place_in(tmp_path)
    learned(WATCHFUL, few_data, place, asked=Asked("flask train tiny --minutes 1e-09", 1e-9))
    ended = learned(WATCHFUL, few_data, place, resume=True, asked=Asked(minutes=60))
    assert (len(ended.history), ended.minutes) == (1, 1e-9)
    assert ended.command == "flask train tiny --minutes 1e-09"


def test_a_state_is_not_gone_on_with_in_another_precision(
    few_data: DataSet, tmp_path: Path
) -> None:
    place = place_in(tmp_path)
    with pytest.raises(Interrupted):
        learned(WATCHFUL, few_data, place, 2)
    other = dataclasses.replace(WATCHFUL, precision="mixed_bfloat16")
    with pytest.raises(CheckpointError, match="precision was float32, now mixed_bfloat16"):
        learned(other, few_data, place, resume=True)


def test_minutes_given_at_the_beginning_need_not_be_told_again(
    few_data: DataSet, tmp_path: Path
) -> None:
    place = place_in(tmp_path)
    with pytest.raises(Interrupted):
        learned(WATCHFUL, few_data, place, 2, asked=Asked(minutes=1e-9))
    ended = learned(WATCHFUL, few_data, place, resume=True)
    assert (len(ended.history), ended.stopped, ended.minutes) == (1, "time", 1e-9)


def test_a_state_is_not_gone_on_with_on_other_images(few_data: DataSet, tmp_path: Path) -> None:
    place = place_in(tmp_path)
    with pytest.raises(Interrupted):
        learned(WATCHFUL, few_data, place, 2, data_digest="first")
    with pytest.raises(CheckpointError, match="data was first, now other.*--restart"):
        learned(WATCHFUL, few_data, place, resume=True, data_digest="other")


def test_logs_for_tensorboard_and_as_csv_go_on_after_an_interruption(
    few_data: DataSet, tmp_path: Path
) -> None:
    phase = dataclasses.replace(PHASE, epochs=2, early_stopping=None, dropout=None)
    recipe = dataclasses.replace(WATCHFUL, phases=(phase, phase))
    logs = tmp_path / "logs"
    place = Place(tmp_path / "state", tmp_path / "features", logs)
    with pytest.raises(Interrupted):
        learned(recipe, few_data, place, 6)
    trained = learned(recipe, few_data, place, resume=True)
    with (logs / "epochs.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [int(one["epoch"]) for one in table] == [0, 1, 2, 3]
    losses = [row.validation_loss for row in trained.history]
    assert [float(one["val_loss"]) for one in table] == pytest.approx(losses)
    assert list((logs / "train").glob("events.*")) and list((logs / "validation").glob("events.*"))
