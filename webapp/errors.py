"""One table of errors, one page and one JSON shape."""

from __future__ import annotations

from flask import Flask, Request, current_app, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import (
    BadHost,
    HTTPException,
    InternalServerError,
    MethodNotAllowed,
    SecurityError,
)

# Status: (title, what to do).
MESSAGES = {
    400: ("That request did not make sense", "Go back, check what you entered, and try again."),
    404: ("There is nothing here", "The address may be mistyped, or the page has moved."),
    405: ("That does not work at this address", "Start again from the first page."),
    413: ("That upload is too large", "Choose a smaller file and try again."),
    500: ("Something broke on our side", "It is in the log. Please try again in a moment."),
    503: ("The site is not ready yet", "Please try again in a moment."),
}
# A browser only reads an answer after it has sent everything, so what a refused upload still has
# to send is read and thrown away, up to this many bytes.
DRAIN_BYTES = 128 * 1024 * 1024


def init_app(app: Flask) -> None:
    """Let every error of `app` become a page, or JSON for whoever asks for that."""
    app.register_error_handler(HTTPException, show_error)


def show_error(error: HTTPException) -> ResponseReturnValue:
    """The answer to any error that no blueprint has answered itself."""
    status = error.code or 500
    if status < 400 or isinstance(error, (BadHost, SecurityError)):
        # Under a host name that is none, no address can be made, and so no page.
        return error.get_response()
    title, advice = MESSAGES.get(status, (error.name, MESSAGES[400][1]))
    own_words = error.description if error.description != type(error).description else None
    if status == 413:
        drain(request)
    # What Flask says of an error of ours is for the log, not for the visitor.
    detail = None if isinstance(error, InternalServerError) else own_words
    if wants_json(request):
        body = {"error": {"status": status, "title": title, "detail": detail or advice}}
        response = jsonify(body)
    else:
        page = render_template("error.html", status=status, title=title, detail=detail or advice)
        response = current_app.make_response(page)
    response.status_code = status
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def form_problem(error: CSRFError) -> str:
    """What a visitor is told whose form was too old, or not ours."""
    current_app.logger.warning("form refused: %s", error.description)
    if "expired" in (error.description or ""):
        return (
            "This page had been open for too long, so the form could not be accepted. Please "
            "choose your photo again."
        )
    return (
        "The form could not be checked. It may have arrived incomplete, or this browser keeps no "
        "cookies, which the site needs for that. Please choose your photo again."
    )


def wants_json(request: Request) -> bool:
    """Whether the answer should be JSON: by the address, or by an Accept header."""
    if request.path.startswith(("/api/", "/v1/")) or request.path.endswith(".json"):
        return True
    best = request.accept_mimetypes.best_match(["text/html", "application/json"])
    return best == "application/json"


def drain(request: Request) -> None:
    """Read and forget what a client is still sending that was refused for its length."""
    left = min(request.content_length or 0, DRAIN_BYTES)
    if left <= (request.max_content_length or 0):
        return  # It was refused for something else, and part of it may have been read.
    stream = request.environ["wsgi.input"]
    while left > 0:
        chunk = stream.read(min(left, 64 * 1024))
        if not chunk:
            break
        left -= len(chunk)
