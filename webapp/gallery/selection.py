"""Which test images are shown and in what order: the gallery's filters, as its address has them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator
from pydantic.dataclasses import dataclass

from model_training.auditing.audit import Audit
from model_training.datasets.dataset import ImageSet
from webapp.library import NO_AUDIT, Result
from webapp.query import (
    LARGEST_SEED,
    Choices,
    Direction,
    Number,
    Percentage,
    given,
    one_of,
    read,
    refusal,
    refuse,
    whole,
)

OUTCOMES = ("right", "wrong")
SORTS: dict[str, Callable[[Result], NDArray[np.floating]]] = {
    "confidence": lambda result: result.confidence,
    "margin": lambda result: result.margin,
    "entropy": lambda result: result.entropy,
}
"""By what of a model's predictions images can be ordered."""
ORDERS = {
    "index": "number",
    "confidence": "confidence",
    "margin": "lead over the second class",
    "entropy": "indecision (entropy)",
    "doubt": "doubt about its label",
    "random": "random",
}
"""Every order there may be, in words."""
YES_NO = ("yes", "no")
COPIES: dict[str, Callable[[Audit], NDArray[np.bool_]]] = {
    "yes": lambda audit: audit.has_copy,
    "no": lambda audit: ~audit.has_copy,
    "contradicts": lambda audit: audit.is_contradicted,
}
"""Images with a near-copy in training, without one, and with one that is labelled otherwise."""


_NEED_MODEL = ("said", "outcome", "low", "high", "differs", "sort")
_NEED_AUDIT = ("suspect", "copy", "sort")

_Model = Annotated[str, one_of("model")]
_Class = Annotated[str, one_of("class")]


@dataclass(frozen=True)
class Filters:
    """The images that a visitor asks to see.

    A field that is None, or a whole range, asks for nothing.

    Args:
        data: the data set, where the model does not tell it and it is not the default one.
        low, high: the least and the highest confidence, from 0 to 1.
        differs: another model, whose most probable class is not `model`'s.
        suspect: "yes" for images whose label is suspected to be wrong, "no" for the others.
        copy: one of `COPIES`.
        order: "down" for the largest first.
        seed: of the order `random`.
    """

    data: str | None = None
    model: _Model | None = None
    true: _Class | None = None
    said: _Class | None = None
    outcome: Annotated[str, one_of("outcome", OUTCOMES)] | None = None
    low: Percentage = 0.0
    high: Percentage = 1.0
    differs: _Model | None = None
    suspect: Annotated[str, one_of("answer", YES_NO)] | None = None
    copy: Annotated[str, one_of("answer", COPIES)] | None = None
    sort: Annotated[str, one_of("order", ORDERS)] = "index"
    order: Direction = "up"
    seed: Annotated[Number, whole("seed", 0, LARGEST_SEED)] = 0

    @model_validator(mode="after")
    def _check_range(self) -> Filters:
        if self.low > self.high:
            raise refusal(
                400,
                "“low” is a higher confidence than “high”: no image can have both.",
                "low",
                "high",
            )
        return self

    @property
    def down(self) -> bool:
        """Return whether the largest come first."""
        return self.order == "down"

    def query(self) -> dict[str, Any]:
        """Return the parameters of an address that asks for the same."""
        given = {
            "data": self.data,
            "model": self.model,
            "true": self.true,
            "said": self.said,
            "outcome": self.outcome,
            "low": f"{self.low * 100:g}" if self.low > 0 else None,
            "high": f"{self.high * 100:g}" if self.high < 1 else None,
            "differs": self.differs,
            "suspect": self.suspect,
            "copy": self.copy,
            "sort": self.sort if self.sort != "index" else None,
            "order": "down" if self.down else None,
            "seed": str(self.seed) if self.sort == "random" else None,
        }
        return {name: value for name, value in given.items() if value is not None}

    @property
    def narrows(self) -> bool:
        """Return whether images are left out."""
        words = (self.true, self.said, self.outcome, self.differs, self.suspect, self.copy)
        return any(words) or self.low > 0 or self.high < 1

    @property
    def needs_audit(self) -> bool:
        """Return whether they ask for what only an audit of the data set knows."""
        return bool(self.suspect or self.copy) or self.sort == "doubt"

    @property
    def needs_model(self) -> bool:
        """Return whether they ask for what only a model's predictions tell."""
        asked = self.said, self.outcome, self.differs
        return any(asked) or self.low > 0 or self.high < 1 or self.sort in SORTS


def read_filters(
    classes: Collection[str],
    results: Mapping[str, Result],
    default_model: str | None,
    audit: Audit | None,
    elsewhere: Mapping[str, str],
    data: str | None = None,
) -> Filters:
    """Return the filters in the address of the request.

    Without a model in the address it is `default_model`, or else the first there is.

    Args:
        elsewhere: of models that cannot be asked for here, why.
        data: what the address must call the data set, if no model does.
    """
    default = default_model if default_model in results else next(iter(results), None)
    filters = read(
        Filters,
        {"model": default} | given() | {"data": None if results else data},
        {"model": Choices(results, elsewhere), "class": Choices(classes)},
    )
    if filters.model is None and filters.needs_model:
        refuse(
            404,
            "No model has been measured here yet, so none can choose or order the images.",
            *_NEED_MODEL,
        )
    if audit is None and filters.needs_audit:
        refuse(404, NO_AUDIT, *_NEED_AUDIT)
    return filters


def select(
    filters: Filters,
    classes: Sequence[str],
    test: ImageSet,
    results: Mapping[str, Result],
    audit: Audit | None,
) -> NDArray[np.int64]:
    """Return the indices of the images that `filters` ask for, in their order."""
    keep = np.ones(len(test), bool)
    if filters.true is not None:
        keep &= test.labels == classes.index(filters.true)
    result = results[filters.model] if filters.model is not None else None
    if result is not None:
        if filters.said is not None:
            keep &= result.predicted == classes.index(filters.said)
        if filters.outcome is not None:
            keep &= (result.predicted == test.labels) == (filters.outcome == "right")
        if filters.differs is not None:
            keep &= result.predicted != results[filters.differs].predicted
        if filters.low > 0:
            keep &= result.confidence >= filters.low
        if filters.high < 1:
            keep &= result.confidence <= filters.high
    if audit is not None:
        if filters.suspect is not None:
            keep &= audit.doubts.suspected == (filters.suspect == "yes")
        if filters.copy is not None:
            keep &= COPIES[filters.copy](audit)
    chosen = np.flatnonzero(keep)
    if result is not None and filters.sort in SORTS:
        chosen = chosen[np.argsort(SORTS[filters.sort](result)[chosen], kind="stable")]
    elif audit is not None and filters.sort == "doubt":
        chosen = chosen[np.argsort(audit.doubts.doubt[chosen], kind="stable")]
    elif filters.sort == "random":
        chosen = np.random.default_rng(filters.seed).permutation(chosen)
    return chosen[::-1] if filters.down else chosen
