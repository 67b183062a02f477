"""Names that are a folder, an address and a word of a command at once."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import StringConstraints

SLUG = r"^[a-z0-9][a-z0-9.-]{0,63}$"
"""Lower-case letters, digits, dots and dashes; a letter or digit first; at most 64."""

Slug = Annotated[str, StringConstraints(pattern=SLUG)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def is_slug(name: str) -> bool:
    """Return whether `name` can be a folder, an address and a word of a command."""
    return re.fullmatch(SLUG, name) is not None


def slug(text: str) -> str:
    """Return `text` as a slug; empty where it has no Latin letter or digit."""
    return re.sub(r"[^a-z0-9.-]+", "-", text.lower()).strip("-.")[:64].rstrip("-.")
