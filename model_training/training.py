"""The one trainer: a recipe and data in, a trained network and its history out."""

from __future__ import annotations

import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from model_training import checkpoint
from model_training.data import ImageSet
from model_training.history import Epoch
from model_training.recipes import Recipe, Training
from model_training.schedules import OneCycle

if TYPE_CHECKING:
    from types import FrameType


@dataclass(frozen=True)
class Trained:
    """A trained network, in float32, with how it came about.

    `started` is when the run began, in ISO 8601; `seconds` is the wall time of all its sessions,
    validation after each epoch included.
    """

    model: keras.Model
    optimizer: str
    history: list[Epoch]
    started: str
    seconds: float


@dataclass(frozen=True)
class Watcher:
    """What a caller wants to be told while a network trains."""

    on_start: Callable[[int, int], None] = lambda steps_done, steps_total: None
    on_step: Callable[[int], None] = lambda steps: None
    on_epoch: Callable[[Epoch], None] = lambda epoch: None


class Diverged(ValueError):
    """The loss became infinite or no number at all."""


class Interrupted(Exception):
    """The training was asked to stop, and its state is on disk."""


def train(
    recipe: Recipe,
    training: Training,
    seed: int,
    fit: ImageSet,
    validation: ImageSet,
    state_folder: Path,
    *,
    resume: bool = False,
    watcher: Watcher | None = None,
) -> Trained:
    """Train `recipe`'s network on `fit`, and measure it on `validation` after each epoch.

    The state goes to `state_folder` after each epoch and when SIGINT (Ctrl-C) or SIGTERM asks the
    training to stop; with `resume` the run goes on from there, to the same weights as a run that
    was not interrupted.  The caller discards the state when it has no more use for it.

    Args:
        training: the recipe's training, or a changed one.
        fit, validation: images uint8 (count, input_size, input_size, 3).

    Raises:
        Interrupted: after SIGINT or SIGTERM.
        Diverged: the loss of an epoch is not finite; the state of the epoch before stays.
        CheckpointError: `resume` without a usable state, or with a state of other settings.
        ValueError: there are fewer images than the batch size.
    """
    watcher = watcher or Watcher()
    batch = training.batch_size
    steps_per_epoch = len(fit) // batch
    if steps_per_epoch == 0:
        raise ValueError(
            f"A batch of {batch} needs as many images; there are {len(fit)} to train on. Give "
            "more images or a smaller --batch-size."
        )
    total_steps = steps_per_epoch * training.epochs
    settings = {"recipe": recipe.name, "seed": seed, "images": len(fit)}
    settings |= dataclasses.asdict(training)

    keras.utils.set_random_seed(seed)
    model = build_for_training(recipe, training, total_steps)
    state = _restore(state_folder, model, settings) if resume else _State(settings)
    targets, validation_targets = one_hot(fit.labels), one_hot(validation.labels)
    order = epoch_order(len(fit), seed, state.step // steps_per_epoch)
    watcher.on_start(state.step, total_steps)

    with _stop_signals() as asked_to_stop:
        clock = time.monotonic()
        while state.step < total_steps:
            place = state.step % steps_per_epoch
            chosen = order[place * batch : (place + 1) * batch]
            logs = model.train_on_batch(fit.images[chosen], targets[chosen], return_dict=True)
            # `train_on_batch` tells of its own batch only.
            state.epoch_loss += float(logs["loss"]) / steps_per_epoch
            state.epoch_accuracy += float(logs["accuracy"]) / steps_per_epoch
            state.step += 1
            watcher.on_step(1)

            epoch_ends = state.step % steps_per_epoch == 0
            if epoch_ends:
                if not math.isfinite(state.epoch_loss):
                    raise Diverged(
                        f"The training diverged in epoch {len(state.history) + 1}: its loss is no "
                        "longer a number. A smaller learning rate or another seed may help."
                    )
                measured = model.evaluate(
                    validation.images,
                    validation_targets,
                    batch_size=500,
                    verbose=0,
                    return_dict=True,
                )
            state.epoch_seconds += time.monotonic() - clock
            clock = time.monotonic()
            if epoch_ends:
                rate = float(model.optimizer.learning_rate)
                watcher.on_epoch(state.finish_epoch(rate, measured))
                order = epoch_order(len(fit), seed, state.step // steps_per_epoch)
            stop = asked_to_stop.is_set() and state.step < total_steps
            if epoch_ends or stop:
                checkpoint.save(state_folder, model, dataclasses.asdict(state))
            if stop:
                raise Interrupted

    return Trained(
        model=in_float32(recipe, model),
        optimizer=describe_optimizer(training),
        history=state.history,
        started=state.started,
        seconds=sum(row.seconds for row in state.history),
    )


def build_for_training(recipe: Recipe, training: Training, total_steps: int) -> keras.Model:
    """Build `recipe`'s network in the training's precision, and compile it."""
    with _dtype_policy(training.precision):
        model = recipe.build()
    optimizer = keras.optimizers.SGD(
        OneCycle(training.peak_learning_rate, total_steps, training.warmup),
        momentum=training.momentum,
        nesterov=True,
        weight_decay=training.weight_decay or None,
    )
    if training.weight_decay:
        # Decay is for what multiplies images; shrinking a bias or a normalisation only shifts it.
        optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(label_smoothing=training.label_smoothing),
        metrics=["accuracy"],
    )
    # Otherwise its variables come with the first step, too late to be restored.
    optimizer.build(model.trainable_variables)
    return model


def in_float32(recipe: Recipe, trained: keras.Model) -> keras.Model:
    """A float32 copy of `trained`: not every machine that serves computes bfloat16 quickly."""
    with _dtype_policy("float32"):
        model = recipe.build()
    model.set_weights(trained.get_weights())
    return model


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The order of the images in one epoch: a function of seed and epoch, so it can be resumed."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def one_hot(labels: np.ndarray[Any, Any], classes: int = 10) -> np.ndarray[Any, Any]:
    """`labels` (count,) as float32 (count, classes)."""
    return np.asarray(np.eye(classes, dtype=np.float32)[labels])


def describe_optimizer(training: Training) -> str:
    """The optimizer in one line, for the card."""
    return (
        f"SGD, Nesterov momentum {training.momentum:g}, one-cycle learning rate with a peak of "
        f"{training.peak_learning_rate:g} after {training.warmup:.0%} of the steps, decoupled "
        f"weight decay {training.weight_decay:g}, label smoothing {training.label_smoothing:g}"
    )


@dataclass
class _State:
    """Where a run is: what of it, beside the network's variables, is needed to go on."""

    settings: dict[str, Any]
    started: str = dataclasses.field(
        default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds")
    )
    step: int = 0
    history: list[Epoch] = dataclasses.field(default_factory=list)
    epoch_loss: float = 0.0
    epoch_accuracy: float = 0.0
    epoch_seconds: float = 0.0

    def finish_epoch(self, learning_rate: float, validation: dict[str, float]) -> Epoch:
        """Turn the sums so far into a row of the history, and begin the next epoch."""
        row = Epoch(
            epoch=len(self.history) + 1,
            learning_rate=learning_rate,
            loss=self.epoch_loss,
            accuracy=self.epoch_accuracy,
            validation_loss=float(validation["loss"]),
            validation_accuracy=float(validation["accuracy"]),
            seconds=self.epoch_seconds,
        )
        self.history.append(row)
        self.epoch_loss = self.epoch_accuracy = self.epoch_seconds = 0.0
        return row


def _restore(folder: Path, model: keras.Model, settings: dict[str, Any]) -> _State:
    state = _State(**checkpoint.read_progress(folder))
    _check_same_settings(state.settings, settings)
    checkpoint.restore(folder, model)
    state.history = [Epoch(**row) for row in state.history]  # type: ignore[arg-type]
    return state


def _check_same_settings(saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    changed = [
        f"{name} was {saved.get(name)}, now {value}"
        for name, value in wanted.items()
        if saved.get(name) != value
    ]
    if changed:
        raise checkpoint.CheckpointError(
            f"The unfinished training had other settings ({'; '.join(changed)}). Resume it with "
            "its own, or start anew with --restart."
        )


@contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    # A flag, looked at between steps, so that no step is cut in half.  A second Ctrl-C is for
    # whoever will not wait: it stops at once, and the last saved state counts.
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, _frame: FrameType | None) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
