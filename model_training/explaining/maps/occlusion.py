"""Occlusion: what a score loses where a patch is blurred away, and gains where only it is sharp.

M. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks", 2014, hid each
patch in turn; P. Dabkowski and Y. Gal, "Real Time Image Saliency for Black Box Classifiers", 2017,
asked for what suffices as well as for what is missed.  A patch that another can stand in for is
found by the second alone.  It asks only for answers, so a model server can be explained too, and
takes two of them for each patch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model_training.explaining.pixels import blurred
from model_training.explaining.target import Heat, Pixels, Target, features_of, scaled
from model_training.judging.backend import Backend

PATCHES = 6
"""In each direction; a patch is two steps wide, so that neighbours overlap."""


def occlusion(network: Backend, view: Pixels, target: Target, patches: int = PATCHES) -> Heat:
    """Return where in `view`, uint8 (side, side, 3), the evidence for `target` lies.

    Returns:
        float32 (patches, patches), 0 to 1.
    """
    lost, gained = lost_and_gained(network, view, target, patches)
    return scaled(lost + gained)


def lost_and_gained(
    network: Backend, view: Pixels, target: Target, patches: int = PATCHES
) -> tuple[Heat, Heat]:
    """Return what the score loses without each patch, and what it gains by each alone.

    Returns:
        float32 (patches, patches) each, in logits.
    """
    blur, covers = blurred(view), _covers(len(view), patches)[..., None]
    hidden, alone = np.where(covers, blur, view), np.where(covers, view, blur)
    images = np.concatenate([view[None], blur[None], hidden, alone])
    scores = target.scores(features_of(network, images))
    without, only = scores[2:].reshape(2, patches, patches)
    return scores[0] - without, only - scores[1]


def _covers(side: int, patches: int) -> NDArray[np.bool_]:
    """Return which pixels each patch hides, (patches * patches, side, side)."""
    middles = (np.arange(patches) + 0.5) * side / patches
    near = np.abs(np.arange(side) + 0.5 - middles[:, None]) <= side / patches
    both = near[:, None, :, None] & near[None, :, None, :]
    return both.reshape(patches * patches, side, side)
