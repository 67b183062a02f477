"""Temperature scaling: one number that makes a network's confidence match its accuracy.

C. Guo et al., "On Calibration of Modern Neural Networks", 2017.  How well it works is measured by
`judging.metrics.calibration_error`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

LOWEST, HIGHEST = 0.05, 20.0
"""The range of temperatures in which the best is searched for."""
# Guards the logarithm of a probability that float32 rounded to zero.
_TINY = 1e-12

# SciPy is imported where it is called: that takes half a second, and most commands do not need it.


def logits(probabilities: Floats) -> NDArray[np.float64]:
    """Return logits whose softmax is `probabilities`, (count, classes): their logarithms."""
    return np.log(np.maximum(probabilities.astype(np.float64), _TINY))


def scale_by_temperature(probabilities: Floats, temperature: float) -> NDArray[np.float64]:
    """Divide the logits by `temperature`: above 1 makes a model less confident, below 1 more.

    Args:
        probabilities: (count, classes).

    Returns:
        float64 (count, classes).
    """
    from scipy.special import softmax

    return np.asarray(softmax(logits(probabilities) / temperature, axis=1))


def fit_temperature(probabilities: Floats, labels: Labels) -> float:
    """Return the temperature between 0.05 and 20 with the least cross-entropy.

    Cross-entropy has a single minimum in the logarithm of the temperature, which Brent's bounded
    search finds to five digits.

    Args:
        probabilities: (count, classes), on images that the model did not learn from.
        labels: (count,).
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    unscaled, rows = logits(probabilities), np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(unscaled / np.exp(log_temperature), axis=1)
        return -float(scaled[rows, labels].mean())

    bounds = (np.log(LOWEST), np.log(HIGHEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))
