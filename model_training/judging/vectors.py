"""Unit vectors: what networks make of images is compared by direction, not by length."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def unit(rows: Floats, least: float) -> Floats:
    """Scale each of `rows`, (count, any), to length 1.

    Args:
        least: a row that is shorter is divided by this instead: it is noise, or nothing, and has no
            direction.
    """
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), least))
