"""Faults while the site runs: nothing is lost, nobody sees a traceback, and what is said is clear.

Others stand beside what they break: the database locked, gone, damaged, on a full or read-only disk
(`test_feedback`, `test_feedback_database`), a damaged bundle or data set (`test_site`,
`test_served_data_sets`), a decoder that is killed (`test_decoders`), one of two
machines (`test_two_sites`).
"""

from __future__ import annotations

import http.client
import io
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from model_training.bundles.bundle import Bundle
from tests import pictures, server
from tests.conftest import make_site
from tests.page_client import PageClient
from tests.test_feedback import form_of, send
from tests.test_operating import ask, series, value
from tests.test_server import upload

PATIENCE = 300.0  # seconds; on a busy machine a worker takes minutes to start


def small(bundle: Bundle) -> dict[str, Any]:
    """Settings of a server with one small model."""
    assert bundle.model_path is not None
    return {"MODELS_FOLDER": bundle.model_path.parent.parent, "DEFAULT_MODEL": "tiny"}


def until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_killed_worker_and_a_server_that_is_stopped_lose_no_answer(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    body, headers = upload(pictures.jpeg())

    def workers() -> list[int]:
        return [int(one) for one in re.findall(r"Booting worker with pid: (\d+)", log.read_text())]

    with ExitStack() as half_sent:
        with server.running(log, **small(tiny_bundle)) as address:
            host = address.removeprefix("http://")

            def classify() -> int:
                return ask(host, "POST", "/api/classify", body, headers)[0]

            assert classify() == 200
            os.kill(workers()[0], signal.SIGKILL)
            # The other one answers, and a new one takes the place.
            assert [classify() for _ in range(10)] == [200] * 10
            until(lambda: len(workers()) == 3)
            assert log.read_text().count("Imported in") == 1, "what takes long is there already"
            until(lambda: log.read_text().count("models can answer") == 3)

            before = value(series(ask(host, "GET", "/metrics")[1]), "admitted")
            connections = []
            for _ in range(6):
                connection = http.client.HTTPConnection(host, timeout=PATIENCE)
                half_sent.callback(connection.close)
                connection.putrequest("POST", "/api/classify")
                for name, text in (headers | {"Content-Length": str(len(body))}).items():
                    connection.putheader(name, text)
                connection.endheaders(body[:100])
                connections.append(connection)
            until(lambda: value(series(ask(host, "GET", "/metrics")[1]), "admitted") == before + 6)
            os.kill(server_of(workers()[-1]), signal.SIGTERM)
            until(lambda: "Handling signal: term" in log.read_text())
            for connection in connections:
                connection.send(body[100:])
            answers = [connection.getresponse() for connection in connections]
            assert [answer.status for answer in answers] == [200] * 6
            assert all(b'"label"' in answer.read() for answer in answers)


def server_of(worker: int) -> int:
    """The process that started `worker`."""
    found = subprocess.check_output(["ps", "-o", "ppid=", "-p", str(worker)], text=True)
    return int(found)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nothing can be written, not even by root."""
    folder = tmp_path / "instance"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,ro", "none", str(folder)]
    mounted = shutil.which("mount") and not subprocess.run(mount, capture_output=True).returncode
    if not mounted:
        folder.chmod(0o500)
        if os.geteuid() == 0:
            pytest.skip("root can write anywhere, and cannot mount anything here")
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def test_on_a_read_only_instance_photos_are_answered_and_not_kept(
    read_only: Path, site: Flask
) -> None:
    app = make_site(read_only, SECRET_KEY="of-the-environment", FEEDBACK_HOURLY=1000)
    app.extensions["library"] = site.extensions["library"]
    client = PageClient(app.test_client())
    for address in ("/", "/models/", "/gallery/", "/about"):
        assert client.get(address).status == 200
    page = client.post("/", data={"image": (io.BytesIO(pictures.jpeg()), "a.jpg")})
    assert page.status == 200
    refused = send(client, form_of(page) | {"right": "deer", "consent": "yes"})
    assert refused.status == 503
    assert "your photo was not kept" in refused.text
    assert "Traceback" not in refused.html and str(read_only) not in refused.html
