"""Calibration: making a network's confidence match its accuracy.

A temperature (C. Guo et al., "On Calibration of Modern Neural Networks", 2017) is one number for
all; where validation says that it is not enough, isotonic regression corrects the largest
probability after it (B. Zadrozny and C. Elkan, "Transforming Classifier Scores into Accurate
Multiclass Probability Estimates", 2002).  How well it works is measured by
`judging.metrics.calibration_error`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from model_training.judging.parts.verdicts import Part, Share

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

Temperature = Annotated[float, Field(gt=0.01, lt=100)]
Steps = tuple[tuple[Share, Share], ...]
Method = Literal["temperature", "isotonic"]

BINS = 20
"""Of as many images each, over which isotonic regression is done: between their means the
probability rises in a line.  Steps of single images would follow the validation images too
closely."""
FOLDS = 5
WORTH = 0.75
"""Twenty steps must leave no more than this of the error of one number: a smaller gain is noise."""
SEED = 2002
_HIGHEST = 1 - 1e-6
_LEAD = 1 + 1e-6
"""By this factor the largest probability exceeds the second at least: more than float32 rounds by.
Were they level, what asks for the first of the largest could be given the second."""

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


class Calibrator(Part):
    """A calibration of probabilities.

    Args:
        method: `isotonic` with steps, else `temperature`.
        temperature: by which logits are divided.
        steps: largest probability after the temperature, and the share that were right there, both
            rising; between them it is interpolated.
        set_on: a description of the images on which it was fitted.
    """

    method: Method = "temperature"
    temperature: Temperature
    steps: Steps = ()
    set_on: str

    @model_validator(mode="after")
    def _rises(self) -> Calibrator:
        if (self.method == "isotonic") != bool(self.steps):
            raise ValueError("isotonic regression has steps, and a temperature alone has none")
        for column in zip(*self.steps, strict=True):
            if any(later < earlier for earlier, later in zip(column, column[1:], strict=False)):
                raise ValueError("the steps of isotonic regression must rise")
        return self

    def of_logits(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return calibrated probabilities for logits, both (count, classes)."""
        from scipy.special import softmax

        scaled = softmax(values.astype(np.float64) / self.temperature, axis=1)
        return _corrected(np.asarray(scaled), self.steps)

    def of_probabilities(self, probabilities: Floats) -> NDArray[np.float64]:
        """Return `probabilities`, (count, classes), calibrated."""
        return self.of_logits(logits(probabilities))


def fit_calibrator(probabilities: Floats, labels: Labels, set_on: str) -> Calibrator:
    """Return a temperature alone, or isotonic regression after it where that is clearly better.

    Clearly: its expected calibration error, over bins of equal width and of equal mass, is less
    than `WORTH` of the other's on images left out of the fit, each of `FOLDS` parts in turn.

    Args:
        probabilities: (count, classes), on images that the model did not learn from.
        labels: (count,).
        set_on: a description of the images.
    """
    methods: tuple[Method, ...] = ("temperature", "isotonic")
    if len(labels) < BINS * FOLDS:
        return _fit("temperature", probabilities, labels, set_on)
    plain, rising = (_left_out_error(method, probabilities, labels) for method in methods)
    return _fit(methods[int(rising < WORTH * plain)], probabilities, labels, set_on)


def _left_out_error(method: Method, probabilities: Floats, labels: Labels) -> float:
    from model_training.judging.metrics import calibration_error

    order = np.random.default_rng(SEED).permutation(len(labels))
    answered = np.empty(probabilities.shape, np.float64)
    for fold in range(FOLDS):
        left_out = order[fold::FOLDS]
        rest = np.setdiff1d(order, left_out)
        fitted = _fit(method, probabilities[rest], labels[rest], "the rest")
        answered[left_out] = fitted.of_probabilities(probabilities[left_out])
    return sum(calibration_error(answered, labels, by=by) for by in ("width", "mass"))


def _fit(method: Method, probabilities: Floats, labels: Labels, set_on: str) -> Calibrator:
    plain = Calibrator(temperature=fit_temperature(probabilities, labels), set_on=set_on)
    if method == "temperature":
        return plain
    from sklearn.isotonic import IsotonicRegression

    scaled = plain.of_probabilities(probabilities)
    largest, right = scaled.max(axis=1), scaled.argmax(axis=1) == labels
    bins = [part for part in np.array_split(np.argsort(largest, kind="stable"), BINS) if len(part)]
    stated = [largest[part].mean() for part in bins]
    shares = [right[part].mean() for part in bins]
    rising = IsotonicRegression().fit(stated, shares, [len(part) for part in bins]).predict(stated)
    steps = zip(np.maximum.accumulate(stated), rising, strict=True)
    return Calibrator(
        method="isotonic",
        temperature=plain.temperature,
        steps=tuple((round(float(x), 6), round(float(y), 6)) for x, y in steps),
        set_on=set_on,
    )


def _corrected(probabilities: NDArray[np.float64], steps: Steps) -> NDArray[np.float64]:
    """Replace the largest of each row of `probabilities`, and scale the others to fit.

    It stays the largest: where they say less than the second would have then, it is a hair more.
    """
    if not steps or not len(probabilities):
        return probabilities
    stated, right = zip(*steps, strict=True)
    rows, first = np.arange(len(probabilities)), probabilities.argmax(axis=1)
    largest = probabilities[rows, first]
    others = np.maximum(1 - largest, 1e-12)
    second = np.partition(probabilities, -2, axis=1)[:, -2]
    lowest = _LEAD * second / (second + others)
    wanted = np.clip(np.interp(largest, stated, right), lowest, _HIGHEST)
    corrected = probabilities * ((1 - wanted) / others)[:, None]
    corrected[rows, first] = wanted
    return np.asarray(corrected / corrected.sum(axis=1, keepdims=True))
