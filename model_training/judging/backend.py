"""Where features come from: a network in this process, or a model server elsewhere."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Backend(Protocol):
    """A network up to what its last dense layer is given."""

    @property
    def width(self) -> int:
        """Return how many features there are."""

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of `pixels`, uint8 RGB (count, side, side, 3): (count, width)."""
