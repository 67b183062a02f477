"""A site under gunicorn for measuring: its processes, what they hold, and somebody who asks it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

PROJECT = Path(__file__).resolve().parent.parent
MEGABYTE = 1e6


@dataclass(frozen=True)
class Site:
    """A running site.

    Args:
        server: the process id of gunicorn's first process.
        port: on this machine.
        log: what it has said.
    """

    server: int
    port: int
    log: Path

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        kind: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[int, bytes]:
        """Return status and content of an answer, over a connection of its own."""
        sent = dict(headers) | ({"Content-Type": kind} if kind else {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def workers(self) -> list[int]:
        """Return the process ids of its workers: children of gunicorn's, not theirs."""
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.server)], capture_output=True, text=True
        )
        return [int(line) for line in listed.stdout.split()]


def memory(process: int) -> dict[str, float]:
    """Return what Linux says of the memory of a process, in megabytes (`smaps_rollup`)."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text("utf-8").splitlines()[1:]
    return {(parts := line.split())[0][:-1]: int(parts[1]) * 1024 / MEGABYTE for line in lines}


def own_memory(process: int) -> float:
    """Return the anonymous memory of a process that it shares with no other, in megabytes.

    Workers share what the server has imported before it forked them, until they write to it.
    """
    of = memory(process)
    return of["Anonymous"] - of["Shared_Dirty"]


@contextmanager
def running(
    *, workers: int = 1, ready: str = "/readyz", **settings: object
) -> Iterator[tuple[Site, float]]:
    """Run the site as `make serve` does; give it, and the seconds until it was ready.

    Args:
        ready: the page that is 200 then.
        settings: of the site; those of the server in lower case.
    """
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        environment = {"PORT": str(port), "WEB_CONCURRENCY": str(workers)}
        settings = {"DATABASE_URL": f"sqlite:///{folder}/feedback.sqlite"} | settings
        for name, value in settings.items():
            environment[f"TENCLASSES_{name}" if name.isupper() else name.upper()] = str(value)
        log = Path(folder) / "log"
        begun = time.perf_counter()
        with log.open("w") as output:
            server = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "wsgi:app"],
                cwd=PROJECT,
                env=os.environ | environment,
                stdout=output,
                stderr=output,
            )
        site = Site(server.pid, port, log)
        try:
            while not _is_ready(site, ready):
                if server.poll() is not None:
                    raise RuntimeError(f"The site did not start:\n{log.read_text('utf-8')}")
                time.sleep(0.05)
            yield site, time.perf_counter() - begun
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


def _is_ready(site: Site, page: str) -> bool:
    try:
        return site.ask("GET", page)[0] == 200
    except OSError:
        return False


@dataclass(frozen=True)
class Asked:
    """One request: when it was sent and answered, in seconds, and how."""

    sent: float
    answered: float
    status: int
    content: bytes


class Visitors:
    """Some who ask a site without a pause, each over a new connection every time."""

    def __init__(self, site: Site, count: int, method: str, path: str, body: bytes, kind: str):
        self.asked: list[Asked] = []
        self.lost: list[str] = []
        self._site, self._request = site, (method, path, body, kind)
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._ending.is_set():
            sent = time.perf_counter()
            try:
                status, content = self._site.ask(*self._request)
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
            else:
                self.asked.append(Asked(sent, time.perf_counter(), status, content))

    @property
    def longest_gap(self) -> float:
        """Return the longest time in which nobody was answered, in seconds."""
        times = sorted(one.answered for one in self.asked)
        return max((b - a for a, b in zip(times, times[1:], strict=False)), default=0.0)

    @property
    def longest_wait(self) -> float:
        """Return the longest time that one request took, in seconds."""
        return max(one.answered - one.sent for one in self.asked)
