"""Averages of the weights along a training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from model_training import recipes


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
