"""The gallery's findings about each image: arithmetic on stored predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from model_training.auditing.audit import Audit, NearCopy
from model_training.datasets.dataset import ImageSet
from model_training.datasets.pictures.sprites import GRID
from webapp.library import Result


@dataclass(frozen=True)
class Cell:
    """One image in the grid.  `x`, `y` are its pixels in the sheet; no model, no prediction.

    `suspected` and `near_copy` are None where the data set has not been audited.
    """

    number: int
    x: int
    y: int
    true_class: str
    predicted_class: str | None
    share: float | None
    suspected: bool | None
    near_copy: bool | None

    @property
    def right(self) -> bool | None:
        """Return True if the prediction is the true class, None without a prediction."""
        return None if self.predicted_class is None else self.predicted_class == self.true_class


@dataclass(frozen=True)
class Evidence:
    """One model's probabilities for one image, the largest first."""

    name: str
    title: str
    shares: list[tuple[str, float]]
    right: bool


@dataclass(frozen=True)
class Finding:
    """The findings of the data set's audit about one image.

    `rank` is its place among the most doubtful labels, from 1; `suggested` the class that the
    models would give it if it were not the one that it has; `doubt` as in `LabelDoubts`.
    """

    suspected: bool
    rank: int
    doubt: float
    suggested: str
    copy: NearCopy | None
    copy_class: str | None


def finding(audit: Audit, number: int, classes: Sequence[str]) -> Finding:
    """Return the findings of `audit` about image `number`."""
    copy = audit.copies.get(number)
    return Finding(
        suspected=bool(audit.doubts.suspected[number]),
        rank=int(audit.rank[number]),
        doubt=float(audit.doubts.doubt[number]),
        suggested=classes[audit.doubts.suggested[number]],
        copy=copy,
        copy_class=classes[copy.label] if copy else None,
    )


def cells(
    test: ImageSet,
    classes: Sequence[str],
    result: Result | None,
    audit: Audit | None,
    numbers: Iterable[int],
) -> list[Cell]:
    """Return the cells of the images `numbers`, laid out as in a sheet."""
    shown = []
    for position, number in enumerate(numbers):
        predicted = None if result is None else int(result.predicted[number])
        shown.append(
            Cell(
                number=number,
                x=position % GRID * test.side,
                y=position // GRID * test.side,
                true_class=classes[test.labels[number]],
                predicted_class=None if predicted is None else classes[predicted],
                share=None
                if result is None or predicted is None
                else float(result.probabilities[number, predicted]),
                suspected=None if audit is None else bool(audit.doubts.suspected[number]),
                near_copy=None if audit is None else number in audit.copies,
            )
        )
    return shown


def evidence(results: Iterable[Result], number: int) -> list[Evidence]:
    """Return each model's probabilities for image `number`."""
    found = []
    for result in results:
        classes = result.bundle.card.classes
        probabilities = result.probabilities[number]
        order = np.argsort(-probabilities, kind="stable")
        found.append(
            Evidence(
                name=result.bundle.name,
                title=result.bundle.card.title,
                shares=[(classes[place], float(probabilities[place])) for place in order],
                right=bool(
                    result.bundle.predictions.test_labels[number] == result.predicted[number]
                ),
            )
        )
    return found
