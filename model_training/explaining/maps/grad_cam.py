"""Grad-CAM: the feature maps of the last convolution, each weighted by its mean gradient.

R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", 2017.  One pass through the network; as coarse as its last maps.
"""

from __future__ import annotations

from model_training.explaining.target import Heat, Pixels, Target, differentiable, scaled
from model_training.judging.backend import Backend


def grad_cam(network: Backend, view: Pixels, target: Target) -> Heat:
    """Return where in `view`, uint8 (side, side, 3), the evidence for `target` lies.

    Returns:
        float32 (rows, columns) of the last maps, 0 to 1.

    Raises:
        NoExplanation: the network has no gradients or no feature maps.
    """
    (last,) = differentiable(network).map_gradients(view, target.direction, 1)
    weights = last.gradient.mean(axis=(0, 1))
    return scaled(last.maps @ weights)
