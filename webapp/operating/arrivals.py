"""How long a request may take to arrive: past it, nothing more is read from its connection."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HEAD_SECONDS = 5.0
"""The longest for the headers of a request."""
REQUEST_SECONDS = float(os.environ.get("RECEIVE_SECONDS", "90"))
"""The longest for a whole request."""
STEP = 0.5  # seconds between two looks at the clock

_cut: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def was_cut(environ: dict[str, Any]) -> bool:
    """Return whether the body of the request was cut off because it came too slowly."""
    return environ.get("gunicorn.socket") in _cut


class Arrivals:
    """The connections on which a request is arriving, and until when each is waited for.

    Reading from one that is past its time ends as if its client had ended it; what is there to be
    said can still be sent.
    """

    def __init__(self) -> None:
        self._until: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        self._watch: threading.Thread | None = None

    @contextmanager
    def within(self, connection: socket.socket, seconds: float) -> Iterator[None]:
        """Cut `connection` off when `seconds` have passed, unless this has ended before."""
        self.extend(connection, seconds)
        try:
            yield
        finally:
            with self._lock:
                self._until.pop(connection, None)

    def extend(self, connection: socket.socket, seconds: float) -> None:
        """Let `connection` take `seconds` from now on."""
        with self._lock:
            self._until[connection] = time.monotonic() + seconds
            if self._watch is None:
                self._watch = threading.Thread(target=self._look, daemon=True, name="arrivals")
                self._watch.start()

    def _look(self) -> None:
        while True:
            time.sleep(STEP)
            now = time.monotonic()
            with self._lock:
                for connection in [one for one, until in self._until.items() if until < now]:
                    del self._until[connection]
                    _cut.add(connection)
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RD)
