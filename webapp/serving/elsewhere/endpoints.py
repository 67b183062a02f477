"""One model of a server, in either protocol: what it takes and gives, and its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from webapp.errors import Refusal

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

VIEWS, IMAGE = "views", "image"
"""The inputs that are squares as a network is shown them: of our own sites, and of exports."""
FEATURES, PROBABILITIES = "features", "probabilities"


class NotServed(Refusal):
    """The model server has no such model, or one that cannot be the one that is wanted."""

    status = 503
    code = "model-not-served"
    retry_after = 30

    def __init__(self, why: str) -> None:
        super().__init__(f"The model server, which this site asks for every answer, {why}.")
        self.why = why


@dataclass(frozen=True)
class Interface:
    """What a model takes and gives.

    Args:
        input: the name of its input.
        side: the side of the squares that it takes, in pixels; None where any will do.
        outputs: the names of its outputs.
        version: of the network that answers; None where the server does not say.
        network: the SHA-256 of the bundle's network, where the server says.
    """

    input: str
    side: int | None
    outputs: tuple[str, ...]
    version: str | None = None
    network: str | None = None


class Endpoint(Protocol):
    """One model of a model server."""

    @property
    def interface(self) -> Interface:
        """Return what it takes and gives."""

    def check(self, seconds: float) -> None:
        """Ask whether it can answer, within `seconds`.

        Raises:
            ModelServerDown, ModelServerBusy: the server cannot.
            NotServed: it has no such model.
        """

    def ask(self, pixels: Pixels, outputs: Sequence[str]) -> Mapping[str, Floats]:
        """Return `outputs` for `pixels`, uint8 (count, side, side, 3): float32 (count, width).

        Raises:
            ModelServerDown, ModelServerBusy: no answer came.
            NotServed: it does not take the question.
        """


def side_of(name: str, shape: Sequence[Any]) -> int | None:
    """Return the side of the squares that an input of this `shape` takes; None if any will do.

    Raises:
        NotServed: it is not one of pictures in RGB, (count, side, side, 3).
    """
    if not shape:
        return None
    if len(shape) == 4 and shape[1] == shape[2] and shape[3] in (3, -1):
        side = int(shape[1])
        return side if side > 0 else None
    raise NotServed(
        f"has a model whose input “{name[:64]}” has the shape {list(shape)}, where pictures have "
        "[number, side, side, 3]: serve what “flask export” writes"
    )


def chosen_input(names: Sequence[str]) -> str:
    """Return the input that takes squares.

    Raises:
        NotServed: none of them is one.
    """
    for known in (VIEWS, IMAGE):
        if known in names:
            return known
    if len(names) == 1:
        return names[0]
    named = ", ".join(name[:64] for name in names)
    raise NotServed(f"has a model with the inputs {named} and without “{IMAGE}”")


def checked_outputs(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the outputs.

    Raises:
        NotServed: the features are not among them.
    """
    if FEATURES not in names:
        named = ", ".join(name[:64] for name in names)
        raise NotServed(
            f"has a model with the outputs {named} and without “{FEATURES}”: serve what “flask "
            "export” writes"
        )
    return tuple(names)


def rows_of(values: Any, count: int, name: str) -> Floats:
    """Return an output that came, flat or in rows, as float32 (count, width).

    Raises:
        NotServed: it is not one row of numbers for each of `count` pictures.
    """
    try:
        array = np.asarray(values, np.float32)
        rows = array.reshape(count, -1)
        if array.size and np.isfinite(rows).all():
            return rows
    except (ValueError, TypeError):
        pass
    raise NotServed(f"gives “{name}” that are not a row of numbers for each of {count} pictures")
