"""`/feedback/`: a visitor says what a photo really shows, and agrees to have it kept.

Without that nothing is stored.  The page that thanks shows what was kept, with a link that takes
it back.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from flask import Blueprint, Flask, Response, abort, current_app, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError

from model_training.datasets.pictures import opener as photos
from webapp import errors
from webapp.answering.answers import Answer
from webapp.feedback import cli
from webapp.feedback.forms import FORM_BYTES, BrokenForm, FlagForm, TakeBackForm, read_form
from webapp.feedback.store import BadDatabase, Entry, Store, StoreError, database_url
from webapp.settings import SettingError

bp = Blueprint("feedback", __name__, url_prefix="/feedback")


def init_app(app: Flask) -> None:
    """Give `app` its store and the commands for it.

    Raises:
        SettingError: the database cannot work.
    """
    config = app.config
    try:
        url = database_url(config["DATABASE_URL"], Path(app.instance_path))
        store = Store(
            url,
            limit=config["FEEDBACK_LIMIT"],
            hourly=config["FEEDBACK_HOURLY"],
            days=config["FEEDBACK_DAYS"],
        )
    except BadDatabase as error:
        raise SettingError(f"DATABASE_URL cannot be used: {error}.") from error
    app.extensions["feedback"] = store
    app.cli.add_command(cli.feedback_commands)


def purge_at_start(app: Flask) -> None:
    """Delete what has been kept for long enough; a store that cannot is named in the log."""
    store: Store = app.extensions["feedback"]
    try:
        store.purge()
    except StoreError as error:
        app.logger.error("feedback cannot be purged", exc_info=error)


@bp.url_value_preprocessor
def limit_form(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """A form here carries one small picture: more than that is not even read."""
    request.max_content_length = request.max_form_memory_size = FORM_BYTES


@bp.post("/")
def flag() -> ResponseReturnValue:
    """Keep the photo that the form carries, with what the visitor says it shows."""
    form = read_form()
    if not form.validate():
        return _form_again(form, form.problem, 400)
    try:
        entry = form.entry()
        _store().keep(form.ticket, entry)
    except photos.PhotoError as error:
        return _form_again(form, error.message, error.status, errors.retry_headers(error))
    except StoreError as error:
        current_app.logger.error("feedback was not kept", exc_info=error)
        return _form_again(form, error.message, error.status)
    return _kept(form.ticket, thanks=True)


@bp.get("/<ticket>")
def kept(ticket: str) -> ResponseReturnValue:
    """Show the entry that is kept under a visitor's ticket."""
    return _kept(ticket)


@bp.post("/take-back")
def take_back() -> ResponseReturnValue:
    """Delete what is kept under a visitor's ticket."""
    # In the form and not in the address, so that it is in nobody's log.
    form = TakeBackForm(formdata=request.form)
    if not form.validate() or not _store().take_back(form.ticket.data or ""):
        _abort_with_nothing()
    return render_template("feedback/gone.html")


@bp.errorhandler(CSRFError)
def stale_form(error: CSRFError) -> ResponseReturnValue:
    """The form again, fresh, as it was filled in; or what is wrong with one that is not ours."""
    problem = errors.form_problem(error)
    if request.endpoint != "feedback.flag":
        return errors.show_refusal(BrokenForm(problem))
    try:
        return _form_again(read_form(), "Nothing was stored yet: " + problem, 400)
    except BrokenForm as broken:
        return errors.show_refusal(broken)


@bp.app_template_global()
def feedback_form(answer: Answer) -> FlagForm:
    """The form about `answer`, not filled in yet, for every template."""
    return FlagForm(answer, formdata=None)


def _store() -> Store:
    store: Store = current_app.extensions["feedback"]
    return store


def _form_again(
    form: FlagForm, problem: str, status: int, headers: Mapping[str, str] | None = None
) -> ResponseReturnValue:
    page = render_template("feedback/flag.html", form=form, problem=problem)
    return page, status, dict(headers or {})


def _kept(ticket: str, *, thanks: bool = False) -> ResponseReturnValue:
    entry = _store().find(ticket)
    if entry is None:
        _abort_with_nothing()
    form = TakeBackForm(formdata=None, ticket=ticket)
    page = render_template(
        "feedback/kept.html", entry=entry, ticket=ticket, form=form, thanks=thanks
    )
    response: Response = current_app.make_response(page)
    response.headers["Cache-Control"] = "no-store"
    return response


def _abort_with_nothing() -> NoReturn:
    abort(404, "Nothing is kept under this link: it was taken back, or its time was over.")


@bp.app_template_filter()
def picture_uri(entry: Entry) -> str:
    """The picture of `entry` as a `data:` address."""
    encoded = base64.b64encode(entry.picture).decode("ascii")
    return f"data:image/{entry.picture_kind};base64,{encoded}"
