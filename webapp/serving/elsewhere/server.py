"""The model server at one address: requests with a deadline, and one retry where that may help."""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError, ReadTimeoutError

from webapp.errors import Refusal
from webapp.operating import tracing
from webapp.serving.elsewhere.circuit import Failed, NotAsked

CONNECT_SECONDS = 2.0
MOST_BYTES = 64 * 2**20
"""The longest answer: features of 32 images are a few hundred kilobytes."""
AT_ONCE = 8
"""The most questions at a time: while the server hangs, other threads of the site answer pages."""
LONGEST_WAIT = 1.0  # seconds for a turn
_PASSING = (502, 503, 504)
"""What a proxy says while the server behind it starts again."""
_TURNS = threading.BoundedSemaphore(AT_ONCE)


class ModelServerDown(Refusal, Failed):
    """The model server does not answer, or not as it should."""

    status = 503
    code = "model-server-down"
    retry_after = 5

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The model server, which this site asks for every answer, {why}. So no photo can be "
            "answered just now; please try again in a few seconds."
        )
        self.why = why


class ModelServerBusy(Refusal):
    """The model server answers, and has too much to do."""

    status = 503
    code = "model-server-busy"

    def __init__(self, seconds: int) -> None:
        super().__init__(
            "The model server, which this site asks for every answer, has as much to do as it can. "
            "Please try again in a few seconds."
        )
        self.retry_after = seconds


class NoTurn(ModelServerBusy, NotAsked):
    """So many questions wait for the model server that this one was not asked."""


@dataclass(frozen=True)
class Reply:
    """An answer: its status, headers by lower-case name, and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return what its JSON says.

        Raises:
            ModelServerDown: it is not JSON.
        """
        return parsed(self.body)


def parsed(text: bytes) -> Any:
    """Return what the JSON `text` of an answer says.

    Raises:
        ModelServerDown: it is not JSON.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise ModelServerDown("gives answers that are no JSON") from error


class ModelServer:
    """The server at `url`.

    Args:
        seconds: the most for one question, its retry included.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self.url = url.rstrip("/")
        self.seconds = seconds
        self._pool = urllib3.PoolManager(maxsize=AT_ONCE, retries=False)

    def ask(
        self,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        seconds: float | None = None,
    ) -> Reply:
        """Get `path`, or post `body` to it.

        A connection that breaks, and an answer of a proxy whose server is starting again, are
        tried once more while there is time: nothing that is asked here changes anything.

        Args:
            seconds: the most that it may take, if fewer than usual.

        Raises:
            ModelServerDown: no answer came in time, or one that says that the server is broken.
            ModelServerBusy: it says itself when to come again.
            NoTurn: so many questions wait for it that this one was not asked.
        """
        if not _TURNS.acquire(timeout=LONGEST_WAIT):
            raise NoTurn(math.ceil(LONGEST_WAIT))
        try:
            return self._twice(
                path, body, headers or {}, min(seconds or self.seconds, self.seconds)
            )
        finally:
            _TURNS.release()

    def _twice(
        self, path: str, body: bytes | None, headers: dict[str, str], seconds: float
    ) -> Reply:
        deadline = time.monotonic() + seconds
        try:
            reply = self._once(path, body, headers, deadline)
            if reply.status not in _PASSING or "retry-after" in reply.headers:
                return _checked(reply)
        except ReadTimeoutError as error:
            raise ModelServerDown("did not answer in time") from error
        except HTTPError as error:
            if time.monotonic() >= deadline:
                raise ModelServerDown("cannot be reached") from error
        try:
            return _checked(self._once(path, body, headers, deadline))
        except ReadTimeoutError as error:
            raise ModelServerDown("did not answer in time") from error
        except HTTPError as error:
            raise ModelServerDown("cannot be reached") from error

    def _once(
        self, path: str, body: bytes | None, headers: dict[str, str], deadline: float
    ) -> Reply:
        left = max(deadline - time.monotonic(), 0.001)
        address = f"{self.url}{path}"
        if number := tracing.number():
            headers = headers | {"X-Request-Id": number}
        response = self._pool.request(
            "GET" if body is None else "POST",
            address,
            body=body,
            headers=headers,
            timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, left), read=left),
            preload_content=False,
            redirect=False,
        )
        try:
            pieces, length = [], 0
            for piece in response.stream(64 * 1024):
                pieces.append(piece)
                length += len(piece)
                # A server that drips would never be late by the socket's own clock.
                if time.monotonic() > deadline:
                    raise ReadTimeoutError(self._pool.connection_from_url(address), path, "slow")
                if length > MOST_BYTES:
                    raise ModelServerDown("gives answers that are far too long")
        except BaseException:
            response.close()
            raise
        response.release_conn()
        named = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status, named, b"".join(pieces))


def _checked(reply: Reply) -> Reply:
    waiting = reply.headers.get("retry-after", "")
    if reply.status in (429, 503) and waiting.isascii() and waiting.isdigit():
        raise ModelServerBusy(min(int(waiting), 3600))
    if reply.status >= 500 or reply.status == 429:
        raise ModelServerDown(f"answers that it is broken (status {reply.status})")
    return reply
