"""What the form beside an answer carries, and what it brings back.

The form itself carries the photo, exactly as the page shows it, and what was said of it under a
seal.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any

from flask import current_app, request
from flask_wtf import FlaskForm
from wtforms import BooleanField, Field, HiddenField, SelectField, StringField
from wtforms.validators import DataRequired, ValidationError

from model_training.datasets.pictures import opener as photos
from webapp.answering import data_uris
from webapp.answering.answers import SHOWN_SIDE, Answer, Verdict
from webapp.answering.carried.photo_seal import (
    PICTURE_BYTES,
    NotSealed,
    PhotoSeal,
    said,
    verdict_fields,
)
from webapp.errors import Refusal
from webapp.feedback.entry import NONE_OF_THESE, Entry
from webapp.filters import counted

_SEAL = PhotoSeal("feedback")


class BrokenForm(Refusal):
    """The form is not as our page made it."""

    code = "broken-form"


@dataclass(frozen=True, kw_only=True)
class Seen(Verdict):
    """The verdict that a visitor was shown on a photo; `ticket` will take the photo back."""

    ticket: str
    photo_uri: str


class Consent(BooleanField):  # type: ignore[misc]
    """A checkbox that is ticked only by the value that our own page sends."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Treat any other value as an unticked box."""
        self.data = valuelist[:1] == ["yes"]

    def _value(self) -> str:
        return "yes"


class FlagForm(FlaskForm):  # type: ignore[misc]
    """A form for what a photo shows, and the consent to keep it.

    `seen` is what the visitor was told.

    Args:
        stale: the seal is real, but older than forms may be.
    """

    seal = HiddenField()
    photo = HiddenField()
    right = SelectField("What the photo shows", render_kw={"required": True}, validate_choice=False)
    consent = Consent(
        validators=[
            DataRequired(
                "Nothing has been stored, because the box is not ticked: without your consent the "
                "photo is not kept. Please tick it if you agree."
            )
        ]
    )

    def __init__(self, seen: Answer | Seen, *, stale: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.seen, self.stale = seen, stale
        # Sealed anew, so that a form that comes back may stay open as long again.
        self.seal.data, self.photo.data = seal(seen), seen.photo_uri
        classes = sorted(name for name, _ in seen.shares)
        names = {name: name for name in classes} | {NONE_OF_THESE: "none of these"}
        # What the network said comes first: to agree takes no search among a hundred classes.
        agreed = seen.label if seen.known else NONE_OF_THESE
        self.right.choices = [
            ("", "Choose …"),
            (agreed, f"{names.pop(agreed)}, as the network says"),
            *names.items(),
        ]
        self.consent.label.text = (
            "I agree to this photo being kept for up to "
            f"{counted(current_app.config['FEEDBACK_DAYS'], 'day')}, to find out what the "
            "network gets wrong and to improve it."
        )

    def validate_seal(self, _field: Field) -> None:
        """Refuse a form that was open for too long."""
        if self.stale:
            raise ValidationError(
                "This page had been open for too long. Everything is still here: please send it "
                "again."
            )

    def validate_right(self, field: Field) -> None:
        """Refuse what is none of the choices, or no choice."""
        if not field.data or field.data not in dict(field.choices):
            raise ValidationError(
                "Please choose what the photo shows, or “none of these”. Nothing has been stored "
                "yet."
            )

    @property
    def problem(self) -> str:
        """Return the first thing that is missing, in words for the visitor."""
        return str(next(iter(self.errors.values()))[0])

    @property
    def ticket(self) -> str:
        """Return the ticket that will take back what this form carries."""
        assert isinstance(self.seen, Seen)
        return self.seen.ticket

    def entry(self) -> Entry:
        """Return the entry to store.

        Raises:
            BrokenForm: the photo is not as our page shows one.
            photos.PhotoError: the photo is none.
        """
        seen = self.seen
        try:
            kind, picture = data_uris.picture_of(self.photo.data, most_bytes=PICTURE_BYTES)
        except ValueError as error:
            raise _broken() from error
        # The seal says that these bytes are ours.  They are opened all the same, as untrusted ones.
        photos.open_photo(picture, max_pixels=SHOWN_SIDE**2)
        return Entry(
            model=seen.model,
            said=seen.label,
            probabilities=dict(seen.shares),
            novelty=seen.novelty,
            known=seen.known,
            right_class=self.right.data,
            picture=picture,
            picture_kind=kind,
        )


class TicketForm(FlaskForm):  # type: ignore[misc]
    """A form with the ticket of the entry to show or to delete."""

    ticket = StringField("The link that you were given, or the code at its end")

    def validate_ticket(self, _field: Field) -> None:
        """Refuse what cannot be a ticket."""
        if not re.fullmatch(r"[\w-]{16,64}", self.code):
            raise ValidationError(
                "That is not a link to a kept photo. Please copy the whole link, to its very end."
            )

    @property
    def code(self) -> str:
        """Return the ticket, which a visitor may have pasted with the link before it."""
        return re.split(r"[#/]", (self.ticket.data or "").strip())[-1]

    @property
    def problem(self) -> str:
        """Return what is wrong with it, in words for the visitor."""
        return str(next(iter(self.errors.values()))[0])


def seal(answer: Answer | Seen) -> str:
    """Return the signed text that a form carries about `answer`, with a ticket for its entry."""
    ticket = answer.ticket if isinstance(answer, Seen) else secrets.token_urlsafe(24)
    return _SEAL.sealed(said(answer) | {"ticket": ticket}, answer.photo_uri or "")


def read_form() -> FlagForm:
    """Return the form that was sent.

    Raises:
        BrokenForm: what it carries is not what our page gave it.
    """
    form = request.form
    photo_uri, limit = form.get("photo", ""), current_app.config["WTF_CSRF_TIME_LIMIT"]
    try:
        opened = _SEAL.opened(form.get("seal", ""), photo_uri, seconds=limit)
        seen = Seen(
            **verdict_fields(opened.content),
            ticket=opened.content["ticket"],
            photo_uri=photo_uri,
        )
    except (NotSealed, KeyError) as error:
        # With a key missing the seal is real, but of a version of this site that sealed others.
        raise _broken() from error
    return FlagForm(seen, stale=opened.stale, formdata=form)


def _broken() -> BrokenForm:
    return BrokenForm(
        "The form did not arrive as this site had made it, so nothing was stored. Please send "
        "the photo again and use the form beside its answer."
    )
