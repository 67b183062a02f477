"""The loaded models: read once at start-up, one compiled function each.

The only package of the site that calls Keras.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_training.bundles.bundle import Bundle
from model_training.datasets.opener import views
from model_training.judging.metrics import scale_by_temperature
from model_training.judging.out_of_distribution import KEPT

Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

AT_A_TIME = 32
"""Views in one call: more of 161 pixels take memory, and no less time each."""


def _time(run: Callable[[], object], rounds: int = 5) -> float:
    """The least time of a few runs, in milliseconds: what else the machine does only adds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times) * 1000


def _doubt(probabilities: Floats) -> Floats:
    """The belief that is not in the best class, (count,)."""
    return np.asarray(1 - probabilities.max(axis=1))


class ClassifierError(Exception):
    """A bundle's network cannot be loaded or run here; the message says why."""


@dataclass(frozen=True)
class Judgement:
    """What a network says of one image, its views taken together.

    Args:
        probabilities: calibrated, (classes,).
        novelty: how unlike the training images it is: by `judging.out_of_distribution`,
            or in a bundle without that how little it believes in its best class, 0 to 0.9.
        known: whether that is as low as of 95 % of the validation images, so that it may be one of
            the classes.
    """

    probabilities: Floats
    novelty: float
    known: bool


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

        if keras.backend.backend() != "tensorflow":
            raise ClassifierError(
                "the site serves on TensorFlow; start it without KERAS_BACKEND "
                f"(now {keras.backend.backend()!r})"
            )
        from webapp.serving.network import Network

        self.bundle = bundle
        self.classes = tuple(bundle.card.classes)
        self.input_size = bundle.card.input_size
        if bundle.novelty is not None:
            self.threshold = bundle.novelty.threshold
        else:
            on_validation = _doubt(self._calibrate(bundle.predictions.validation))
            self.threshold = float(np.quantile(on_validation, KEPT)) if len(on_validation) else 1.0
        try:
            model = keras.saving.load_model(bundle.model_path, compile=False)
            self.resizes = model.input_shape[1] is None
            self._network = Network(model)
            blank = np.zeros((1, self.input_size, self.input_size, 3), np.uint8)
            answer = self.probabilities(blank)
            self.milliseconds = _time(lambda: self.probabilities(blank))
            if answer.shape == (1, len(self.classes)):
                # A number of views that was not seen before takes twice as long.
                seen = views(Image.new("RGB", (48, 36)), self.input_size)
                self.judge([np.stack([view.pixels for view in seen])])
        except Exception as error:  # Keras promises nothing about what a bad file raises.
            raise ClassifierError("its network cannot be loaded (the log says why)") from error
        if answer.shape != (1, len(self.classes)):
            raise ClassifierError(f"its network answers {answer.shape}, not {len(self.classes)}")

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.bundle.name

    def probabilities(self, pixels: Pixels) -> Floats:
        """The network's own probabilities for `pixels`, uint8 RGB (count, size, size, 3).

        Where `resizes` is true they may be of any size: the network enlarges them itself.

        Returns:
            float32 (count, classes).
        """
        return self._network.probabilities(self._network.features(pixels))

    def judge(self, images: Sequence[Pixels]) -> list[Judgement]:
        """Judge each of `images`, given as its views: uint8 (views, side, side, 3).

        The views' features are averaged.  Views of one size go through the network together.
        """
        features = np.empty((len(images), self._network.width), np.float32)
        for side in {shown.shape[1] for shown in images}:
            places = [place for place, shown in enumerate(images) if shown.shape[1] == side]
            stacked = np.concatenate([images[place] for place in places])
            found = np.concatenate(
                [
                    self._network.features(stacked[start : start + AT_A_TIME])
                    for start in range(0, len(stacked), AT_A_TIME)
                ]
            )
            ends = np.cumsum([len(images[place]) for place in places])
            for place, part in zip(places, np.split(found, ends[:-1]), strict=True):
                features[place] = part.mean(axis=0)
        probabilities = self._calibrate(self._network.probabilities(features))
        told = self.bundle.novelty
        novelty = _doubt(probabilities) if told is None else told.score(features)
        return [
            Judgement(row, float(value), bool(value <= self.threshold))
            for row, value in zip(probabilities, novelty, strict=True)
        ]

    def heat(self, view: Pixels, label: str) -> NDArray[np.float32]:
        """Where in `view`, uint8 (side, side, 3), the network looked for `label` (Grad-CAM).

        Returns:
            float32 (rows, columns) of the network's last feature map, 0 to 1; all 0 where nothing
            in the image speaks for `label`.

        Raises:
            ValueError: the network has no feature map, or no such class.
        """
        return self._network.heat(view, self.classes.index(label))

    def _calibrate(self, probabilities: Floats) -> Floats:
        return scale_by_temperature(probabilities, self.bundle.card.calibration.temperature)
