"""A real gunicorn on a free port, for the tests that need one."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
START_SECONDS = 300


@contextmanager
def running(
    log: Path,
    *,
    ready: str = "/readyz",
    environment: Any = None,
    **settings: object,
) -> Iterator[str]:
    """Run the site as `make serve` does; gives its address, and checks that it ends cleanly.

    Args:
        ready: the page that answers 200 when tests can begin.
        environment: a mapping with more variables for the server.
        settings: of the site.
    """
    settings = {"DATABASE_URL": f"sqlite:///{log.with_name('feedback.sqlite')}"} | settings
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "wsgi:app"],
            cwd=PROJECT,
            env=os.environ
            | {"PORT": str(port)}
            | dict(environment or {})
            | {f"TENCLASSES_{name}": str(value) for name, value in settings.items()},
            stdout=output,
            stderr=output,
        )
        try:
            _wait_until_ready(port, ready, server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGTERM)
            status = server.wait(timeout=60)
    assert status == 0, log.read_text()
    assert "Traceback" not in log.read_text(), log.read_text()


def _wait_until_ready(port: int, page: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
        try:
            connection.request("GET", page)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.3)
    raise AssertionError(f"the server did not become ready:\n{log.read_text()}")
