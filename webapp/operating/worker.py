"""gunicorn's threaded worker, which waits for nobody for ever.

gunicorn's own keeps a thread for a client that stops in the middle of its headers or of its body,
or does not read its answer, and lets all others wait two seconds while it closes a connection of
which the body was not read.  `gunicorn.conf.py` names this class.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from webapp.operating.arrivals import HEAD_SECONDS, REQUEST_SECONDS, Arrivals

SEND_SECONDS = 60.0
"""The longest that a client may take to read one piece of an answer."""
CLOSERS = 8
CLOSE_SECONDS = 5.0
CLOSE_BYTES = 110 * 1024 * 1024
"""How long, and how much, of what a refused client still sends is thrown away: a browser shows an
answer only when it has sent everything."""
MOST_CLOSING = 64
"""The most connections that wait for that: each holds a file descriptor, and gunicorn counts it no
more.  Beyond it they are closed at once."""


class Worker(ThreadWorker):  # type: ignore[misc]
    """Serves each request in a thread, within the times of this module and of `arrivals`."""

    wsgi: Callable[..., Any]

    def init_process(self) -> None:
        """Begin to serve, in the process of the worker."""
        self._arrivals = Arrivals()
        self._closers = ThreadPoolExecutor(CLOSERS, "closing")
        self._closing = threading.BoundedSemaphore(MOST_CLOSING)
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the site."""
        super().load_wsgi()
        self.wsgi = patient(self.wsgi)

    def handle(self, conn: Any) -> Any:
        """Read a request and answer it; returns whether the connection is kept."""
        with self._arrivals.within(conn.sock, HEAD_SECONDS):
            kept = super().handle(conn)
        if kept is False:
            # Its caller would close it in the one thread that accepts connections.
            conn.close = lambda graceful=False: self._close_later(conn.sock)
        return kept

    def _close_later(self, connection: socket.socket) -> None:
        if not self._closing.acquire(blocking=False):
            connection.close()
            return
        closed = self._closers.submit(close, connection)
        closed.add_done_callback(lambda _closed: self._closing.release())

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request whose headers have been read."""
        self._arrivals.extend(conn.sock, REQUEST_SECONDS)
        conn.sock.settimeout(SEND_SECONDS)
        try:
            return super().handle_request(req, conn)
        except TimeoutError as error:
            raise StopIteration from error  # no fault of ours: the connection ends


def patient(served: Callable[..., Any]) -> Callable[..., Any]:
    """Return `served`, which may wait for a body as long as a request may take to arrive."""

    def waiting(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        connection = environ["gunicorn.socket"]
        connection.settimeout(REQUEST_SECONDS)
        try:
            return served(environ, start_response)
        finally:
            connection.settimeout(SEND_SECONDS)

    return waiting


def close(connection: socket.socket) -> None:
    """Close `connection` so that its client reads the answer, though it has not sent everything."""
    try:
        connection.shutdown(socket.SHUT_WR)
        end, left = time.monotonic() + CLOSE_SECONDS, CLOSE_BYTES
        while left > 0 and (remaining := end - time.monotonic()) > 0:
            connection.settimeout(remaining)
            read = len(connection.recv(64 * 1024))
            if not read:
                break
            left -= read
    except OSError:
        pass  # the client has gone
    finally:
        connection.close()
