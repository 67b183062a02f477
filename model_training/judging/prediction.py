"""Asking a network: the probabilities that it gives images, as they are or averaged over views.

The only module of this room that runs a network; the others are arithmetic on what it answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.augmentation import View
from model_training.judging.calibration import logits
from model_training.networks.memory import batch_within_memory

if TYPE_CHECKING:
    import keras

AVERAGED_VIEWS = {
    View(flip, down=move, right=move): weight
    for flip in (False, True)
    for move, weight in ((0, 0.25), (1, 0.125), (-1, 0.125))
}


FURTHER_VIEWS = len(AVERAGED_VIEWS) - 1
"""Those that a network is shown beside the image as it is."""


def predict(
    model: keras.Model,
    images: NDArray[np.uint8],
    on_images: Callable[[int], None] = lambda count: None,
) -> NDArray[np.float32]:
    """Return `model`'s probabilities for `images`, uint8 (count, height, width, 3).

    Args:
        on_images: told after each batch how many more are done; what it raises ends it all.

    Returns:
        float32 (count, classes).
    """
    import keras

    size = batch_within_memory(model)
    done = 0

    def tell(_batch: int, logs: object) -> None:  # Keras calls it by this name.
        nonlocal done
        count = min(size, len(images) - done)
        done += count
        on_images(count)

    telling = keras.callbacks.LambdaCallback(on_predict_batch_end=tell)
    found = model.predict(images, batch_size=size, verbose=0, callbacks=[telling])
    return np.asarray(found, np.float32)


def predict_averaged(
    model: keras.Model,
    images: NDArray[np.uint8],
    plain: NDArray[np.float32],
    on_images: Callable[[int], None] = lambda count: None,
) -> NDArray[np.float32]:
    """Predict as `predict` does, averaged over six views: mirrored or not, and moved by a pixel.

    Args:
        plain: what `predict` gives for `images`, which are the first of the views.
        on_images: told how many more views are done, `FURTHER_VIEWS` of each image.

    The views and their weights are those of K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a
    Single GPU", 2024; as there, logits are averaged, not probabilities.

    Returns:
        float32 (count, classes).
    """
    from scipy.special import softmax

    answers = [
        plain if view == View() else predict(model, view(images), on_images)
        for view in AVERAGED_VIEWS
    ]
    weights = list(AVERAGED_VIEWS.values())
    averaged = np.average([logits(answer) for answer in answers], axis=0, weights=weights)
    return np.asarray(softmax(averaged, axis=1), np.float32)
