"""The loaded models: read once at start-up, one compiled function each.

The only module of the site that calls Keras.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_training.bundle import Bundle
from model_training.evaluation import scale_by_temperature

# The site serves on TensorFlow, whatever backend somebody trains with.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def _time(run: Callable[[], object], rounds: int = 5) -> float:
    """The least time of a few runs, in milliseconds: what else the machine does only adds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times) * 1000


class ClassifierError(Exception):
    """A bundle's network cannot be loaded or run here; the message says why."""


class Classifier:
    """One bundle's network, compiled and warm.

    Raises:
        ClassifierError: the bundle has no network, or one that cannot be loaded.
    """

    def __init__(self, bundle: Bundle) -> None:
        if bundle.model_path is None:
            raise ClassifierError("this bundle is only a report; its network does not ship")
        # Not at the top: `flask --help` and every page about results do without TensorFlow.
        import keras
        import tensorflow as tf

        if keras.backend.backend() != "tensorflow":
            raise ClassifierError(
                "the site serves on TensorFlow; start it without KERAS_BACKEND "
                f"(now {keras.backend.backend()!r})"
            )
        self.bundle = bundle
        self.classes = tuple(bundle.card.classes)
        self.input_size = bundle.card.input_size
        try:
            model = keras.saving.load_model(bundle.model_path, compile=False)
            shape = model.input_shape
            self.resizes = shape[1] is None
            # A compiled function answers in about 1 ms; `model.predict` takes about 40 ms.
            self._run: Any = tf.function(
                lambda images: model(images, training=False),
                input_signature=[tf.TensorSpec(shape, tf.float32)],
            )
            blank = np.zeros((1, self.input_size, self.input_size, 3), np.uint8)
            answer = self.probabilities(blank)
            self.milliseconds = _time(lambda: self.probabilities(blank))
        except Exception as error:  # Keras promises nothing about what a bad file raises.
            raise ClassifierError("its network cannot be loaded (the log says why)") from error
        if answer.shape != (1, len(self.classes)):
            raise ClassifierError(f"its network answers {answer.shape}, not {len(self.classes)}")

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.bundle.name

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
        """The network's own probabilities for `pixels`, uint8 RGB (count, size, size, 3).

        Where `resizes` is true they may be of any size: the network enlarges them itself.

        Returns:
            float32 (count, classes).
        """
        return np.asarray(self._run(pixels.astype(np.float32)))

    def calibrated(self, pixels: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
        """As `probabilities`, at the temperature fitted on the validation images."""
        return scale_by_temperature(
            self.probabilities(pixels), self.bundle.card.calibration.temperature
        )
