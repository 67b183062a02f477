"""Learning-rate schedules."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


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
