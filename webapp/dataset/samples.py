"""A few test images of each class, and the files that show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_training.datasets.dataset import ImageSet
from model_training.datasets.pictures.sprites import GRID, SHEET_IMAGES

EACH = 10
"""Images of each class, where there are enough."""
EACH_OF_MANY = 5
MANY = 20
"""With more classes than this, fewer images of each are shown."""


@dataclass(frozen=True)
class Sample:
    """A test image and its place in the picture file that shows it, in pixels."""

    number: int
    x: int
    y: int


@dataclass(frozen=True)
class SampleRow:
    """The samples of one class; `sheet` is the place of their picture file in `Samples.sheets`."""

    name: str
    sheet: int
    samples: list[Sample]


@dataclass(frozen=True)
class Samples:
    """A row for each class, and the images that each picture file holds."""

    each: int
    rows: list[SampleRow]
    sheets: list[list[int]]


def draw_samples(test: ImageSet, classes: Sequence[str], seed: int) -> Samples:
    """Pick a few images of each class at random; the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    most = EACH if len(classes) <= MANY else EACH_OF_MANY
    rows: list[SampleRow] = []
    sheets: list[list[int]] = [[]]
    for label, name in enumerate(classes):
        members = np.flatnonzero(test.labels == label)
        drawn = rng.choice(members, min(most, len(members)), replace=False).tolist()
        # A row is all in one file.
        if len(sheets[-1]) + len(drawn) > SHEET_IMAGES:
            sheets.append([])
        first = len(sheets[-1])
        places = (divmod(first + number, GRID) for number in range(len(drawn)))
        samples = [
            Sample(number, column * test.side, row * test.side)
            for number, (row, column) in zip(drawn, places, strict=True)
        ]
        sheets[-1] += drawn
        rows.append(SampleRow(name, len(sheets) - 1, samples))
    return Samples(max(len(row.samples) for row in rows), rows, sheets)
