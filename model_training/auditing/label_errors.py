"""Suspected label errors: images on whose label an ensemble of models casts doubt.

Confident learning (C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating
Uncertainty in Dataset Labels", Journal of Artificial Intelligence Research 70, 2021) by its
authors' own package, cleanlab, on the ensemble's predictions.  No model may have learned from the
images whose labels it scores here.  The `Judge` of `judging.judge`, which judges single photos, has
no part in this.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_training.judging.calibration import logits

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]


class CleanlabMissing(Exception):
    """cleanlab, which only an audit needs, is not installed; the message says what to do."""


@dataclass(frozen=True)
class LabelDoubts:
    """Doubts of an ensemble about the labels of images, (count,) each.

    `doubt` is float32, 0 to 1: (1 - margin) / 2, where the margin is the probability of the given
    label less that of the most probable other class; above a half another class is more probable.
    `suggested` is that other class, in the smallest unsigned integer type that holds all classes.
    `suspected` marks the labels that confident learning takes to be wrong.
    """

    doubt: NDArray[np.float32]
    suggested: NDArray[np.unsignedinteger[Any]]
    suspected: NDArray[np.bool_]


def require_cleanlab() -> None:
    """Raise an error if labels cannot be scored, before hours are spent on what comes first.

    Raises:
        CleanlabMissing: cleanlab is not installed.
    """
    if importlib.util.find_spec("cleanlab") is None:
        raise CleanlabMissing(
            "For an audit, cleanlab must be installed. Run: "
            ".venv/bin/pip install -r requirements-audit.txt"
        )


def score_labels(probabilities: Sequence[Floats], labels: Labels) -> LabelDoubts:
    """Score each label by an ensemble of models, whose logits are averaged.

    A label is suspected where another class is more probable and confident: at least as probable
    as it is, on average, for the images that have its label.

    Args:
        probabilities: one array (count, classes) a model, calibrated; two or more classes.
        labels: (count,), the labels as given.

    Raises:
        CleanlabMissing: cleanlab is not installed.
    """
    require_cleanlab()
    # Imported here, as pages that show an audit do not need it: it imports pandas, which takes
    # seconds.
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores
    from scipy.special import softmax

    # Averaged probabilities would be less confident than any of the models where all agree.
    together = softmax(np.mean([logits(each) for each in probabilities], axis=0), axis=1)
    # cleanlab computes with the labels, and 8 bits would overflow.
    given = labels.astype(np.int64)
    others = together.copy()
    others[np.arange(len(given)), given] = -1
    suspected = np.zeros(len(given), bool)
    # Where all images have one label, confident learning has no other class to compare with.
    if np.ptp(given):
        suspected = find_label_issues(given, together, filter_by="confident_learning", n_jobs=1)
    quality = get_label_quality_scores(given, together, method="normalized_margin")
    return LabelDoubts(
        doubt=np.asarray(1 - quality, np.float32),
        suggested=others.argmax(axis=1).astype(np.min_scalar_type(together.shape[1] - 1)),
        suspected=suspected,
    )


def most_doubtful(doubt: Floats) -> NDArray[np.int64]:
    """Return the indices of all images, the most doubtful label first."""
    return np.argsort(-doubt, kind="stable")
