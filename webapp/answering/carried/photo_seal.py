"""A signature under a photo on a page and what was said of it, which nobody else can make.

Nothing of a photo is kept between two requests: the page itself carries it, and brings it back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import current_app
from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer

from webapp.answering.answers import Verdict

PICTURE_BYTES = 1024 * 1024  # more than any photo has that a page shows
FORM_BYTES = 2 * 1024 * 1024  # what a form may weigh that carries one


class NotSealed(Exception):
    """A photo, and what is said of it, that no page of this site carried together."""


@dataclass(frozen=True)
class Opened:
    """What was sealed; `stale` if it was sealed longer ago than was asked for."""

    content: dict[str, Any]
    stale: bool


def said(verdict: Verdict) -> dict[str, Any]:
    """Return what every page seals of a `verdict`, as JSON takes it."""
    return {
        "model": verdict.model,
        "title": verdict.model_title,
        # To the last digit: rounded, what was said could be shown as another figure the next time.
        "shares": verdict.shares,
        "novelty": verdict.novelty,
        "verdict": verdict.verdict,
        "familiarity": verdict.familiarity,
    }


def verdict_fields(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the `Verdict` of which `content` has what was `said`.

    Raises:
        KeyError: something of it is missing: another version of the site sealed it.
    """
    return {
        "model": content["model"],
        "model_title": content["title"],
        "shares": [(name, share) for name, share in content["shares"]],
        "novelty": content["novelty"],
        "verdict": content["verdict"],
        "familiarity": content["familiarity"],
    }


class PhotoSeal:
    """Signs what a page says of the photo that it carries.

    Args:
        purpose: what it is for: the seal of one purpose does not pass for that of another.
    """

    def __init__(self, purpose: str) -> None:
        self._purpose = purpose

    def sealed(self, content: dict[str, Any], photo_uri: str) -> str:
        """Return `content`, as JSON takes it, as a signed text about the photo `photo_uri`."""
        return str(self._signer().dumps({**content, "photo": _digest(photo_uri)}))

    def opened(self, text: str, photo_uri: str, *, seconds: int) -> Opened:
        """Return what the signed `text` says of the photo `photo_uri`.

        Args:
            seconds: after so many it is stale.

        Raises:
            NotSealed: it was not signed here, or is about another photo.
        """
        signer, stale = self._signer(), False
        try:
            try:
                content = signer.loads(text, max_age=seconds)
            except SignatureExpired as error:
                stale = True
                content = signer.load_payload(error.payload or b"")
        except BadData as error:
            raise NotSealed from error
        if content.pop("photo", None) != _digest(photo_uri):
            raise NotSealed
        return Opened(content, stale)

    def _signer(self) -> Any:
        return URLSafeTimedSerializer(current_app.config["SECRET_KEY"], salt=self._purpose)


def _digest(photo_uri: str) -> str:
    return hashlib.sha256(photo_uri.encode()).hexdigest()
