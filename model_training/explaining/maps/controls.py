"""Controls: maps that know nothing of the network, which an explanation must beat."""

from __future__ import annotations

import hashlib

import numpy as np

from model_training.explaining.pixels import smoothed
from model_training.explaining.target import Heat, Pixels, Target, scaled
from model_training.judging.backend import Backend

BLOB = 1 / 4
"""Of the side: the deviation of the blob.  What is photographed is mostly in the middle."""
_GRAIN = 1 / 16


def centred_blob(_network: Backend, view: Pixels, _target: Target) -> Heat:
    """Return a round blob in the middle, float32 (side, side), 0 to 1, whatever is in `view`."""
    places = (np.arange(len(view), dtype=np.float32) + 0.5) / len(view) - 0.5
    along = np.exp(-((places / BLOB) ** 2) / 2)
    return scaled(np.outer(along, along))


def noise(_network: Backend, view: Pixels, _target: Target) -> Heat:
    """Return smooth noise, float32 (side, side), 0 to 1: the same for the same `view`."""
    seed = int.from_bytes(hashlib.sha256(view.tobytes()).digest()[:8], "big")
    found = np.random.default_rng(seed).random(view.shape[:2], np.float32)
    found = smoothed(found, _GRAIN * len(view))
    return scaled(found - found.min())
