"""Clients of a real server, each in a thread of its own, and the times that they waited."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

PATIENCE = 300.0  # seconds that a client waits for an answer
LOST = 0
"""The status of a request whose connection broke before an answer came."""


class Reply(NamedTuple):
    """What came back: status, headers and body, and the seconds that it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


def ask(
    address: str,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    source: str = "127.0.0.1",
) -> Reply:
    """Send one request over a connection of its own, as a new visitor does.

    Args:
        address: such as `http://127.0.0.1:8000`.
        source: the address of this machine that it comes from.
    """
    begun = time.perf_counter()
    host = address.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=PATIENCE, source_address=(source, 0))
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        content = answer.read()
        return Reply(answer.status, dict(answer.headers), content, time.perf_counter() - begun)
    except (OSError, http.client.HTTPException):
        return Reply(LOST, {}, b"", time.perf_counter() - begun)
    finally:
        connection.close()


def form(data: bytes, fields: Mapping[str, str] | None = None) -> tuple[bytes, dict[str, str]]:
    """Return the body and headers of a form with the file `data` in its field `image`."""
    parts = [
        f'--limit\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in (fields or {}).items()
    ]
    head = b'--limit\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    body = b"".join([*parts, head, data, b"\r\n--limit--\r\n"])
    return body, {"Content-Type": "multipart/form-data; boundary=limit"}


class Visitor:
    """Someone at a browser: has read the first page, and so has a cookie and a token."""

    def __init__(self, address: str, source: str = "127.0.0.1") -> None:
        self._address, self._source = address, source
        page = self.get("/")
        cookies = page.headers.get("Set-Cookie", "").partition(";")[0]
        token = re.search(rb'name="csrf_token" value="([^"]+)"', page.body)
        self._headers = {"Cookie": cookies} if cookies else {}
        self.token = token[1].decode() if token else ""

    def get(self, path: str) -> Reply:
        """Read a page."""
        return ask(self._address, "GET", path, source=self._source)

    def upload(self, data: bytes) -> Reply:
        """Send a photo by the form of the first page."""
        body, headers = form(data, {"csrf_token": self.token})
        return self.post("/", body, headers)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send a form."""
        return ask(
            self._address, "POST", path, body, {**headers, **self._headers}, source=self._source
        )


@dataclass
class Waits:
    """The seconds that answers took, by what was asked; and how often which status came."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    without_retry: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, what: str, reply: Reply) -> None:
        """Count `reply` to a request of the kind `what`."""
        with self._lock:
            self.seconds.setdefault(what, []).append(reply.seconds)
            self.statuses.setdefault(what, Counter())[reply.status] += 1
            if reply.status == 503 and "Retry-After" not in reply.headers:
                self.without_retry += 1

    def quantile(self, what: str, share: float) -> float:
        """Return the seconds within which `share` of the requests of the kind `what` ended."""
        return float(np.quantile(self.seconds[what], share))

    def faults(self) -> int:
        """Return how many requests ended in a 5xx other than 503, or without an answer."""
        return sum(
            number
            for counted in self.statuses.values()
            for status, number in counted.items()
            if status == LOST or (status >= 500 and status != 503)
        )

    def print_table(self) -> None:
        """Print a row for each kind of request, in Markdown."""
        print("| what | requests | by status | median | p99 | most |")
        print("| --- | --- | --- | --- | --- | --- |")
        for what in sorted(self.seconds):
            counted = ", ".join(
                f"{number:,} x {status or 'no answer'}"
                for status, number in sorted(self.statuses[what].items())
            )
            median, late, most = (self.quantile(what, share) for share in (0.5, 0.99, 1.0))
            print(
                f"| {what} | {len(self.seconds[what]):,} | {counted} | {median:.2f} s | "
                f"{late:.2f} s | {most:.2f} s |"
            )


def together(tasks: Sequence[Callable[[Callable[[], bool]], None]], seconds: float) -> None:
    """Run all `tasks` at once, each in a thread; each is given what says whether to go on.

    Raises:
        Exception: the first that one of them raised.
    """
    end = time.monotonic() + seconds
    failed: list[Exception] = []

    def run(task: Callable[[Callable[[], bool]], None]) -> None:
        try:
            task(lambda: time.monotonic() < end and not failed)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
