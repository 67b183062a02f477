"""Forms that only our own pages can send, and headers that tell a browser what to refuse."""

from __future__ import annotations

from flask import Flask, Response, g, request
from flask_wtf.csrf import CSRFProtect

# Everything comes from this site; `data:` is for the visitor's own photo, which is shown without
# being stored.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    # The camera is for the photo form, which asks for it only when a visitor presses a button;
    # nothing here wants anything else of a device.
    "Permissions-Policy": "camera=(self), display-capture=(), geolocation=(), microphone=(), "
    "payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

csrf = CSRFProtect()


def init_app(app: Flask) -> None:
    """Protect every form of `app`, and put the headers on every answer."""
    csrf.init_app(app)
    hsts = app.config["HSTS_SECONDS"]

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if hsts and request.is_secure:
            response.headers.setdefault("Strict-Transport-Security", f"max-age={hsts}")
        if request.method == "POST":
            response.headers.setdefault("Cache-Control", "no-store")
        elif carries_token():
            response.headers.setdefault("Cache-Control", "private, no-cache")
        return response


def carries_token() -> bool:
    """Return whether the answer to this request has a form with a visitor's own token in it."""
    return "csrf_token" in g
