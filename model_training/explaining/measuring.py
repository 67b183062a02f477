"""How good a map is: the area under insertion minus that under deletion.

V. Petsiuk, A. Das and K. Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box
Models", 2018.  The pixels that a map marks are brought into a blurred picture, the most marked
first: insertion is the mean probability of the class on the way.  Deletion takes them out of the
sharp picture in the same order.  A map of the evidence makes the first high and the second low; one
that knows nothing makes both alike, and the difference is about 0.  Both ways lead through blurred
pictures, not through grey ones, which a network has never seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model_training.explaining.pixels import blurred, resized
from model_training.explaining.target import Heat, Pixels, features_of
from model_training.judging.backend import Backend
from model_training.judging.judge import Judge

STEPS = 8
"""Parts of the picture, of equal size, that are brought in or taken out one after another."""


def insertion_minus_deletion(
    network: Backend, judge: Judge, view: Pixels, number: int, heat: Heat, steps: int = STEPS
) -> float:
    """Return how well `heat` marks the evidence for class `number` in `view`, -1 to 1.

    Args:
        view: uint8 (side, side, 3).
        heat: of any size, laid over the whole view.
    """
    inserted, deleted = curves(network, judge, view, number, heat, steps)
    return float(np.trapezoid(inserted - deleted, dx=1 / steps))


def curves(
    network: Backend, judge: Judge, view: Pixels, number: int, heat: Heat, steps: int = STEPS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the probability of class `number` after each step of insertion and of deletion.

    Each has `steps` + 1 values; insertion ends, and deletion begins, with the whole picture.
    """
    blur, side = blurred(view), len(view)
    place = _ranks(resized(heat, side, side)) * steps // (side * side)
    brought = place[None] < np.arange(steps + 1)[:, None, None]
    images = np.concatenate(
        [
            np.where(brought[..., None], view, blur),
            # The two ends are those of insertion.
            np.where(brought[1:-1, ..., None], blur, view),
        ]
    )
    probabilities = judge.probabilities(features_of(network, images))[:, number]
    inserted, between = probabilities[: steps + 1], probabilities[steps + 1 :]
    return inserted, np.concatenate([inserted[-1:], between, inserted[:1]])


def _ranks(heat: Heat) -> NDArray[np.int64]:
    """Return the place of each pixel from the most marked on; equals are drawn by lot."""
    lot = np.random.default_rng(0).random(heat.size)
    order = np.lexsort((lot, -heat.ravel().astype(np.float64)))
    ranks = np.empty(heat.size, np.int64)
    ranks[order] = np.arange(heat.size)
    return ranks.reshape(heat.shape)
