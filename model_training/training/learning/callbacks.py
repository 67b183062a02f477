"""What happens between the epochs of a phase, as Keras' own callbacks: early stopping, a learning
rate that falls on a plateau, dropout that follows a schedule, and logs for TensorBoard and as CSV.

What they remember is kept with the state of a run, so that a resumed one goes on as if it had never
stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from model_training.bundles.history import Epoch
from model_training.recipes import DropoutSchedule, Phase

CSV_LOG = "epochs.csv"

_VALIDATION = {"loss": "val_loss", "accuracy": "val_accuracy"}  # Keras' names.


class Remembering(Protocol):
    """A callback that knows more than its model does."""

    def memory(self) -> dict[str, Any]:
        """Return what it remembers, as plain JSON."""

    def remember(self, memory: dict[str, Any]) -> None:
        """Go on from an earlier `memory()`."""


class EarlyStopping(keras.callbacks.EarlyStopping):  # type: ignore[misc]
    """Keras' early stopping, which can go on where an interrupted run stopped."""

    def memory(self) -> dict[str, Any]:
        """Return all it remembers but the best weights."""
        return {"wait": self.wait, "best": self.best, "best_epoch": self.best_epoch}

    def remember(self, memory: dict[str, Any]) -> None:
        """Go on from an earlier `memory()`."""
        self.wait, self.best = memory["wait"], memory["best"]
        self.best_epoch = memory["best_epoch"]


class ReduceLROnPlateau(keras.callbacks.ReduceLROnPlateau):  # type: ignore[misc]
    """Keras' learning rate on a plateau, which can go on where an interrupted run stopped."""

    def memory(self) -> dict[str, Any]:
        """Return all it remembers; the rate itself is a variable of the optimizer."""
        return {"wait": self.wait, "best": self.best}

    def remember(self, memory: dict[str, Any]) -> None:
        """Go on from an earlier `memory()`."""
        self.wait, self.best = memory["wait"], memory["best"]


class Dropout(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the rates of all dropout layers at the beginning of each epoch.

    A compiled step has the rate in it as a number, so that a new one is compiled where it changes.

    Args:
        first: the epoch, as callbacks count them, with which the phase begins.
        epochs: of the phase.
    """

    def __init__(self, schedule: DropoutSchedule, first: int, epochs: int) -> None:
        super().__init__()
        self._schedule, self._first, self._epochs = schedule, first, epochs
        self._own: dict[Any, float] = {}

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Set the rates of `epoch`."""
        share = self._schedule.share(epoch - self._first, self._epochs)
        self._set({layer: rate * share for layer, rate in self._rates().items()})

    def on_train_end(self, logs: object = None) -> None:
        """Give the layers their own rates back."""
        self._set(self._rates())

    def _rates(self) -> dict[Any, float]:
        if not self._own:
            self._own = {
                layer: layer.rate
                for layer in self.model.layers
                if isinstance(layer, keras.layers.Dropout)
            }
        return self._own

    def _set(self, rates: dict[Any, float]) -> None:
        if any(layer.rate != rate for layer, rate in rates.items()):
            for layer, rate in rates.items():
                layer.rate = rate
            self.model.train_function = None


class Between:
    """The callbacks of one phase, in a `keras.callbacks.CallbackList`.

    Args:
        network: what learns in the phase, compiled.
        first: how many epochs of the run came before the phase.
        has_validation: without, early stopping is left out and a plateau is one of the loss on what
            is learned from.
        logs: the folder for TensorBoard's files and a CSV, or None.
        resumed: whether earlier epochs of the run are in the CSV already.
    """

    def __init__(
        self,
        network: keras.Model,
        phase: Phase,
        first: int,
        *,
        has_validation: bool,
        logs: Path | None = None,
        resumed: bool = False,
    ) -> None:
        self._network = network
        self._stopping: EarlyStopping | None = None
        self._remembering: dict[str, Remembering] = {}
        callbacks: list[keras.callbacks.Callback] = []
        if phase.early_stopping is not None and has_validation:
            what = phase.early_stopping
            self._stopping = EarlyStopping(
                monitor=_VALIDATION[what.monitor],
                mode="min" if what.monitor == "loss" else "max",
                patience=what.patience,
                restore_best_weights=True,
            )
            self._remembering["early stopping"] = self._stopping
            callbacks.append(self._stopping)
        if phase.plateau is not None:
            plateau = ReduceLROnPlateau(
                monitor="val_loss" if has_validation else "loss",
                mode="min",
                factor=phase.plateau.factor,
                patience=phase.plateau.patience,
                min_lr=phase.plateau.least,
            )
            self._remembering["plateau"] = plateau
            callbacks.append(plateau)
        if phase.dropout is not None:
            callbacks.append(Dropout(phase.dropout, first, phase.epochs))
        if logs is not None:
            logs.mkdir(parents=True, exist_ok=True)
            table = logs / CSV_LOG
            callbacks.append(keras.callbacks.TensorBoard(str(logs), write_graph=False))
            callbacks.append(keras.callbacks.CSVLogger(str(table), append=first > 0 or resumed))
        network.stop_training = False
        self.all = keras.callbacks.CallbackList(callbacks, model=network)

    @property
    def stops(self) -> bool:
        """Return whether the phase is to end here."""
        return bool(self._network.stop_training)

    @property
    def best_epoch(self) -> int | None:
        """Return the epoch, from 1, whose weights early stopping keeps; None without it."""
        best = self._stopping
        return None if best is None or best.best_weights is None else best.best_epoch + 1

    def epoch_ends(self, row: Epoch) -> None:
        """Tell the callbacks what an epoch reached."""
        measured = {
            "loss": row.loss,
            "accuracy": row.accuracy,
            "val_loss": row.validation_loss,
            "val_accuracy": row.validation_accuracy,
        }
        logs = {name: value for name, value in measured.items() if value is not None}
        logs["learning_rate"] = row.learning_rate
        self.all.on_epoch_end(row.epoch - 1, logs)

    def memory(self) -> dict[str, Any]:
        """Return what the callbacks remember, as plain JSON."""
        return {name: one.memory() for name, one in self._remembering.items()}

    def best_weights(self) -> list[NDArray[Any]]:
        """Return those of early stopping; none where there is no best epoch yet."""
        best = self._stopping.best_weights if self._stopping is not None else None
        return [np.asarray(weight) for weight in best or ()]

    def remember(self, memory: dict[str, Any], best_weights: list[NDArray[Any]]) -> None:
        """Go on from an earlier `memory()` and `best_weights()`."""
        for name, one in self._remembering.items():
            if name in memory:
                one.remember(memory[name])
        if self._stopping is not None:
            self._stopping.best_weights = best_weights or None
