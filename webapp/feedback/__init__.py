"""`/feedback/`: a visitor says what a photo really shows, and agrees to have it kept.

Without that nothing is stored.  The page that thanks shows what was kept, with a link that takes
it back.  The *ticket* in that link stands after its `#`, which no browser sends: so it is in no
log, neither of this server nor of one before it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError

from model_training.datasets.pictures import opener as photos
from webapp import errors
from webapp.answering.answers import Answer
from webapp.answering.carried.photo_seal import FORM_BYTES
from webapp.feedback import cli
from webapp.feedback.database import BadDatabase, Database, database_url
from webapp.feedback.entry import Entry
from webapp.feedback.forms import BrokenForm, FlagForm, TicketForm, read_form
from webapp.feedback.store import HOUR, Store
from webapp.feedback.troubles import StoreError
from webapp.filters import counted
from webapp.limits.admission import Overloaded
from webapp.limits.by_client import limiter
from webapp.operating.metrics import add_gauge
from webapp.settings import SettingError

NOTHING = "Nothing is kept under this link: the photo was deleted, or its time was up."

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
            Database(url, migrate=config["DATABASE_MIGRATE"]),
            limit=config["FEEDBACK_LIMIT"],
            hourly=config["FEEDBACK_HOURLY"],
            days=config["FEEDBACK_DAYS"],
        )
    except BadDatabase as error:
        raise SettingError(f"DATABASE_URL cannot be used: {error}.") from error
    app.extensions["feedback"] = store
    app.cli.add_command(cli.feedback_commands)
    app.cli.add_command(cli.db_commands)
    _purge_hourly(app, store)

    def rows() -> int | None:
        try:
            return store.count()
        except StoreError:
            return None  # the database is down, which is no reason to hide all other figures

    add_gauge(app, "tenclasses_feedback_rows", "Photos that visitors asked to have kept", rows)


def prepare_at_start(app: Flask) -> None:
    """Make the tables where that is allowed, and delete what has been kept for long enough.

    A database that cannot do so is named in the log; the rest of the site needs none.
    """
    _purge(app, app.extensions["feedback"])


@bp.url_value_preprocessor
def limit_form(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Refuse what is larger than a form with one small picture, before it is read."""
    request.max_content_length = request.max_form_memory_size = FORM_BYTES


@bp.after_request
def keep_out_of_caches(response: Response) -> Response:
    """Keep pages about one visitor's photo out of caches."""
    response.headers["Cache-Control"] = "no-store"
    return response


@bp.post("/")
@limiter.limit(
    lambda: f"{current_app.config['FEEDBACK_HOURLY_CLIENT']} per hour",
    deduct_when=lambda response: response.status_code == 200,
)
def flag() -> ResponseReturnValue:
    """Keep the photo that the form carries, with what the visitor says it shows."""
    form = read_form()
    if not form.validate():
        return _form_again(form, form.problem, 400)
    try:
        entry = _store().keep(form.ticket, form.entry())
    except photos.PhotoError as error:
        problem = f"{error.message} Your photo has not been kept yet."
        return _form_again(form, problem, error.status, errors.retry_headers(error))
    except StoreError as error:
        current_app.logger.error("feedback was not kept: %s", error.reason)
        return _form_again(form, error.message, error.status, errors.retry_headers(error))
    return _show(entry, form.ticket, thanks=True)


@bp.get("/yours")
def link() -> ResponseReturnValue:
    """Show the page of a visitor's link: a form with the ticket, which a script sends."""
    return _ask_for_ticket(TicketForm(formdata=None))


@bp.post("/kept")
def kept() -> ResponseReturnValue:
    """Show the entry that is kept under a visitor's ticket."""
    form = TicketForm(formdata=request.form)
    if not form.validate():
        return _ask_for_ticket(form, form.problem, 400)
    try:
        entry = _store().find(form.code)
    except StoreError as error:
        return _ask_for_ticket_later(form, error)
    return _ask_for_ticket(form, NOTHING, 404) if entry is None else _show(entry, form.code)


@bp.post("/take-back")
def take_back() -> ResponseReturnValue:
    """Delete what is kept under a visitor's ticket."""
    form = TicketForm(formdata=request.form)
    if not form.validate():
        return _ask_for_ticket(form, form.problem, 400)
    try:
        gone = _store().take_back(form.code)
    except StoreError as error:
        return _ask_for_ticket_later(form, error)
    return render_template("feedback/gone.html") if gone else _ask_for_ticket(form, NOTHING, 404)


@bp.get("/<ticket>")
def old_link(ticket: str) -> ResponseReturnValue:
    """Redirect a link of the old form, with the ticket in its path, to its current address."""
    return redirect(url_for("feedback.link", _anchor=ticket))


@bp.errorhandler(CSRFError)
def stale_form(error: CSRFError) -> ResponseReturnValue:
    """Return the form fresh, as it was filled in, or say what is wrong with one not ours."""
    problem = errors.form_problem(error, "Everything is still here: please send it again.")
    if request.endpoint != "feedback.flag":
        again = "The form could not be checked. Here it is again: please send it once more."
        return _ask_for_ticket(TicketForm(formdata=request.form), again, 400)
    return _flag_form_again(f"Nothing has been stored yet. {problem}", 400)


@bp.errorhandler(Overloaded)
def not_now(error: Overloaded) -> ResponseReturnValue:
    """Say what became of the photo: nothing of the form was read."""
    state = {"feedback.flag": "your photo was not kept", "feedback.take_back": "it is still kept"}
    if request.endpoint in state:
        error.message = (
            "The site is already handling as many requests as it can, so "
            f"{state[request.endpoint]}. Please go back and send the form again in a few seconds."
        )
    return errors.show_refusal(error)


@bp.errorhandler(RateLimitExceeded)
def too_many(_error: RateLimitExceeded) -> ResponseReturnValue:
    """Return the form, as it was filled in, to a visitor who has sent enough for now."""
    number = current_app.config["FEEDBACK_HOURLY_CLIENT"]
    problem = (
        f"{counted(number, 'photo')} came from your connection within the last "
        "hour, which is the most that one may send, so this one was not kept. Please send it again "
        "in an hour."
    )
    return _flag_form_again(problem, 429)


@bp.app_template_global()
def feedback_form(answer: Answer) -> FlagForm:
    """Return the form about `answer`, not filled in yet, for every template."""
    return FlagForm(answer, formdata=None)


@bp.app_template_filter()
def picture_uri(entry: Entry) -> str:
    """Return the picture of `entry` as a `data:` address."""
    encoded = base64.b64encode(entry.picture).decode("ascii")
    return f"data:image/{entry.picture_kind};base64,{encoded}"


def _store() -> Store:
    store: Store = current_app.extensions["feedback"]
    return store


def _purge(app: Flask, store: Store) -> None:
    try:
        store.purge()
    except StoreError as error:
        app.logger.error("feedback cannot be purged: %s", error.reason)


def _purge_hourly(app: Flask, store: Store) -> None:
    """Delete what has been kept for long enough though nobody sends anything new."""
    due = time.monotonic() + HOUR

    @app.after_request
    def purge_after(response: Response) -> Response:
        nonlocal due
        if time.monotonic() > due:
            due = time.monotonic() + HOUR
            # When it has been sent: no visitor waits for it.
            response.call_on_close(lambda: _purge(app, store))
        return response


def _form_again(
    form: FlagForm, problem: str, status: int, headers: Mapping[str, str] | None = None
) -> ResponseReturnValue:
    page = render_template("feedback/flag.html", form=form, problem=problem)
    return page, status, dict(headers or {})


def _flag_form_again(problem: str, status: int) -> ResponseReturnValue:
    try:
        return _form_again(read_form(), problem, status)
    except BrokenForm as broken:
        return errors.show_refusal(broken)


def _ask_for_ticket(
    form: TicketForm,
    problem: str | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> ResponseReturnValue:
    page = render_template("feedback/link.html", form=form, problem=problem)
    return page, status, dict(headers or {})


def _ask_for_ticket_later(form: TicketForm, error: StoreError) -> ResponseReturnValue:
    current_app.logger.error("%s failed: %s", request.endpoint, error.reason)
    return _ask_for_ticket(form, error.message, error.status, errors.retry_headers(error))


def _show(entry: Entry, ticket: str, *, thanks: bool = False) -> ResponseReturnValue:
    form = TicketForm(formdata=None, ticket=ticket)
    return render_template(
        "feedback/kept.html", entry=entry, ticket=ticket, form=form, thanks=thanks
    )
