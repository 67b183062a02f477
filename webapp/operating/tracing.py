"""What follows a request on its way: its number, and a body that breaks as a 400.

The number is in the header `X-Request-Id` of every answer and in every log line about the request.
One that a proxy or client sends is kept.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from flask import Flask, has_request_context, request
from flask.logging import default_handler
from werkzeug.exceptions import BadRequest, RequestTimeout

from webapp.operating.arrivals import was_cut

NUMBER = "tenclasses.request_id"
_GIVEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_LINE = "[%(asctime)s] %(levelname)s %(request_id)s %(message)s"
_SLOW = "The request took too long to arrive. Please send less at a time, or send it again."
_BROKEN = "The body arrived incomplete, or not as its headers say. Please send it again."


class Numbered(logging.Filter):
    """Gives each log record the number of the request that it is about, as `request_id`."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        record.request_id = number() or "-"
        return True


def init_app(app: Flask) -> None:
    """Number the requests of `app`, also those that never reach it whole."""
    app.logger.addFilter(Numbered())
    default_handler.setFormatter(logging.Formatter(_LINE))
    served = app.wsgi_app

    def numbered(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        mine = given if _GIVEN.fullmatch(given) else uuid.uuid4().hex
        environ[NUMBER] = mine
        if "wsgi.input" in environ:
            environ["wsgi.input"] = _Body(environ["wsgi.input"], environ)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, ("X-Request-Id", mine)], *rest)

        return served(environ, start)

    app.wsgi_app = numbered  # type: ignore[method-assign]


def number() -> str | None:
    """Return the number of the request that is being answered, if there is one."""
    return request.environ.get(NUMBER) if has_request_context() else None


class _Body:
    """The body of a request; what the server finds wrong with it is the sender's fault: a 400.

    A server has errors of its own for a body that ends early or is not divided as it should be.
    """

    def __init__(self, stream: IO[bytes], environ: dict[str, Any]) -> None:
        self._stream, self._environ = stream, environ

    def read(self, *size: int) -> bytes:
        return self._sound(self._stream.read, *size)

    def readline(self, *size: int) -> bytes:
        return self._sound(self._stream.readline, *size)

    def readlines(self, *hint: int) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def close(self) -> None:
        self._stream.close()

    def _sound(self, read: Callable[..., bytes], *size: int) -> bytes:
        try:
            found = read(*size)
        except TimeoutError as error:
            raise RequestTimeout(_SLOW) from error
        except Exception as error:
            raise BadRequest(_BROKEN) from error
        if was_cut(self._environ):
            raise RequestTimeout(_SLOW)
        return found
