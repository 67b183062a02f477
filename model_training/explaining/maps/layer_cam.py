"""LayerCAM: feature maps of several sizes, weighted place by place by their positive gradients.

P.-T. Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", 2021.
As there, the maps of earlier sizes are pressed through a hyperbolic tangent, and the largest value
of all sizes is taken at each place.  One pass through the network and one back.
"""

from __future__ import annotations

import numpy as np

from model_training.explaining.pixels import resized
from model_training.explaining.target import Heat, Pixels, Target, differentiable, scaled
from model_training.judging.backend import Backend

STAGES = 3
"""Sizes of maps, from the last."""
_STEEPNESS = 2.0


def layer_cam(network: Backend, view: Pixels, target: Target, stages: int = STAGES) -> Heat:
    """Return where in `view`, uint8 (side, side, 3), the evidence for `target` lies.

    Returns:
        float32 (rows, columns) of the largest maps that were used, 0 to 1.

    Raises:
        NoExplanation: the network has no gradients or no feature maps.
    """
    found = differentiable(network).map_gradients(view, target.direction, stages)
    heats = [scaled((np.maximum(one.gradient, 0) * one.maps).sum(axis=-1)) for one in found]
    rows, columns = heats[-1].shape
    fine = [heats[0], *(np.tanh(_STEEPNESS * heat) for heat in heats[1:])]
    return scaled(np.max([resized(heat, rows, columns) for heat in fine], axis=0))
