"""Reading what stands behind the question mark of an address.

Every reader takes nothing, or an empty field of a form, for its default, and answers the request
with 400 where the value has no meaning and with 404 where there is no such thing; either says what
there is, and the page offers the same address without that value.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NoReturn

from flask import request
from werkzeug.exceptions import BadRequest, NotFound

if TYPE_CHECKING:
    from webapp.data_sets import ServedDataSet
    from webapp.library import Library

LARGEST_SEED = 999_999
"""Of what a visitor draws by chance: any bound will do, and a message can name it."""


def whole_number(name: str, low: int, high: int, default: int | None = None) -> int:
    """The query parameter `name` as a number from `low` to `high`."""
    text = request.args.get(name, "")
    if not text and default is not None:
        return default
    # int() would take "1_0" and "٣" as well, and be slow on a million digits.
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20):
        refuse(400, f"“{name}” takes a whole number from {low:,} to {high:,}.", name)
    number = int(text)
    if not low <= number <= high:
        refuse(404, f"“{name}” goes from {low:,} to {high:,}; there is no {number:,}.", name)
    return number


def percentage(name: str, default: float) -> float:
    """The query parameter `name`, in percent, as a share from 0 to 1."""
    text = request.args.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", text, re.ASCII) or float(text) > 100:
        refuse(400, f"“{name}” takes a percentage from 0 to 100.", name)
    return float(text) / 100


def choice(
    name: str, among: Collection[str], what: str, elsewhere: Mapping[str, str] | None = None
) -> str | None:
    """The query parameter `name`, if it is given, as one of `among`.

    Args:
        what: what it names, for the message: "class".
        elsewhere: of others that one may well ask for, a sentence that says why they are not there.
    """
    text = request.args.get(name, "")
    if not text:
        return None
    if text not in among:
        there = ", ".join(among) or "none yet"
        why = (elsewhere or {}).get(text, f"There is no {what} called “{text}” here.")
        refuse(404, f"{why} There is: {there}.", name)
    return text


def data_set(library: Library, *models: str) -> ServedDataSet | None:
    """The data set that the address asks for; None where there is none at all.

    It is named by `data`, or else is that of a model; without either it is the default model's.

    Args:
        models: the parameters that name models.
    """
    called = request.args.get("data", "")
    if called:
        found = library.find_data_set(called)
        if found is None:
            there = ", ".join(f"{one.name} ({one.title})" for one in library.data_sets.values())
            refuse(
                404,
                f"There is no data set called “{called}” here. There is: {there or 'none yet'}.",
                "data",
            )
        return found
    for name in models:
        result = library.results.get(request.args.get(name, ""))
        if result is not None:
            return library.data_set_of(result.bundle)
    return library.default_data_set


def refuse(status: int, message: str, *parameters: str) -> NoReturn:
    """Answer the request with an error whose page offers the same address without `parameters`."""
    error = NotFound(message) if status == 404 else BadRequest(message)
    error.parameters = parameters  # type: ignore[union-attr]
    raise error
