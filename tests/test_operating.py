"""What an operator sees: counts and times, numbered requests, log lines, headers, settings."""

from __future__ import annotations

import dataclasses
import http.client
import io
import json
import logging
import re
import runpy
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import TestResponse

from model_training.bundles.bundle import Bundle
from model_training.explaining.methods import METHODS
from tests import pictures, server
from tests.conftest import PROJECT
from tests.test_server import upload
from webapp import create_app, static_files
from webapp.library import load_library
from webapp.settings import SettingError


def get(client: FlaskClient, address: str, **options: Any) -> TestResponse:
    """An answer that has been read to its end and closed, as a browser would."""
    answer = client.get(address, **options)
    answer.get_data()
    answer.close()
    return answer


Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def series(text: str) -> Series:
    """Every sample of Prometheus' text format."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Series, name: str, **labels: str) -> float:
    return found.get((f"tenclasses_{name}", frozenset(labels.items())), 0.0)


# Counts and times.


def test_requests_predictions_and_refusals_are_counted(site: Flask) -> None:
    client = site.test_client()
    before = series(client.get("/metrics").get_data(as_text=True))
    for data in (pictures.jpeg(), pictures.jpeg(), pictures.truncated_jpeg()):
        client.post("/api/classify", data=data, content_type="image/jpeg")
    client.post("/", data={"image": (io.BytesIO(pictures.svg()), "a.svg")})
    client.get("/nowhere")
    client.open("/nowhere", method="BREW")
    after = series(client.get("/metrics").get_data(as_text=True))

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    asked = {"method": "POST", "endpoint": "api.classify"}
    assert grown("requests_total", **asked, status="200") == 2
    assert grown("requests_total", **asked, status="422") == 1
    assert grown("requests_total", method="GET", endpoint="nothing", status="404") == 1
    assert grown("requests_total", method="other", endpoint="nothing", status="404") == 1
    verdicts = ("known", "unsure", "stranger")
    assert sum(grown("predictions_total", model="tiny", verdict=one) for one in verdicts) == 2
    for code, count in (("damaged-photo", 1), ("not-an-image", 1), ("not-found", 2)):
        assert grown("refusals_total", code=code) == count
    assert grown("stage_seconds_count", stage="decode") == 3, "an SVG is not even begun"
    assert grown("stage_seconds_count", stage="network") == 2
    assert grown("stage_seconds_count", stage="render") >= 2
    assert value(after, "requests_in_progress") == 1, "the one that reads them"


def test_photos_that_are_kept_are_counted_unless_their_database_is_down(
    tiny_site: Callable[..., Flask],
) -> None:
    working = series(get(tiny_site().test_client(), "/metrics").get_data(as_text=True))
    assert working[("tenclasses_feedback_rows", frozenset())] == 0
    app = tiny_site(DATABASE_URL="sqlite:////nowhere/at/all.sqlite")
    answer = get(app.test_client(), "/metrics")
    assert answer.status_code == 200 and b"feedback_rows" not in answer.get_data()


def test_an_answer_says_what_its_time_went_into(site: Flask) -> None:
    photo = {"image": (io.BytesIO(pictures.jpeg()), "a.jpg")}
    answer = site.test_client().post("/", data=photo)
    stages = re.findall(r"(\w+);dur=[\d.]+", answer.headers["Server-Timing"])
    assert stages == ["receive", "wait", "decode", "network", "render"]


def test_the_map_of_an_answer_is_time_of_the_network(
    site: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = load_library(site).classifiers["tiny"]
    method = METHODS[classifier.quick_method]

    def slowly(*asked: Any) -> Any:
        time.sleep(0.3)
        return method.explain(*asked)

    slow = {classifier.quick_method: dataclasses.replace(method, explain=slowly)}
    monkeypatch.setattr("webapp.serving.classifier.METHODS", dict(METHODS) | slow)
    photo = {"image": (io.BytesIO(pictures.jpeg()), "a.jpg")}
    answer = site.test_client().post("/", data=photo)
    (network,) = re.findall(r"network;dur=([\d.]+)", answer.headers["Server-Timing"])
    assert float(network) >= 300


def test_only_this_machine_reads_the_counts_or_who_has_the_token(
    tiny_site: Callable[..., Flask],
) -> None:
    def status(app: Flask, address: str = "127.0.0.1", **headers: str) -> int:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        environ = {"REMOTE_ADDR": address}
        return app.test_client().get("/metrics", headers=named, environ_base=environ).status_code

    plain = tiny_site()
    assert status(plain) == 200 and status(plain, "::1") == 200
    assert status(plain, "10.0.0.7") == 404 and status(plain, "") == 404
    assert status(plain, X_Forwarded_For="10.0.0.7") == 404, "it came through a proxy"
    guarded = tiny_site(METRICS_TOKEN="long-and-secret")
    assert status(guarded) == 404
    assert status(guarded, Authorization="Bearer wrong") == 404
    assert status(guarded, "10.0.0.7", Authorization="Bearer long-and-secret") == 200


# Numbers of requests.


def test_every_answer_has_a_number_of_its_own(site: Flask) -> None:
    client = site.test_client()
    numbers = [
        get(client, address).headers["X-Request-Id"]
        for address in ("/", "/nowhere", "/livez", "/v2/nothing", "/static/site.css")
    ]
    assert len(set(numbers)) == 5 and all(re.fullmatch("[0-9a-f]{32}", one) for one in numbers)
    given = client.get("/livez", headers={"X-Request-Id": "from-the-proxy.17"})
    assert given.headers["X-Request-Id"] == "from-the-proxy.17"
    for bad in ("short", "x" * 65, "with space in it", 'quoted"quoted"'):
        answer = client.get("/livez", headers={"X-Request-Id": bad})
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-Id"])


def test_what_breaks_is_logged_under_the_number_that_the_page_names(
    tiny_site: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    app = tiny_site(TESTING=False)

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("a fault of ours")

    for accept in ("text/html", "application/json"):
        caplog.clear()
        answer = app.test_client().get("/broken", headers={"Accept": accept})
        number = answer.headers["X-Request-Id"]
        assert answer.status_code == 500
        assert f"It was logged as {number}." in answer.get_data(as_text=True)
        assert [vars(one)["request_id"] for one in caplog.records if one.exc_info] == [number]


class _Broken(io.BytesIO):
    """A body of which the server finds that it is not divided into chunks as it should be."""

    def read(self, _size: int | None = -1, /) -> bytes:
        raise RuntimeError("a server's own error")


def status_of(site: Flask, address: str, body: io.BytesIO) -> int:
    """Return how `address` answers a form with this `body`."""
    return (
        site.test_client()
        .post(
            address,
            input_stream=body,
            content_type="multipart/form-data; boundary=x",
            environ_overrides={"wsgi.input_terminated": True},
        )
        .status_code
    )


@pytest.mark.parametrize("address", ["/", "/api/classify", "/v2/models/tiny/infer", "/feedback/"])
def test_a_body_that_breaks_is_the_senders_fault(
    address: str, site: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    assert status_of(site, address, _Broken()) == 400
    assert not [one for one in caplog.records if one.exc_info], "no traceback"


class _Stalled(io.BytesIO):
    """A body of which nothing more comes."""

    def read(self, _size: int | None = -1, /) -> bytes:
        raise TimeoutError


@pytest.mark.parametrize("address", ["/", "/api/classify", "/v2/models/tiny/infer", "/feedback/"])
def test_a_body_that_stalls_took_too_long(address: str, site: Flask) -> None:
    assert status_of(site, address, _Stalled()) == 408


@pytest.mark.parametrize("address", ["/", "/api/classify", "/v2/models/tiny/infer", "/feedback/"])
def test_an_upload_that_is_too_large_and_slow_too_is_called_too_large(
    address: str, site: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.operating.tracing.was_cut", lambda _environ: True)
    answer = site.test_client().post(
        address,
        content_type="multipart/form-data; boundary=x",
        environ_overrides={"CONTENT_LENGTH": str(2**30), "wsgi.input": io.BytesIO()},
    )
    assert answer.status_code == 413


def test_the_files_of_a_form_that_breaks_off_are_closed(site: Flask) -> None:
    body, headers = upload(bytes(600_000))
    with site.test_request_context("/", method="POST", headers=headers, data=body[:-1000]):
        assert not request.files
        (waiting,) = vars(request)["opened"]
        assert not waiting.closed
    assert waiting.closed


# Headers.


def test_pages_tell_the_browser_what_to_refuse(tiny_site: Callable[..., Flask]) -> None:
    headers = tiny_site().test_client().get("/").headers
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=(self)" in headers["Permissions-Policy"]
    assert "geolocation=()" in headers["Permissions-Policy"]
    secure = {"base_url": "https://localhost"}
    client = tiny_site(HSTS_SECONDS=3600).test_client()
    assert client.get("/", **secure).headers["Strict-Transport-Security"] == "max-age=3600"
    for answer in (client.get("/"), tiny_site().test_client().get("/", **secure)):
        assert "Strict-Transport-Security" not in answer.headers


def test_what_is_a_visitors_own_stays_out_of_shared_caches(site: Flask) -> None:
    client = site.test_client()
    site_with_tokens = {"Accept-Encoding": "gzip"}
    page = client.get("/", headers=site_with_tokens)
    assert page.headers["Cache-Control"] == "private, no-cache"
    assert "Content-Encoding" not in page.headers, "how well it compresses tells of the token"
    photo = {"image": (io.BytesIO(pictures.jpeg()), "a.jpg")}
    assert client.post("/", data=photo).headers["Cache-Control"] == "no-store"


def test_large_answers_are_compressed(site: Flask) -> None:
    client = site.test_client()
    for address in ("/gallery/", "/openapi.json", "/static/site.css"):
        small = get(client, address, headers={"Accept-Encoding": "gzip, br"})
        whole = get(client, address)
        assert small.headers["Content-Encoding"] in ("gzip", "br")
        assert len(small.get_data()) < len(whole.get_data()) / 2
        assert "Accept-Encoding" in small.headers["Vary"]


def test_static_files_are_named_by_what_is_in_them(site: Flask) -> None:
    client = site.test_client()
    page = client.get("/").get_data(as_text=True)
    (address,) = re.findall(r'href="(/static/site\.css\?v=[0-9a-f]{16})"', page)
    assert "immutable" in get(client, address).headers["Cache-Control"]
    for other in ("/static/site.css", address[:-1] + "-"):
        assert "immutable" not in get(client, other).headers["Cache-Control"]
    assert client.get("/static/nowhere.css?v=1").status_code == 404


def test_probes_may_ask_by_the_address_of_the_machine(tiny_site: Callable[..., Flask]) -> None:
    client = tiny_site(TRUSTED_HOSTS=".one.example two.example").test_client()
    for address, status in (("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/about", 400)):
        assert client.get(address, base_url="http://10.0.0.7:8000").status_code == status


def test_a_static_file_is_read_once_however_its_address_is_spelt(
    tiny_site: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def digest(path: Path) -> str:
        read.append(path)
        return "digest"

    monkeypatch.setattr(static_files, "_digest", digest)
    client = tiny_site().test_client()
    for detour in ("", "x1/../", "x2/y/../../", "./", "x%00/../"):
        assert get(client, f"/static/{detour}site.css?v=a").status_code == 200, detour
    assert len(read) == 1


def test_the_site_answers_under_its_own_names_only(tiny_site: Callable[..., Flask]) -> None:
    client = tiny_site(TRUSTED_HOSTS="one.example .two.example localhost").test_client()
    before = series(client.get("/metrics").get_data(as_text=True))
    for host, status in (
        ("one.example", 200),
        ("www.two.example", 200),
        ("www.one.example", 400),
        ("three.example", 400),
    ):
        assert client.get("/about", base_url=f"http://{host}").status_code == status
    after = series(client.get("/metrics").get_data(as_text=True))
    refused = [value(one, "refusals_total", code="bad-request") for one in (before, after)]
    assert refused[1] - refused[0] == 2


# Settings and the log.


@pytest.mark.parametrize("key", ["", "short", "\n"], ids=["empty", "short", "a line"])
def test_a_key_that_can_be_guessed_is_refused(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret_key").write_text(key)
    with pytest.raises(SettingError, match="Delete it, and a new one is made"):
        create_app(instance_path=tmp_path)
    (tmp_path / "secret_key").unlink()
    monkeypatch.setenv("TENCLASSES_SECRET_KEY", key)
    with pytest.raises(SettingError, match="16 characters at least"):
        create_app(instance_path=tmp_path)


@pytest.mark.parametrize("command", [["flask", "models", "list"], ["gunicorn", "wsgi:app"]])
def test_a_wrong_setting_is_one_sentence(command: list[str], tmp_path: Path) -> None:
    environment = {"TENCLASSES_MAX_PHOTOS": "many", "BIND": f"unix:{tmp_path}/socket"}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=PROJECT,
        env={"PATH": "", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "Error: MAX_PHOTOS must be a whole number from 1, not 'many'." in said
    assert "Traceback" not in said


def test_a_log_line_is_json_without_what_a_visitor_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "json")
    configured = runpy.run_path(str(PROJECT / "gunicorn.conf.py"))
    assert configured["logconfig_dict"]["root"]["level"] == "INFO"
    lines = configured["JsonLines"]()
    failed = logging.LogRecord("webapp", logging.ERROR, "x.py", 1, "model %s", ("a\nb",), None)
    failed.request_id = "17"
    told = json.loads(lines.format(failed))
    assert (told["message"], told["level"], told["request_id"]) == ("model a\nb", "error", "17")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told["time"])


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("operated") / "log"


@pytest.fixture(scope="module")
def operated(log: Path, tiny_bundle: Bundle) -> Iterator[str]:
    """Two workers with a small model, whose log is JSON; gives their address."""
    assert tiny_bundle.model_path is not None
    models = tiny_bundle.model_path.parent.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOG_FORMAT", "json")
        patch.delenv("TF_CPP_MIN_LOG_LEVEL")  # with which these tests let TensorFlow talk
        with server.running(log, MODELS_FOLDER=models, DEFAULT_MODEL="tiny") as address:
            yield address.removeprefix("http://")


def ask(address: str, method: str, path: str, *body: Any) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request(method, path, *body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.headers)
    finally:
        connection.close()


def logged(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_two_workers_count_together(operated: str) -> None:
    before = series(ask(operated, "GET", "/metrics")[1])
    for _ in range(20):
        assert ask(operated, "GET", "/livez")[0] == 200
    after = series(ask(operated, "GET", "/metrics")[1])
    labels = {"method": "GET", "endpoint": "health.livez", "status": "200"}
    grown = value(after, "requests_total", **labels) - value(before, "requests_total", **labels)
    assert grown == 20
    assert value(after, "requests_in_progress") == 1


def test_the_start_says_which_models_loaded_in_how_many_seconds(operated: str, log: Path) -> None:
    said = " ".join(line.get("message", "") for line in logged(log))
    assert re.search(r"model tiny loaded in \d+\.\d s", said)
    assert re.search(r"1 of 1 models can answer, after \d+\.\d s", said)


def test_each_request_is_a_line_without_its_photo_and_its_query(operated: str, log: Path) -> None:
    body, headers = upload(pictures.jpeg())
    status, _answer, answered = ask(
        operated, "POST", "/api/classify?model=tiny", body, headers | {"Referer": "/x?secret"}
    )
    assert status == 200
    deadline = time.monotonic() + 10  # the line is written behind the answer
    while not (lines := [one for one in logged(log) if one.get("path") == "/api/classify"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (line,) = lines
    assert line["request_id"] == answered["X-Request-Id"]
    assert (line["method"], line["status"]) == ("POST", 200)
    assert line["milliseconds"] >= 0 and "receive;dur=" in line["stages"]
    assert "secret" not in log.read_text() and "model=tiny" not in log.read_text()


@pytest.mark.parametrize("path", ["/", "/api/classify", "/v2/models/tiny/infer"])
def test_a_bad_chunk_is_a_400_without_a_traceback(path: str, operated: str, log: Path) -> None:
    host, _, port = operated.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: {operated}\r\nTransfer-Encoding: chunked\r\n"
        head += "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        connection.sendall(head.encode() + b"zz\r\nnot a chunk\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert "Traceback" not in log.read_text()
