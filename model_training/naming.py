"""Names that are a folder, an address and a word of a command at once."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

from pydantic import StringConstraints

MOST = 64
"""The characters that a slug may have."""
SLUG = rf"^[a-z0-9][a-z0-9.-]{{0,{MOST - 1}}}$"
"""Lower-case letters, digits, dots and dashes; a letter or digit first; at most `MOST`."""

Slug = Annotated[str, StringConstraints(pattern=SLUG)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def is_slug(name: str) -> bool:
    """Return whether `name` can be a folder, an address and a word of a command."""
    return re.fullmatch(SLUG, name) is not None


def short_slug(name: str) -> str:
    """Return `name`, or, where it is longer than a slug may be, its beginning and a digest of it.

    Cut off alone, two long names that end differently would be one.
    """
    name = name.rstrip("-.")
    if len(name) <= MOST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: MOST - 9].rstrip('-.')}-{digest}"


def slug(text: str) -> str:
    """Return `text` as a slug; empty where it has no Latin letter or digit."""
    return re.sub(r"[^a-z0-9.-]+", "-", text.lower()).strip("-.")[:MOST].rstrip("-.")
