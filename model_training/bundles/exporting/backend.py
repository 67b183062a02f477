"""An exported network in its own runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

INPUT, FEATURES, PROBABILITIES = "image", "features", "probabilities"
"""Names of the input and the outputs, the same in every format."""


class Outputs(NamedTuple):
    """The outputs of an export for some images.

    Args:
        features: what the network's last dense layer is given, float32 (count, width).
        probabilities: float32 (count, classes), before calibration.
    """

    features: Floats
    probabilities: Floats


class ExportedBackend:
    """An export, opened: the judge's backend, and the network's probabilities too.

    Args:
        run: the export's two outputs for float32 images, 0 to 255, (count, side, side, 3).
        input_shape: as the runtime announces it, with None where any number will do.
        width: how many features there are.
    """

    def __init__(
        self,
        run: Callable[[Floats], Outputs],
        input_shape: tuple[int | None, ...],
        width: int,
    ) -> None:
        self.run = run
        self.input_shape = input_shape
        self.width = width

    @property
    def side(self) -> int | None:
        """Return the side of the images that it takes, in pixels; None where any will do."""
        return self.input_shape[1]

    def features(self, pixels: NDArray[np.uint8]) -> Floats:
        """Return the features of `pixels`, uint8 RGB (count, side, side, 3): (count, width)."""
        return self.run(pixels.astype(np.float32)).features
