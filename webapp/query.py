"""Reading what stands behind the question mark of an address."""

from __future__ import annotations

from flask import abort, request


def whole_number(name: str, low: int, high: int, default: int | None = None) -> int:
    """The query parameter `name` as a number from `low` to `high`.

    Answers the request with 400 where it is not a whole number, and with 404 where it is out of
    range; either says what is allowed.
    """
    text = request.args.get(name, "")
    if not text and default is not None:
        return default
    # int() would take "1_0" and "٣" as well, and be slow on a million digits.
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20):
        abort(400, f"“{name}” takes a whole number from {low:,} to {high:,}.")
    number = int(text)
    if not low <= number <= high:
        abort(404, f"“{name}” goes from {low:,} to {high:,}; there is no {number:,}.")
    return number
