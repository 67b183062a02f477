"""The source of features: a network in this process, or a model server elsewhere."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Backend(Protocol):
    """A network up to the input of its last dense layer."""

    @property
    def width(self) -> int:
        """Return the number of features."""

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of `pixels`, uint8 RGB (count, side, side, 3): (count, width)."""
