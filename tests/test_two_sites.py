"""One site on two machines: nginx before both, one database, one count of how often a visitor came.

Nothing that a visitor needs next is in the memory of who answered last, and either may die.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from flask import Flask

from tests import pictures, postgresql, redis, server
from tests.test_deploy import NGINX, nginx_before

pytestmark = pytest.mark.skipif(
    NGINX is None or postgresql.INITDB is None or redis.SERVER is None,
    reason="nginx, PostgreSQL or Redis is not installed",
)

TWICE = 2
"""How many photos one visitor may send in an hour."""


@dataclass
class Sites:
    """Two sites behind one address, and what each has written into its log."""

    address: str
    logs: list[Path]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def posts(self) -> list[int]:
        """Return how many forms each has answered."""
        return [log.read_text().count('"POST ') for log in self.logs]

    def kill(self, number: int) -> None:
        """Kill a site with all its workers, as a machine that goes dark does."""
        os.killpg(self.processes[number].pid, signal.SIGKILL)
        self.processes[number].wait()


@pytest.fixture
def sites(site: Flask, tmp_path: Path) -> Iterator[Sites]:
    with ExitStack() as all_of_it:
        # Not below pytest's folder: its path is too long for a socket.
        short = Path(all_of_it.enter_context(tempfile.TemporaryDirectory()))
        settings: dict[str, object] = {
            "DATABASE_URL": all_of_it.enter_context(postgresql.cluster()).url(),
            "RATE_LIMIT_STORAGE": all_of_it.enter_context(redis.running(short)),
            "SECRET_KEY": secrets.token_hex(16),
            "MODELS_FOLDER": site.config["MODELS_FOLDER"],
            "DEFAULT_MODEL": "tiny",
            "FEEDBACK_HOURLY_CLIENT": TWICE,
            "TRUSTED_PROXIES": 1,
        }
        logs = [tmp_path / f"log-{number}" for number in range(2)]
        started = [start(log, settings) for log in logs]
        for _, process in started:
            all_of_it.callback(end, process)
        addresses = [address for address, _ in started]
        for (address, process), log in zip(started, logs, strict=True):
            wait_for(f"{address}/readyz", process, log)
        (tmp_path / "nginx").mkdir()
        first, second = addresses
        behind = all_of_it.enter_context(nginx_before(first, tmp_path / "nginx", second))
        yield Sites(behind, logs, [process for _, process in started])


def start(log: Path, settings: dict[str, object]) -> tuple[str, subprocess.Popen[bytes]]:
    """Start a site of one worker in a process group of its own; return its address, and it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "wsgi:app"],
            cwd=server.PROJECT,
            env=os.environ
            | {"PORT": str(port), "WEB_CONCURRENCY": "1"}
            | {f"TENCLASSES_{name}": str(value) for name, value in settings.items()},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return f"http://127.0.0.1:{port}", process


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + server.START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(requests.ConnectionError):
            if requests.get(address, timeout=60).status_code == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"the site did not become ready:\n{log.read_text()}")


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def hidden(page: str, form: str) -> dict[str, str]:
    """Return what the first form of a page that is sent to `form` carries."""
    (found,) = re.findall(rf'<form[^>]* action="{form}".*?</form>', page, re.S)[:1]
    fields = re.findall(r'name="([a-z_]+)"(?: type="hidden")? value="([^"]*)"', found)
    fields += re.findall(r'type="hidden" name="([a-z_]+)" value="([^"]*)"', found)
    return dict(fields)


def sent(values: dict[str, str]) -> dict[str, tuple[None, str]]:
    """Return a form's fields as a browser sends them: in parts."""
    return {name: (None, value) for name, value in values.items()}


def test_a_visitor_is_at_home_on_both_sites_and_outlives_one(sites: Sites) -> None:
    home = sites.address
    with requests.Session() as visitor:
        token = hidden(visitor.get(f"{home}/").text, "/")["csrf_token"]
        photo = {"image": ("photo.jpg", pictures.jpeg())}

        def classify() -> str:
            # nginx goes to one site after the other.
            answer = visitor.post(f"{home}/", data={"csrf_token": token}, files=photo)
            assert answer.status_code == 200, answer.text
            return answer.text

        pages = [classify() for _ in range(4)]
        deadline = time.monotonic() + 20  # the line is written behind the answer
        while min(sites.posts()) < 2:
            assert time.monotonic() < deadline, "both sites take a form that one of them made"
            time.sleep(0.05)
        said = {re.sub(r"<[^>]+>", "", re.findall(r"<h1.*?</h1>", page, re.S)[0]) for page in pages}
        assert len(said) == 1, "both say the same"

        carried = hidden(pages[0], "/again")
        for _ in range(2):
            again = visitor.post(f"{home}/again", files=sent(carried | {"all": "1"}))
            assert again.status_code == 200 and said.pop() in re.sub(r"<[^>]+>", "", again.text)
            said = {re.sub(r"<[^>]+>", "", re.findall(r"<h1.*?</h1>", pages[0], re.S)[0])}

        kept = []
        for page in pages[:TWICE]:
            form = hidden(page, "/feedback/") | {"right": "ship", "consent": "yes"}
            thanks = visitor.post(f"{home}/feedback/", files=sent(form))
            assert thanks.status_code == 200, thanks.text
            kept.append(re.findall(r"/feedback/yours#([\w-]+)", thanks.text)[0])
        form = hidden(pages[2], "/feedback/") | {"right": "ship", "consent": "yes"}
        for _ in range(2):
            refused = visitor.post(f"{home}/feedback/", files=sent(form))
            assert refused.status_code == 429, "both count together how often a visitor came"

        sites.kill(0)
        assert hidden(classify(), "/feedback/")["seal"]
        for ticket in kept:
            found = visitor.post(
                f"{home}/feedback/kept", files=sent({"csrf_token": token, "ticket": ticket})
            )
            assert found.status_code == 200 and "What is kept" in found.text, "nothing is lost"
        for page in ("/", "/models/", "/gallery/", "/readyz"):
            for _ in range(3):
                assert visitor.get(home + page).status_code == 200
