"""Two models against each other, on the images that both were tested on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model_training.bundles.card import Card
from model_training.judging import intervals
from model_training.judging.intervals import Comparison, Interval
from webapp.library import Result

SURE = 0.05
"""Below this p-value a difference is called significant: the usual convention."""
SIZES = ((0.01, "slightly better"), (0.03, "better"), (0.10, "clearly better"), (1.1, "far better"))
"""What a significant difference of accuracy is called, up to the share before it."""


@dataclass(frozen=True)
class ClassDifference:
    """Recall of one class under both models."""

    name: str
    left: float
    right: float

    @property
    def difference(self) -> float:
        """Return left minus right."""
        return self.left - self.right


@dataclass(frozen=True)
class Versus:
    """A comparison of two models.  `answers_differ` counts different answers, right or not."""

    left: Card
    right: Card
    left_accuracy: Interval
    right_accuracy: Interval
    comparison: Comparison
    classes: list[ClassDifference]
    answers_differ: int

    @property
    def images(self) -> int:
        """Return the number of images that both were tested on."""
        return self.comparison.images

    @property
    def better(self) -> Card | None:
        """Return the one that is right on more of these images; None if they are level."""
        difference = self.comparison.difference.value
        if not difference:
            return None
        return self.left if difference > 0 else self.right

    @property
    def wrong(self) -> tuple[int, int]:
        """Return how many of these images each gets wrong, left and right."""
        one = self.comparison
        return one.neither + one.right_only, one.neither + one.left_only

    @property
    def verdict(self) -> str:
        """Return a heading for the test: who is better and by how much, or that nobody knows."""
        difference, better = abs(self.comparison.difference.value), self.better
        if self.left.name == self.right.name:
            return "A model against itself"
        if better is None:
            return "Both are right equally often here"
        if not self.differ:
            return "The difference may be due to chance"
        size = next(words for most, words in SIZES if difference < most)
        return f"{better.title} is {size}"

    @property
    def differ(self) -> bool:
        """Return True if chance alone would hardly make such a difference."""
        return self.comparison.p_value < SURE


def make_versus(left: Result, right: Result) -> Versus:
    """Compare two models that were tested on the same images."""
    labels = left.bundle.predictions.test_labels
    left_right, right_right = left.predicted == labels, right.predicted == labels
    return Versus(
        left=left.bundle.card,
        right=right.bundle.card,
        left_accuracy=intervals.accuracy_interval(left_right),
        right_accuracy=intervals.accuracy_interval(right_right),
        comparison=intervals.compare(left_right, right_right),
        classes=[
            ClassDifference(
                name,
                float(left_right[labels == number].mean()),
                float(right_right[labels == number].mean()),
            )
            for number, name in enumerate(left.bundle.card.classes)
            if np.any(labels == number)
        ],
        answers_differ=int((left.predicted != right.predicted).sum()),
    )
