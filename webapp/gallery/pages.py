"""The selected images as pages of a hundred, and the place of each among them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_training.auditing.audit import Audit
from model_training.datasets.dataset import ImageSet
from model_training.datasets.pictures.sprites import SHEET_IMAGES
from webapp.data_sets import ServedDataSet
from webapp.gallery.cells import Cell, cells
from webapp.gallery.selection import ORDERS, SORTS, Filters, select
from webapp.library import Result
from webapp.query import whole_number


@dataclass(frozen=True)
class Page:
    """One page of the grid: its number from 1, how many there are, and what it shows."""

    number: int
    count: int
    indices: NDArray[np.int64]
    cells: list[Cell]


@dataclass(frozen=True)
class Position:
    """The position of an image in the selection, counted from 1, and its neighbours' indices."""

    number: int
    page: int
    previous: int | None
    next: int | None


@dataclass(frozen=True)
class Selection:
    """The test images of a data set that a visitor asks to see, in order."""

    data_set: ServedDataSet
    test: ImageSet
    results: Mapping[str, Result]
    filters: Filters

    @cached_property
    def chosen(self) -> NDArray[np.int64]:
        """Return the indices of the selected images, in their order."""
        classes = self.data_set.classes
        return select(self.filters, classes, self.test, self.results, self.audit)

    @property
    def audit(self) -> Audit | None:
        """Return the audit of the images, if there is one."""
        return self.data_set.audit

    def true_class(self, number: int) -> str:
        """Return the class of image `number`, by its label."""
        return self.data_set.classes[int(self.test.labels[number])]

    @cached_property
    def query(self) -> dict[str, Any]:
        """Return the parameters of an address that shows the same selection."""
        return self.filters.query()

    @property
    def class_options(self) -> list[tuple[str, str]]:
        """Return each class as a choice of a form: its value and its text."""
        return [(name, name) for name in self.data_set.classes]

    @property
    def model_options(self) -> list[tuple[str, str]]:
        """Return each model as a choice of a form."""
        return [(name, one.bundle.card.title) for name, one in self.results.items()]

    @property
    def order_options(self) -> list[tuple[str, str]]:
        """Return each order that is possible here as a choice of a form."""
        missing = (() if self.result else tuple(SORTS)) + (() if self.audit else ("doubt",))
        return [(name, text) for name, text in ORDERS.items() if name not in missing]

    @property
    def result(self) -> Result | None:
        """Return the result of the model whose predictions are shown."""
        return self.results[self.filters.model] if self.filters.model is not None else None

    @property
    def right(self) -> int | None:
        """Return the number of selected images that the model classifies correctly."""
        if self.result is None:
            return None
        agree = self.result.predicted[self.chosen] == self.test.labels[self.chosen]
        return int(agree.sum())

    def page(self) -> Page:
        """Return the page that the address asks for."""
        pages = max(1, -(-len(self.chosen) // SHEET_IMAGES))
        number = whole_number("page", 1, pages, default=1)
        indices = self.chosen[(number - 1) * SHEET_IMAGES : number * SHEET_IMAGES]
        shown = cells(self.test, self.data_set.classes, self.result, self.audit, indices.tolist())
        return Page(number, pages, indices, shown)

    def position_of(self, number: int) -> Position | None:
        """Return the position of image `number`; None if it is not in the selection."""
        found = np.flatnonzero(self.chosen == number)
        if not len(found):
            return None
        place = int(found[0])
        return Position(
            number=place + 1,
            page=place // SHEET_IMAGES + 1,
            previous=int(self.chosen[place - 1]) if place > 0 else None,
            next=int(self.chosen[place + 1]) if place + 1 < len(self.chosen) else None,
        )


def encode_numbers(numbers: NDArray[np.int64], count: int) -> str:
    """Encode up to 100 indices below `count` as a word that an address can hold."""
    return base64.urlsafe_b64encode(numbers.astype(_kind(count)).tobytes()).decode().rstrip("=")


def decode_numbers(code: str, count: int) -> NDArray[np.int64] | None:
    """Decode a word of `encode_numbers`; None if it is not one."""
    kind = _kind(count)
    try:
        raw = base64.b64decode(code + "=" * (-len(code) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if not 0 < len(raw) <= kind.itemsize * SHEET_IMAGES or len(raw) % kind.itemsize:
        return None
    numbers = np.frombuffer(raw, kind).astype(np.int64)
    return numbers if numbers.max() < count else None


def _kind(count: int) -> np.dtype[Any]:
    return np.dtype(">u2" if count <= 2**16 else ">u4")
