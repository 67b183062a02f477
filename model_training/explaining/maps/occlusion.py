"""Occlusion: how far a score falls when a patch of the picture is blurred away, patch after patch.

M. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks", 2014.  It asks only
for answers, so a model server can be explained too, and takes as many of them as there are patches.
"""

from __future__ import annotations

import numpy as np

from model_training.explaining.pixels import blurred
from model_training.explaining.target import Heat, Pixels, Target, features_of, scaled
from model_training.judging.backend import Backend

PATCHES = 8
"""In each direction; a patch is two steps wide, so that neighbours overlap."""


def occlusion(network: Backend, view: Pixels, target: Target, patches: int = PATCHES) -> Heat:
    """Return where in `view`, uint8 (side, side, 3), the evidence for `target` lies.

    Returns:
        float32 (patches, patches), 0 to 1.
    """
    cover = _covers(len(view), patches)[..., None]
    hidden = np.where(cover, blurred(view), view)
    scores = target.scores(features_of(network, np.concatenate([view[None], hidden])))
    fall = (scores[0] - scores[1:]).reshape(patches, patches)
    return scaled(fall)


def _covers(side: int, patches: int) -> np.ndarray:
    """Return which pixels each patch hides, bool (patches * patches, side, side)."""
    middles = (np.arange(patches) + 0.5) * side / patches
    near = np.abs(np.arange(side) + 0.5 - middles[:, None]) <= side / patches
    both = near[:, None, :, None] & near[None, :, None, :]
    return both.reshape(patches * patches, side, side)
