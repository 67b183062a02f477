"""Is an image one of the classes at all?  A score of how unlike the training images it is.

It adds two signs, both from the network itself and none from strangers: how weakly it believes in
its best class (the largest logit: D. Hendrycks et al., "Scaling Out-of-Distribution Detection for
Real-World Settings", 2022), and how far the image lies from the nearest training images of that
class among the network's features, which are what its last dense layer is given (Y. Sun et al.,
"Out-of-Distribution Detection with Deep Nearest Neighbors", 2022).  Each is measured in standard
deviations over the validation images, so that they weigh alike.  What else was tried stands in
`docs/judging-photos.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.dataset import ImageSet
from model_training.networks.cutting import split_network
from model_training.networks.memory import batch_within_memory

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.float32]

KEPT = 0.95
"""The share of the validation images that the threshold keeps."""
NEAREST = 3
REMEMBERED = 8_000
AXES = 256
"""Directions of feature space that are kept: 8,000 images take under 2 MB so, and the score loses
a few thousandths of AUROC."""
SEED = 2022


@dataclass(frozen=True)
class Novelty:
    """What a network remembers of its training images, to tell strangers by.

    Args:
        kernel, bias: of the network's last dense layer: float32 (features, classes), (classes,).
        axes: float16 (features, directions), the directions in which features are compared.
        remembered: int8 (images, directions), directions only, without a length.
        remembered_labels: uint8 (images,).
        distance, belief: mean and standard deviation of each sign on the validation images.
        threshold: the novelty above which an image is none of the classes.
    """

    kernel: Floats
    bias: Floats
    axes: NDArray[np.float16]
    remembered: NDArray[np.int8]
    remembered_labels: NDArray[np.uint8]
    distance: tuple[float, float]
    belief: tuple[float, float]
    threshold: float

    def __post_init__(self) -> None:
        """Check the parts.

        Raises:
            ValueError: they do not fit each other.
        """
        size, directions = self.axes.shape
        count = len(self.remembered)
        if (
            self.kernel.shape != (size, self.classes)
            or self.remembered.shape != (count, directions)
            or self.remembered_labels.shape != (count,)
            or not count
            or int(self.remembered_labels.max()) >= self.classes
            or not np.isfinite([*self.distance, *self.belief, self.threshold]).all()
            or min(self.distance[1], self.belief[1]) <= 0
        ):
            raise ValueError("its parts do not fit each other")

    @cached_property
    def _directions(self) -> Floats:
        return _unit(self.remembered.astype(np.float32))

    @property
    def classes(self) -> int:
        """How many classes the network knows."""
        return len(self.bias)

    def score(self, features: Floats) -> NDArray[np.float64]:
        """How unlike the training images each image is; 0 is the mean of the validation images.

        Args:
            features: what the last dense layer is given, float32 (count, features).
        """
        distance, belief = self._signs(features)
        return np.asarray(
            (distance - self.distance[0]) / self.distance[1]
            - (belief - self.belief[0]) / self.belief[1]
        )

    def _signs(self, features: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        logits = features @ self.kernel + self.bias
        found = _unit(_shape(features) @ self.axes.astype(np.float32))
        guessed, distance = logits.argmax(axis=1), np.ones(len(features))
        for number in np.unique(guessed):
            near = self._directions[self.remembered_labels == number]
            if len(near):
                mine = guessed == number
                last = min(NEAREST, len(near))
                distance[mine] = 1 - np.partition(found[mine] @ near.T, -last, axis=1)[:, -last]
        return distance, logits.max(axis=1).astype(np.float64)

    def arrays(self) -> dict[str, Any]:
        """Everything it is, by name, for a file."""
        return {one.name: np.asarray(getattr(self, one.name)) for one in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Self:
        """The opposite of `arrays`.

        Raises:
            ValueError: they are not what `arrays` gave.
        """
        try:
            plain = {
                "distance": tuple(float(value) for value in arrays["distance"]),
                "belief": tuple(float(value) for value in arrays["belief"]),
                "threshold": float(arrays["threshold"]),
            }
            return cls(**(arrays | plain))  # type: ignore[arg-type]
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"something is missing: {error}") from error


def fit(
    model: keras.Model,
    learned: ImageSet,
    validation: ImageSet | None,
    earlier: Novelty | None = None,
    on_images: Callable[[int, int], None] = lambda done, total: None,
) -> Novelty:
    """Remember some of the images that `model` learned, and set the threshold on `validation`.

    Args:
        learned: the images that it learned from; `REMEMBERED` of them are drawn.
        validation: images of the same classes that it did not learn from.  Without, what is known
            of them is taken from `earlier`, the novelty of a run of the same recipe.
        on_images: told how many more images of how many are done.

    Raises:
        ValueError: neither `validation` nor `earlier` is given, or the network has no features.
    """
    lower, upper, name = split_network(model)
    kernel, *bias = upper.get_layer(name).get_weights()
    drawn = np.random.default_rng(SEED).permutation(len(learned))[:REMEMBERED]
    total = len(drawn) + (len(validation) if validation is not None else 0)

    def features(images: NDArray[np.uint8]) -> Floats:
        size, found = batch_within_memory(lower), []
        for start in range(0, len(images), size):
            part = images[start : start + size]
            found.append(np.asarray(lower.predict_on_batch(part), np.float32))
            on_images(len(part), total)
        return np.concatenate(found)

    of_learned = _shape(features(learned.images[np.sort(drawn)]))
    axes = _main_directions(of_learned)
    remembered = _unit(of_learned @ axes.astype(np.float32))
    remembered *= 127 / np.maximum(np.abs(remembered).max(axis=1, keepdims=True), 1e-12)
    unscaled = Novelty(
        kernel=kernel,
        bias=bias[0] if bias else np.zeros(kernel.shape[1], np.float32),
        axes=axes,
        remembered=np.round(remembered).astype(np.int8),
        remembered_labels=learned.labels[np.sort(drawn)],
        distance=(0.0, 1.0),
        belief=(0.0, 1.0),
        threshold=0.0,
    )
    if validation is None:
        if earlier is None:
            raise ValueError("there is nothing to set a threshold on")
        return replace(
            unscaled,
            distance=earlier.distance,
            belief=earlier.belief,
            threshold=earlier.threshold,
        )
    of_validation = features(validation.images)
    distance, belief = unscaled._signs(of_validation)
    scaled = replace(unscaled, distance=_spread(distance), belief=_spread(belief))
    return replace(scaled, threshold=float(np.quantile(scaled.score(of_validation), KEPT)))


def _spread(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.mean()), float(max(values.std(), 1e-9))


def _shape(features: Floats) -> Floats:
    # The square root keeps a few large features from deciding alone; it made the two kinds of
    # images, photos and enlarged small ones, alike enough to share a threshold.
    return np.asarray(_unit(np.sign(features) * np.sqrt(np.abs(features))))


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def _main_directions(rows: Floats) -> NDArray[np.float16]:
    # Of the rows as they are, not of what they differ by: angles from zero are compared.
    _values, vectors = np.linalg.eigh(rows.T.astype(np.float64) @ rows)
    return np.ascontiguousarray(vectors[:, ::-1][:, :AXES].astype(np.float16))
