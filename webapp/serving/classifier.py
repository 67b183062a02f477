"""The loaded models, each with its judge and a compiled backend."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_training.bundles.bundle import Bundle
from model_training.bundles.card import Explanation
from model_training.datasets.pictures.views import View
from model_training.explaining.methods import GRAD_CAM, METHODS
from model_training.explaining.neighbours import NEAREST, Neighbours, nearest
from model_training.explaining.target import Heat, NoExplanation, Target
from model_training.judging.backend import Backend
from model_training.judging.judge import Judge, Judgement, mean_features
from model_training.networks.folding import fold_normalization
from model_training.networks.loading import load_network
from webapp.operating.metrics import count_prediction, stage
from webapp.serving.batching import MicroBatching
from webapp.serving.memory import map_judge, map_weights

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


BATCHED_SIDE = 64
"""The largest input, in pixels, of a network that answers several threads together: with a larger
one a batch saves nothing (`benchmarks.batching`)."""
AT_ONCE = 3
"""The calls of such a network at a time: with fewer, threads wait for each other for nothing."""


class ClassifierError(Exception):
    """A bundle whose network cannot be loaded or run here; the message says why."""


class Classifier:
    """One bundle's network, compiled and warm, with its judge.

    `milliseconds` is the time for the features of one image, measured when it was loaded.
    `elsewhere.classifier.ServedClassifier` is one whose network a model server runs.

    Raises:
        ClassifierError: the bundle has no network, or one that cannot be loaded.
    """

    backend: Backend
    asked: Backend
    """The backend by way of which several threads ask."""
    milliseconds: float | None

    def __init__(self, bundle: Bundle) -> None:
        judge = self.judge_of(bundle)
        # Not at the top: `flask --help` and every page about results do without TensorFlow.
        import keras

        if keras.backend.backend() != "tensorflow":
            raise ClassifierError(
                "the site serves on TensorFlow; start it without KERAS_BACKEND "
                f"(now {keras.backend.backend()!r})"
            )
        from webapp.serving.tensorflow_backend import TensorFlowBackend

        assert bundle.model_path is not None
        judge = self.judge = map_judge(judge)
        self.bundle = dataclasses.replace(bundle, judge=judge)
        try:
            model = fold_normalization(load_network(bundle.model_path))
            map_weights(model)
            backend = TensorFlowBackend(model)
            blank = np.zeros((1, judge.plan.side, judge.plan.side, 3), np.uint8)
            backend.features(blank)
            self.milliseconds = _time(lambda: backend.features(blank))
        except Exception as error:  # Keras promises nothing about what a bad file raises.
            raise ClassifierError("its network cannot be loaded (the log says why)") from error
        if not (
            backend.kernel.shape == judge.kernel.shape
            and np.allclose(backend.kernel, judge.kernel, atol=1e-5)
            and np.allclose(backend.bias, judge.bias, atol=1e-5)
        ):
            raise ClassifierError(
                "its judge was made for another network: its head is not the network's"
            )
        # A number of views that was not seen before takes twice as long.
        judge.judge([judge.views(Image.new("RGB", (48, 36)))], backend)
        self.backend = backend
        self.asked = (
            MicroBatching(backend, at_once=AT_ONCE) if judge.plan.side <= BATCHED_SIDE else backend
        )

    @staticmethod
    def judge_of(bundle: Bundle) -> Judge:
        """Return the judge of `bundle`.

        Raises:
            ClassifierError: it has no network, or no judge.
        """
        if bundle.model_path is None:
            raise ClassifierError("this bundle is only a report, without a network")
        if bundle.judge is None:
            raise ClassifierError(
                f"its judge is missing: `flask calibrate {bundle.name}` makes one"
            )
        return bundle.judge

    @property
    def no_maps(self) -> str | None:
        """Return why there can be no maps of where it looked, in a sentence; None if there can."""
        return None

    @property
    def name(self) -> str:
        """Return the bundle's name."""
        return self.bundle.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the meaning of each probability."""
        return self.judge.classes

    @property
    def input_size(self) -> int:
        """Return the side of the squares that the network is shown, in pixels."""
        return self.judge.plan.side

    def features(self, images: Sequence[Sequence[View]]) -> Floats:
        """Return the features of each of `images`, averaged over its views: (images, features).

        `judge_features` and `nearest` take them, so that both are had for one look.
        """
        with stage("network"):
            return mean_features(images, self.asked)

    def judge_features(self, features: NDArray[np.float32]) -> list[Judgement]:
        """Judge images by their `features`, float32 (count, features)."""
        judgements = self.judge.judge_features(features)
        for judgement in judgements:
            count_prediction(self.name, judgement.verdict)
        return judgements

    def judge_views(self, images: Sequence[Sequence[View]]) -> list[Judgement]:
        """Judge each of `images`, given by its views (`judge.views`)."""
        return self.judge_features(self.features(images))

    @property
    def explanation(self) -> Explanation | None:
        """Return what was measured of the ways to explain its answers; None if nothing was."""
        return self.bundle.card.explanation

    def explain(
        self,
        view: Pixels,
        label: str,
        method: str | None = None,
        against: str | None = None,
    ) -> Heat:
        """Return where in `view` the evidence for `label` lies.

        Args:
            view: uint8 (side, side, 3).
            method: a name in `METHODS`; None for the network's quick one (`quick_method`).
            against: another class: the map shows what speaks for `label` rather than for it.

        Returns:
            float32 (rows, columns), as fine as the method is, laid over the whole of `view`; 0 to
            1, and all 0 where nothing speaks for `label`.

        Raises:
            ValueError: there is no such method or class, `against` is `label`, or the network
                offers less than the method needs, as one without feature maps does.
        """
        method = method or self.quick_method
        if method not in METHODS:
            raise ValueError(f"there is no method {method!r}: there is {', '.join(METHODS)}")
        if against == label:
            raise ValueError(f"{label!r} cannot be set against itself")
        number = self.classes.index(label)
        other = None if against is None else self.classes.index(against)
        with stage("network"):
            return METHODS[method].explain(self.backend, view, Target(self.judge, number, other))

    @property
    def quick_method(self) -> str:
        """Return the method of a map that is made without being asked for."""
        return self.explanation.quick if self.explanation is not None else GRAD_CAM

    def warm_maps(self) -> None:
        """Make a quick map of a blank, so that no visitor waits for the gradients to be traced."""
        if self.no_maps is None:
            blank = np.zeros((self.input_size, self.input_size, 3), np.uint8)
            with contextlib.suppress(NoExplanation):
                METHODS[self.quick_method].explain(self.backend, blank, Target(self.judge, 0, None))

    def heat(self, view: Pixels, label: str) -> Heat:
        """Return the quick map for `label` (see `explain`)."""
        return self.explain(view, label)

    def nearest(self, features: Floats, count: int = NEAREST) -> Neighbours | None:
        """Return the `count` training images nearest to each image of `features`.

        Args:
            features: float32 (images, features), as `features` returns them.

        Returns:
            None for a network whose judge remembers no training images.
        """
        return nearest(self.judge.reference, features, count) if self.judge.reference else None


def load_for_many(bundle: Bundle) -> tuple[Judge, Backend]:
    """Return what answers of `bundle`, for who asks about many pictures at a time.

    Raises:
        ClassifierError: it cannot be loaded.
    """
    classifier = Classifier(bundle)
    return classifier.judge, classifier.backend


def _time(run: Callable[[], object], rounds: int = 5) -> float:
    """Return the shortest time of a few runs, in milliseconds: other load only adds to it."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times) * 1000
