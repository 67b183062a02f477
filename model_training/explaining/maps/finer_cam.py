"""Finer-CAM: Grad-CAM of a class's lead over the class most like it.

Z. Zhang et al., "Finer-CAM: Spotting the Difference Reveals Finer Details for Visual Explanation",
2025, with one class to compare with and its logit taken off whole.  What speaks for both classes
drops out.
"""

from __future__ import annotations

from model_training.explaining.maps.grad_cam import grad_cam
from model_training.explaining.target import Heat, Pixels, Target
from model_training.judging.backend import Backend


def finer_cam(network: Backend, view: Pixels, target: Target) -> Heat:
    """Return where in `view`, uint8 (side, side, 3), `target` leads over the other class.

    A target without another class is compared with the likeliest other one.

    Returns:
        float32 (rows, columns) of the last maps, 0 to 1.

    Raises:
        NoExplanation: the network has no gradients or no feature maps.
    """
    if target.against is None:
        target = target.contrasted(network.features(view[None]))
    return grad_cam(network, view, target)
