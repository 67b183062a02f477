"""What is wrong with data that does not validate, in words for whoever wrote it."""

from __future__ import annotations

from pydantic import ValidationError


def first_fault(error: ValidationError, whole: str = "the file") -> str:
    """Return where the first fault of `error` is, and what: `training.epochs: Input should be …`.

    Args:
        whole: what to call the place of a fault that is in no single field.
    """
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or whole}: {first['msg']}"
