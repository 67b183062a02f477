"""Suspected label errors: images on whose label several models, asked together, cast doubt.

Confident learning (C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating
Uncertainty in Dataset Labels", Journal of Artificial Intelligence Research 70, 2021), on what the
models say together.  No model may have learned from the images that it judges here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_training.judging.calibration import scale_by_temperature

# Guards the logarithm of a probability that was rounded to nothing.
_TINY = 1e-12

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class LabelDoubts:
    """What models think of the labels of images, (count,) each.

    `doubt` is float32, 0 to 1: (1 - margin) / 2, where the margin is the probability of the given
    label less that of the most probable other class; above a half another class is more probable.
    `suggested` is that other class, uint8.  `suspected` says which labels confident learning takes
    to be wrong.
    """

    doubt: NDArray[np.float32]
    suggested: NDArray[np.uint8]
    suspected: NDArray[np.bool_]


def judge_labels(probabilities: Sequence[Floats], labels: Labels) -> LabelDoubts:
    """Judge each label by several models together: their logits are averaged.

    A label is suspected where a class other than it is confident: at least as probable as that
    class is, on average, for the images that are labelled so.  Where several classes are
    confident, the most probable of them counts.

    Args:
        probabilities: one array (count, classes) a model, calibrated.
        labels: (count,), the labels as given.
    """
    # Averaged probabilities would be less sure than any model is where all agree.
    logits = np.mean([np.log(np.maximum(each, _TINY)) for each in probabilities], axis=0)
    together = scale_by_temperature(np.exp(logits), 1.0)
    rows, classes = np.arange(len(labels)), together.shape[1]
    given = together[rows, labels]
    others = together.copy()
    others[rows, labels] = -1
    suggested = others.argmax(axis=1)
    margin = given - others[rows, suggested]
    # A class without images is never confident.
    usual = np.array(
        [together[labels == number, number].mean() if np.any(labels == number) else 2.0
         for number in range(classes)]
    )  # fmt: skip
    confident = np.where(together >= usual, together, 0.0)
    surest = confident.argmax(axis=1)
    return LabelDoubts(
        doubt=((1 - margin) / 2).astype(np.float32),
        suggested=suggested.astype(np.uint8),
        suspected=(confident.max(axis=1) > 0) & (surest != labels),
    )


def most_doubtful(doubt: Floats) -> NDArray[np.int64]:
    """The indices of all images, that with the most doubtful label first."""
    return np.argsort(-doubt, kind="stable")
