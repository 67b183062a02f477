"""Integrated gradients: the gradient in the pixels, summed on the way from a blurred view to it.

M. Sundararajan, A. Taly and Q. Yan, "Axiomatic Attribution for Deep Networks", 2017.  The way
begins at the view without its detail, not at black, since black is a colour that things have.  The
sum of all pixels is the difference of the two scores (the paper's completeness).
"""

from __future__ import annotations

import numpy as np

from model_training.explaining.pixels import blurred, smoothed
from model_training.explaining.target import (
    AT_A_TIME,
    Floats,
    Heat,
    Pixels,
    Target,
    differentiable,
    scaled,
)
from model_training.judging.backend import Backend

STEPS = 8
_SMOOTHING = 1 / 16
"""Of the side: single pixels say less than the place that they are in."""


def integrated_gradients(
    network: Backend, view: Pixels, target: Target, steps: int = STEPS
) -> Heat:
    """Return where in `view`, uint8 (side, side, 3), the evidence for `target` lies.

    Returns:
        float32 (side, side), 0 to 1.

    Raises:
        NoExplanation: the network has no gradients.
    """
    found = attributions(network, view, target, steps).sum(axis=-1)
    return scaled(smoothed(found, _SMOOTHING * len(view)))


def attributions(network: Backend, view: Pixels, target: Target, steps: int = STEPS) -> Floats:
    """Return each pixel's part in the score's rise from the blurred view, float32 like `view`.

    Raises:
        NoExplanation: the network has no gradients.
    """
    end, start = view.astype(np.float32), blurred(view).astype(np.float32)
    # The middle of each step: with the ends, twice as many are needed for the same error.
    shares = (np.arange(steps, dtype=np.float32) + 0.5) / steps
    images = start + shares[:, None, None, None] * (end - start)
    directions = np.broadcast_to(target.direction, (steps, len(target.direction)))
    gradients = [
        differentiable(network).pixel_gradients(
            images[one : one + AT_A_TIME], directions[one : one + AT_A_TIME]
        )
        for one in range(0, steps, AT_A_TIME)
    ]
    return np.asarray((end - start) * np.concatenate(gradients).mean(axis=0), np.float32)
