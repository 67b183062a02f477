"""Optimizers as recipes declare them, and the averaging of weights between their steps."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from model_training import recipes

# Decay is for what multiplies images; shrinking a bias or a normalisation only shifts it.
_NOT_DECAYED = ["bias", "beta", "gamma"]
_BIASES = ("bias", "beta")


@keras.saving.register_keras_serializable(package="ten_classes")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Up in a straight line, then down in a straight line.

    The triangular form of L. N. Smith and N. Topin, "Super-Convergence", 2018.

    Args:
        peak: the highest learning rate.
        steps: optimizer steps in the whole run.
        warmup: the share of `steps` before the peak, between 0 and 1.
        start: the first learning rate, as a share of `peak`.
        end: the last learning rate, as a share of `peak`.
    """

    def __init__(
        self, peak: float, steps: int, warmup: float, start: float = 0.1, end: float = 0.0
    ) -> None:
        self.peak = peak
        self.steps = steps
        self.warmup = warmup
        self.start = start
        self.end = end

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        top = max(1.0, self.warmup * self.steps)
        rising = self.start + (1.0 - self.start) * step / top
        left = (self.steps - step) / max(1.0, self.steps - top)
        falling = self.end + (1.0 - self.end) * left
        return self.peak * ops.maximum(self.end, ops.minimum(rising, falling))

    def get_config(self) -> dict[str, float]:
        return {
            "peak": self.peak,
            "steps": self.steps,
            "warmup": self.warmup,
            "start": self.start,
            "end": self.end,
        }


class SGD(keras.optimizers.SGD):  # type: ignore[misc]
    """SGD with Nesterov momentum, whose biases learn `bias_factor` times as fast.

    Many times the rate on the biases is from K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a
    Single GPU", 2024.
    """

    def __init__(self, learning_rate: Any, bias_factor: float = 1.0, **options: Any) -> None:
        super().__init__(learning_rate, nesterov=True, **options)
        self._bias_factor = bias_factor
        self._biases: list[bool] = []

    def build(self, variables: list[keras.Variable]) -> None:
        # Here, because some backends hand their own variables to a step, which have other names.
        self._biases = [variable.name in _BIASES for variable in variables]
        super().build(variables)

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        if self._biases[self._get_variable_index(variable)]:
            learning_rate = learning_rate * self._bias_factor
        super().update_step(gradient, variable, learning_rate)


class Muon(SGD):
    """Muon on convolution kernels, `SGD` on all else.

    A kernel's step is its momentum made orthogonal, so that every direction moves alike, by three
    Newton-Schulz steps; the kernel is then brought to the norm sqrt(filters), which the batch
    normalisation behind it forgets anyway (K. Jordan et al., "Muon: An optimizer for hidden layers
    in neural networks", 2024).  Keras' own Muon sends convolution kernels to AdamW.
    """

    _COEFFICIENTS = (3.4445, -4.7750, 2.0315)

    def __init__(
        self, learning_rate: Any, muon_factor: float, muon_momentum: float, **options: Any
    ) -> None:
        super().__init__(learning_rate, **options)
        self._muon_factor = muon_factor
        self._muon_momentum = muon_momentum

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        if not _is_kernel(variable):
            super().update_step(gradient, variable, learning_rate)
            return
        momentum = self.momentums[self._get_variable_index(variable)]
        self.assign(momentum, momentum * self._muon_momentum + gradient)
        direction = self._orthogonal(gradient + momentum * self._muon_momentum, variable.shape)
        rate = ops.cast(learning_rate, variable.dtype) * self._muon_factor
        moved = variable - rate * direction
        norm = math.sqrt(variable.shape[-1])
        self.assign(variable, moved * (norm / (ops.norm(ops.reshape(moved, (-1,))) + 1e-7)))

    def _orthogonal(self, step: Any, shape: tuple[int, ...]) -> Any:
        matrix = ops.reshape(step, (-1, shape[-1]))
        tall = matrix.shape[0] > matrix.shape[1]
        if tall:
            matrix = ops.transpose(matrix)
        matrix = matrix / (ops.norm(matrix) + 1e-7)
        a, b, c = self._COEFFICIENTS
        for _ in range(3):
            square = ops.matmul(matrix, ops.transpose(matrix))
            matrix = a * matrix + ops.matmul(b * square + c * ops.matmul(square, square), matrix)
        return ops.reshape(ops.transpose(matrix) if tall else matrix, shape)


class Lookahead:
    """Slow weights that follow the fast ones, and to which the fast ones are drawn back.

    Batch normalisation's statistics are averaged like the weights, as they belong to them
    (`keras.callbacks.SwapEMAWeights` leaves them behind).

    Args:
        steps: of the whole phase.
    """

    def __init__(self, spec: recipes.Lookahead, model: keras.Model, steps: int) -> None:
        self._spec = spec
        self._steps = steps
        self._fast = model.weights
        self.slow: list[NDArray[Any]] = [np.array(value) for value in model.get_weights()]

    def after_step(self, step: int) -> None:
        """Average after step number `step`, counted from 1, where it is time to."""
        if step % self._spec.every == 0:
            self._meet(self._spec.decay**self._spec.every * (step / self._steps) ** 3)
        if step == self._steps:
            self._meet(1.0)

    def _meet(self, keep: float) -> None:
        for number, weight in enumerate(self._fast):
            # In this form a frozen weight stays exactly what it is.
            fast = np.asarray(weight)
            self.slow[number] = (fast + keep * (self.slow[number] - fast)).astype(np.float32)
            weight.assign(self.slow[number])


def build_optimizer(
    spec: recipes.Optimizer, schedule: recipes.Schedule, steps: int, model: keras.Model
) -> keras.optimizers.Optimizer:
    """Return the Keras optimizer for `spec` over a phase of so many `steps`, ready for `model`."""
    rate: Any = spec.learning_rate
    if schedule.warmup is not None:
        rate = OneCycle(rate, steps, schedule.warmup, schedule.start, schedule.end)
    decay: dict[str, Any] = {"weight_decay": spec.weight_decay or None}
    biased = decay | {"momentum": spec.momentum, "bias_factor": spec.bias_factor}
    optimizer: keras.optimizers.Optimizer
    match spec.name:
        case "sgd":
            optimizer = SGD(rate, **biased)
        case "muon":
            optimizer = Muon(rate, spec.muon_factor, spec.muon_momentum, **biased)
        case "adam":
            optimizer = keras.optimizers.Adam(rate, **decay)
        case "rmsprop":
            optimizer = keras.optimizers.RMSprop(rate, **decay)
    if spec.weight_decay:
        kernels = [v for v in model.trainable_variables if spec.name == "muon" and _is_kernel(v)]
        optimizer.exclude_from_weight_decay(var_list=kernels, var_names=_NOT_DECAYED)
    # Otherwise its variables come with the first step, too late to be restored.
    optimizer.build(model.trainable_variables)
    return optimizer


def describe(phase: recipes.Phase) -> str:
    """Return how the weights of a phase are learned, in words for the card."""
    spec, schedule = phase.optimizer, phase.schedule
    names = {
        "sgd": f"SGD, Nesterov momentum {spec.momentum:g}",
        "muon": f"Muon (convolution kernels, {spec.muon_factor:g} of the rate, momentum "
        f"{spec.muon_momentum:g}) and SGD, Nesterov momentum {spec.momentum:g}",
        "adam": "Adam",
        "rmsprop": "RMSprop",
    }
    words = [names[spec.name]]
    if schedule.warmup is None:
        words.append(f"learning rate {spec.learning_rate:g}")
    else:
        end = f", then down to {schedule.end:g} of it" if schedule.end else ""
        words.append(
            f"one-cycle learning rate with a peak of {spec.learning_rate:g} after "
            f"{schedule.warmup:.0%} of the steps{end}"
        )
    if spec.bias_factor != 1:
        words.append(f"biases {spec.bias_factor:g} times as fast")
    if spec.weight_decay:
        words.append(f"decoupled weight decay {spec.weight_decay:g}")
    if phase.label_smoothing:
        words.append(f"label smoothing {phase.label_smoothing:g}")
    if phase.lookahead:
        words.append("Lookahead averaging")
    if phase.learns_from:
        words.append(f"layers before {phase.learns_from} frozen")
    if phase.input_size:
        words.append(f"at {phase.input_size} pixels")
    words += _between_epochs(phase)
    return ", ".join(words)


def _between_epochs(phase: recipes.Phase) -> list[str]:
    words = []
    if (plateau := phase.plateau) is not None:
        words.append(
            f"the rate times {plateau.factor:g} after {_epochs(plateau.patience)} without a lower "
            "validation loss"
        )
    if (dropout := phase.dropout) is not None:
        words.append(
            f"dropout from {dropout.start:.0%} to {dropout.end:.0%} of its rates over the epochs"
            if dropout.start != dropout.end
            else f"dropout at {dropout.end:.0%} of its rates"
        )
    if (stopping := phase.early_stopping) is not None:
        better = "a lower" if stopping.monitor == "loss" else "a higher"
        words.append(
            f"up to {_epochs(phase.epochs)}, ended by {stopping.patience} without {better} "
            f"validation {stopping.monitor}, the weights of the best kept"
        )
    else:
        words.append(_epochs(phase.epochs))
    return words


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' if count != 1 else ''}"


def _is_kernel(variable: keras.Variable) -> bool:
    return len(variable.shape) == 4
