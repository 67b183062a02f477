"""Unit vectors: features of images are compared by direction, not by length."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def unit(rows: Floats, least: float) -> Floats:
    """Scale each of `rows`, (count, any), to length 1.

    Args:
        least: a shorter row is divided by this instead: it is noise, or zero, and has no direction.
    """
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), least))
