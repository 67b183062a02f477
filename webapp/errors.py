"""One table of errors, one page and one JSON shape."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from flask import Flask, Request, Response, current_app, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from pydantic import BaseModel, Field
from werkzeug.exceptions import (
    BadHost,
    HTTPException,
    InternalServerError,
    MethodNotAllowed,
    SecurityError,
)
from werkzeug.http import HTTP_STATUS_CODES

from model_training.datasets.pictures.opener import PhotoError
from webapp.operating import metrics, tracing

# Status: (title, what to do).
MESSAGES = {
    400: ("That request did not make sense", "Go back, check what you entered, and try again."),
    404: ("There is nothing here", "The address may be mistyped, or the page has moved."),
    405: ("That does not work at this address", "Start again from the home page."),
    408: ("That took too long to arrive", "Send less at a time, or try again."),
    413: ("That upload is too large", "Choose a smaller file and try again."),
    415: ("This address does not accept that kind of file", "Send a picture as a file in a form."),
    422: ("That file cannot be used", "Choose another one and try again."),
    500: ("Something broke on our side", "It was logged. Please try again in a moment."),
    503: ("The site cannot do that right now", "Please try again in a moment."),
}
# Protocols that others designed (`webapp.api.inference`): their errors are one text.
PROTOCOLS = ("/v1/", "/v2/")
# A browser only reads an answer after it has sent everything, so what a refused upload still has
# to send is read and thrown away, up to this many bytes.
DRAIN_BYTES = 256 * 1024 * 1024


class Problem(BaseModel):
    """A request that failed: why, and what to do."""

    status: int = Field(description="The HTTP status")
    code: str = Field(description="For programs")
    title: str
    detail: str = Field(description="What is wrong and what to do")


class Error(BaseModel):
    """The one shape of every error that is answered as JSON."""

    error: Problem


class Refusal(Exception):
    """A request that cannot be granted.

    message: what is wrong and what to do, for the visitor; status: for HTTP; code: for programs;
    retry_after: in how many seconds it may be granted.
    """

    status = 400
    code = "bad-request"
    retry_after: int | None = None

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


def init_app(app: Flask) -> None:
    """Turn every error of `app` into a page, or into JSON for whoever asks for that."""
    app.register_error_handler(HTTPException, show_error)
    app.register_error_handler(Refusal, show_refusal)
    app.register_error_handler(PhotoError, show_refusal)


def show_error(error: HTTPException) -> ResponseReturnValue:
    """Answer any error that no blueprint has answered itself."""
    status = error.code or 500
    if status < 400 or isinstance(error, (BadHost, SecurityError)):
        # Without a valid host name no address can be made, and so no page.
        if status >= 400:
            metrics.count_refusal(_code(error.name))
        return error.get_response()
    own_words = error.description if error.description != type(error).description else None
    if status == 413:
        drain(request)
    # What Flask says of an error of ours is for the log, not for the visitor.
    detail = None if isinstance(error, InternalServerError) else own_words
    # `webapp.query` says which parts of the address were wrong.
    wrong = getattr(error, "parameters", ())
    response = _response(status, _code(error.name), error.name, detail, wrong)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def show_refusal(error: Refusal | PhotoError) -> ResponseReturnValue:
    """Answer a refused request whose blueprint has no page of its own for it."""
    response = _response(error.status, error.code, HTTP_STATUS_CODES[error.status], error.message)
    response.headers.update(retry_headers(error))
    return response


def retry_headers(error: Refusal | PhotoError) -> dict[str, str]:
    """Return the header that says when to try again, if that may help."""
    return {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}


def _code(name: str) -> str:
    """Return a name such as `Not Found` as `not-found`, for programs."""
    return "-".join(re.findall("[a-z]+", name.lower()))


def _response(
    status: int, code: str, name: str, detail: str | None, wrong: Sequence[str] = ()
) -> Response:
    title, advice = MESSAGES.get(status, (name, MESSAGES[400][1]))
    metrics.count_refusal(code)
    if status == 500:
        advice = f"It was logged as {tracing.number()}. Please try again in a moment."
    if request.path.startswith(PROTOCOLS):
        response = jsonify(error=detail or f"{title}. {advice}")
    elif wants_json(request):
        problem = Problem(status=status, code=code, title=title, detail=detail or advice)
        response = jsonify(Error(error=problem).model_dump())
    else:
        page = render_template(
            "error.html",
            status=status,
            title=title,
            detail=detail or advice,
            without=_without(wrong) if wrong else None,
        )
        response = current_app.make_response(page)
    response.status_code = status
    return response


def _without(parameters: Sequence[str]) -> str:
    """Return the address of the request without these parameters."""
    left = [(name, value) for name, value in request.args.items(True) if name not in parameters]
    path = quote(request.script_root + request.path)
    return f"{path}?{urlencode(left)}" if left else path


def form_problem(error: CSRFError, advice: str = "Please send your photo again.") -> str:
    """Explain to a visitor that the form was too old, or not ours, and what to do."""
    current_app.logger.warning("form refused: %s", error.description)
    if "expired" in (error.description or ""):
        return f"This page was open for too long, so the form could not be accepted. {advice}"
    return (
        "The form could not be checked. It may have arrived incomplete, or your browser blocks the "
        f"cookie that the site needs for this. {advice}"
    )


def wants_json(request: Request) -> bool:
    """Return True if the answer should be JSON: by the address, or by an Accept header."""
    if request.path.startswith(("/api/", *PROTOCOLS)) or request.path.endswith(".json"):
        return True
    best = request.accept_mimetypes.best_match(["text/html", "application/json"])
    return best == "application/json"


def drain(request: Request) -> None:
    """Read and discard the rest of a request that was refused for its length."""
    left = min(request.content_length or 0, DRAIN_BYTES)
    if left <= (request.max_content_length or 0):
        return  # It was refused for something else, and part of it may have been read.
    stream = request.environ["wsgi.input"]
    while left > 0:
        try:
            chunk = stream.read(min(left, 64 * 1024))
        except HTTPException:  # It broke off, or took too long: too large it is all the same.
            break
        if not chunk:
            break
        left -= len(chunk)
