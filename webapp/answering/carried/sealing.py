"""What a page of an answer carries, so that more can be asked about the photo on it.

The page itself carries the photo, as it shows it, and what was said of it under a seal that is good
for a day.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from flask import request

from model_training.datasets.pictures import opener as photos
from webapp.answering import data_uris
from webapp.answering.answers import SHOWN_SIDE, Answer, Opinion, Verdict
from webapp.answering.carried.photo_seal import (
    PICTURE_BYTES,
    NotSealed,
    PhotoSeal,
    said,
    verdict_fields,
)
from webapp.errors import Refusal

SECONDS = 24 * 3600
"""How long what a page carries can be sent back."""
_SEAL = PhotoSeal("answer")


class BrokenSeal(Refusal):
    """What was sent is not what our page carried."""

    code = "broken-seal"

    def __init__(self) -> None:
        super().__init__(
            "The photo and its answer do not match what this site sent to your browser: something "
            "was changed or arrived incomplete. Please choose the photo again."
        )


class StaleSeal(Refusal):
    """What was sent is ours, but too old, or of another version of this site."""

    code = "stale-seal"

    def __init__(self) -> None:
        super().__init__(
            "That answer is more than a day old, or of an earlier version of this site, so nothing "
            "more can be asked about it: its photo was on your page only. Please choose the photo "
            "again."
        )


@dataclass(frozen=True, kw_only=True)
class Carried(Verdict):
    """The verdict that a page showed on the photo that it carried.

    `photo` is as large as the page showed it, under the address `photo_uri`; `photo_size` is that
    of the visitor's file.
    `near` are the training images that were shown beside it: their places in the training set.
    `opinions` are those of other models, as far as they were asked.
    `ours` is as in `Answer`.
    """

    photo: photos.Photo
    photo_uri: str
    photo_size: tuple[int, int]
    milliseconds: float
    near: tuple[int, ...]
    opinions: tuple[Opinion, ...]
    ours: bool

    @property
    def opinion(self) -> Opinion:
        """Return the verdict in short."""
        return Opinion(self.model, self.label, self.verdict, self.stated, self.milliseconds)

    def on(self, answer: Answer) -> Answer:
        """Return `answer` with this verdict: what was said stays said.

        The photo that a page carries is smaller than the visitor's, so it would be judged a little
        differently.
        """
        verdict = {one.name: getattr(self, one.name) for one in fields(Verdict)}
        return replace(answer, **verdict, milliseconds=self.milliseconds)


def seal(answer: Answer) -> str:
    """Return the signed text that a page carries beside the photo of `answer`."""
    content = said(answer) | {
        "size": answer.photo_size,
        "strangeness": answer.strangeness,
        "resembles": answer.resembles,
        "milliseconds": round(answer.milliseconds, 2),
        "near": [one.number for one in answer.near],
        "opinions": [asdict(one) for one in answer.opinions],
        "ours": answer.ours,
    }
    return _SEAL.sealed(content, answer.photo_uri or "")


def read() -> Carried:
    """Return what the request brings back of a page: its fields `photo` and `seal`.

    Raises:
        BrokenSeal: it is not what our page carried.
        StaleSeal: our page carried it, more than a day ago, or before this version of the site.
        photos.PhotoError: the photo cannot be opened.
    """
    uri = request.form.get("photo", "")
    try:
        opened = _SEAL.opened(request.form.get("seal", ""), uri, seconds=SECONDS)
        _, picture = data_uris.picture_of(uri, most_bytes=PICTURE_BYTES)
    except (NotSealed, ValueError) as error:
        raise BrokenSeal from error
    if opened.stale:
        raise StaleSeal
    # The seal says that these bytes are ours.  They are opened all the same, as untrusted ones.
    photo = photos.open_photo(picture, max_pixels=SHOWN_SIDE**2)
    try:
        return _carried(opened.content, uri, photo)
    except (KeyError, TypeError) as error:
        # The page is of a version of this site that sealed other things.
        raise StaleSeal from error


def _carried(content: dict[str, Any], uri: str, photo: photos.Photo) -> Carried:
    width, height = content["size"]
    return Carried(
        **verdict_fields(content),
        strangeness=content["strangeness"],
        resembles=content["resembles"],
        photo=photo,
        photo_uri=uri,
        photo_size=(width, height),
        milliseconds=content["milliseconds"],
        near=tuple(content["near"]),
        opinions=tuple(Opinion(**one) for one in content["opinions"]),
        ours=content["ours"],
    )
