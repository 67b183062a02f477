"""What the form beside an answer carries, and what it brings back.

Nothing of a photo is kept between two requests, so the form itself carries the photo, exactly as
the page shows it, and what was said of it under a *seal*: a signature that nobody else can make.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Any

from flask import current_app, request
from flask_wtf import FlaskForm
from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer
from wtforms import BooleanField, Field, HiddenField, SelectField, StringField
from wtforms.validators import DataRequired, ValidationError

from model_training.datasets.pictures import opener as photos
from webapp.answering.answers import SHOWN_SIDE, Answer, Verdict
from webapp.errors import Refusal
from webapp.feedback.entry import NONE_OF_THESE, Entry

PICTURE_BYTES = 1024 * 1024  # more than any photo has that a page shows
FORM_BYTES = 2 * 1024 * 1024


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
                "Nothing was stored, because the box is not ticked: without your consent the "
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
        self.right.choices = [
            ("", "Choose …"),
            *((name, name) for name in classes),
            (NONE_OF_THESE, "none of these"),
        ]
        self.consent.label.text = (
            "I agree to this photo being kept for up to "
            f"{current_app.config['FEEDBACK_DAYS']} days, to find out what the network gets wrong "
            "and to improve it."
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
                "Please choose what the photo shows, or “none of these”. Nothing was stored yet."
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
            photos.PhotoError: the photo is none.
        """
        seen = self.seen
        kind, picture = _picture(self.photo.data)
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
                "This is not such a link. Please copy all of it, up to its very end."
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
    content = {
        "ticket": ticket,
        "model": answer.model,
        "title": answer.model_title,
        "shares": [(name, round(share, 6)) for name, share in answer.shares],
        "novelty": answer.novelty,
        "verdict": answer.verdict,
        "familiarity": answer.familiarity,
        "photo": _digest(answer.photo_uri or ""),
    }
    return str(_signer().dumps(content))


def read_form() -> FlagForm:
    """Return the form that was sent.

    Raises:
        BrokenForm: what it carries is not what our page gave it.
    """
    form = request.form
    photo_uri, stale = form.get("photo", ""), False
    signer, sealed = _signer(), form.get("seal", "")
    try:
        try:
            content = signer.loads(sealed, max_age=current_app.config["WTF_CSRF_TIME_LIMIT"])
        except SignatureExpired as error:
            stale = True
            content = signer.load_payload(error.payload or b"")
    except BadData as error:
        raise _broken() from error
    try:
        seen = Seen(
            ticket=content["ticket"],
            model=content["model"],
            model_title=content["title"],
            shares=[(name, share) for name, share in content["shares"]],
            novelty=content["novelty"],
            verdict=content["verdict"],
            familiarity=content["familiarity"],
            photo_uri=photo_uri,
        )
        ours = content["photo"] == _digest(photo_uri)
    except KeyError as error:
        # The seal is real, but of a version of this site that sealed other things.
        raise _broken() from error
    if not ours:
        raise _broken()
    return FlagForm(seen, stale=stale, formdata=form)


def _picture(uri: str) -> tuple[str, bytes]:
    """Kind and bytes of a `data:` address such as our pages show."""
    found = re.fullmatch(r"data:image/(jpeg|png);base64,([A-Za-z0-9+/=]+)", uri)
    try:
        picture = base64.b64decode(found[2], validate=True) if found else b""
    except binascii.Error as error:
        raise _broken() from error
    if not found or len(picture) > PICTURE_BYTES:
        raise _broken()
    return found[1], picture


def _broken() -> BrokenForm:
    return BrokenForm(
        "The form did not arrive as this site had made it, so nothing was stored. Please send "
        "the photo again and use the form beside its answer."
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _signer() -> Any:
    return URLSafeTimedSerializer(current_app.config["SECRET_KEY"], salt="feedback")
