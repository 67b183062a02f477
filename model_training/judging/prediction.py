"""Prediction: a network's probabilities for images, plain or with test-time augmentation.

The only module of this package that runs a network; the others are arithmetic on its output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.augmentation import Transform
from model_training.judging.calibration import logits
from model_training.networks.memory import batch_within_memory

if TYPE_CHECKING:
    import keras

AVERAGED_TRANSFORMS = {
    Transform(flip, down=move, right=move): weight
    for flip in (False, True)
    for move, weight in ((0, 0.25), (1, 0.125), (-1, 0.125))
}


FURTHER_TRANSFORMS = len(AVERAGED_TRANSFORMS) - 1
"""Those that a network is shown beside the image as it is."""


def predict(
    model: keras.Model,
    images: NDArray[Any],
    on_images: Callable[[int], None] = lambda count: None,
) -> NDArray[np.float32]:
    """Return `model`'s probabilities for `images`, uint8 (count, height, width, 3).

    Of the upper part of a network, for the features that the lower part gives.

    Args:
        on_images: told after each batch how many more are done; what it raises ends it all.

    Returns:
        float32 (count, classes).
    """
    size = batch_within_memory(model)
    found = []
    # Not by `model.predict`: it builds a pipeline anew at each call, a third of a short training.
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        found.append(np.asarray(model.predict_on_batch(batch), np.float32))
        on_images(len(batch))
    return np.concatenate(found)


def predict_averaged(
    model: keras.Model,
    images: NDArray[np.uint8],
    plain: NDArray[np.float32],
    on_images: Callable[[int], None] = lambda count: None,
) -> NDArray[np.float32]:
    """Predict with test-time augmentation, averaged over `AVERAGED_TRANSFORMS`.

    These are six: mirrored or not, and unmoved or shifted by a pixel.  They and their weights are
    those of K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024; as there, logits
    are averaged, not probabilities.

    Args:
        plain: the probabilities that `predict` returns for `images` as they are.
        on_images: told how many more are done, `FURTHER_TRANSFORMS` for each image.

    Returns:
        float32 (count, classes).
    """
    from scipy.special import softmax

    answers = [
        plain if transform == Transform() else predict(model, transform(images), on_images)
        for transform in AVERAGED_TRANSFORMS
    ]
    weights = list(AVERAGED_TRANSFORMS.values())
    averaged = np.average([logits(answer) for answer in answers], axis=0, weights=weights)
    return np.asarray(softmax(averaged, axis=1), np.float32)
