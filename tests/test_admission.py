"""However much is sent, pages are answered: what is too much is refused at once, and says so."""

from __future__ import annotations

import http.client
import io
import runpy
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from flask import Flask

from tests import pictures, server
from tests.page_client import PageClient
from tests.server import PROJECT
from tests.test_operating import series, value
from webapp.limits.admission import Admission
from webapp.operating import arrivals
from webapp.operating import worker as workers

WORK = ("/", "/again", "/card", "/feedback/", "/api/classify", "/v2/models/tiny/infer")
PREDICT = "/v1/models/tiny:predict"
PAGES = ("/", "/models/", "/gallery/", "/livez", "/readyz", "/metrics", "/v2/health/ready")


def admission_of(app: Flask) -> Admission:
    admission: Admission = app.extensions["admission"]
    return admission


@contextmanager
def all_taken(semaphore: object) -> Iterator[None]:
    """Nothing of `semaphore` is free meanwhile."""
    with ExitStack() as taken:
        while semaphore.acquire(blocking=False):  # type: ignore[attr-defined]
            taken.callback(semaphore.release)  # type: ignore[attr-defined]
        yield


def photo() -> dict[str, object]:
    return {"image": (io.BytesIO(pictures.jpeg()), "a.jpg")}


class _NotToBeRead(io.BytesIO):
    def read(self, _size: int | None = -1, /) -> bytes:
        raise AssertionError("what is refused is not even read")


@pytest.mark.parametrize("address", [*WORK, PREDICT])
def test_what_is_too_much_is_refused_before_it_is_read(address: str, site: Flask) -> None:
    with all_taken(admission_of(site).places):
        answer = site.test_client().post(
            address, input_stream=_NotToBeRead(), content_length=1000, content_type="image/jpeg"
        )
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "as many requests as it can" in answer.get_data(as_text=True)


def test_a_refusal_is_a_page_with_the_form_for_visitors_and_json_for_programs(
    site: Flask, client: PageClient
) -> None:
    with all_taken(admission_of(site).places):
        page = client.post("/", data=photo())
        api = client.plain.post("/api/classify", data=photo()).get_json()
        protocols = [client.plain.post(one, json={}).get_json() for one in (WORK[-1], PREDICT)]
    assert 'type="file"' in page.html and "in a few seconds" in page.text
    assert (api["error"]["status"], api["error"]["code"]) == (503, "overloaded")
    assert all(isinstance(one["error"], str) for one in protocols)


@pytest.mark.parametrize(
    ("address", "words"),
    [("/feedback/", "photo was not kept"), ("/feedback/take-back", "it is still kept")],
)
def test_a_form_about_a_kept_photo_is_told_what_became_of_it(
    address: str, words: str, site: Flask, client: PageClient
) -> None:
    with all_taken(admission_of(site).places):
        page = client.post(address, data=photo())
    assert page.status == 503 and words in page.text and "go back" in page.text


def test_one_client_does_not_take_all_places() -> None:
    admission = Admission(admitted=10, at_work=3, seconds=1)
    assert [admission.enter("greedy") for _ in range(8)] == [True] * 6 + [False] * 2
    assert [admission.enter(name) for name in ("one", "one", "two", "three")] == [True] * 4
    assert not admission.enter("four"), "now all are taken"
    admission.leave("one")
    assert not admission.enter("greedy")
    assert admission.enter("four")
    for name in ["greedy"] * 6:
        admission.leave(name)
    assert admission.enter("greedy")


@pytest.mark.parametrize("taken", ["places", "turns"])
def test_pages_are_answered_though_no_more_work_is_taken(
    taken: str, site: Flask, client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission_of(site), "seconds", 0.01)
    with all_taken(getattr(admission_of(site), taken)):
        for address in PAGES:
            assert client.fetch(address).status_code == 200, address
        # These look like pages, and ask the network.
        for address in ("/?example=3", "/?photo=teapot"):
            assert client.fetch(address).status_code == 503, address


@pytest.mark.parametrize(
    ("address", "form", "status"),
    [
        ("/", photo, 200),
        ("/api/classify", photo, 200),
        ("/api/classify", dict, 415),
        ("/", lambda: {"image": (io.BytesIO(bytes(101 * 1024**2)), "a.jpg")}, 413),
        ("/nowhere", photo, 404),
        ("/broken", photo, 500),
    ],
)
def test_however_a_request_ends_its_place_is_free_again(
    address: str,
    form: Callable[[], dict[str, object]],
    status: int,
    tiny_site: Callable[..., Flask],
) -> None:
    app = tiny_site(WORK_ADMITTED=1, WORK_AT_ONCE=1, TESTING=False, PROPAGATE_EXCEPTIONS=False)

    @app.post("/broken")
    def broken() -> str:
        raise RuntimeError("a fault of ours")

    for _ in range(2):
        assert app.test_client().post(address, data=form()).status_code == status


@pytest.mark.parametrize("address", ["/", "/api/classify"])
def test_who_waits_until_the_deadline_is_told_when_to_come_again(
    address: str, tiny_site: Callable[..., Flask]
) -> None:
    app = tiny_site()
    admission_of(app).seconds = 0.05
    client = app.test_client()
    before = series(client.get("/metrics").get_data(as_text=True))
    with all_taken(admission_of(app).turns):
        answer = client.post(address, data=photo())
    after = series(client.get("/metrics").get_data(as_text=True))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "too busy to have handled this request" in answer.get_data(as_text=True)
    label = {"code": "too-late"}
    assert value(after, "refusals_total", **label) == value(before, "refusals_total", **label) + 1
    assert value(after, "admitted") == value(before, "admitted") == 0


def test_threads_are_left_for_the_pages(site: Flask) -> None:
    threads = runpy.run_path(str(PROJECT / "gunicorn.conf.py"))["threads"]
    assert site.config["WORK_ADMITTED"] <= threads - 4
    assert site.config["WORK_AT_ONCE"] <= site.config["WORK_ADMITTED"]


# Clients that send slowly, with a real server.


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A server without models that waits for two seconds for a request; gives host and port."""
    folder = tmp_path_factory.mktemp("impatient")
    with server.running(
        folder / "log",
        ready="/livez",
        environment={"RECEIVE_SECONDS": "2"},
        MODELS_FOLDER=folder / "none",
    ) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        yield host, int(port)


HALF_A_FORM = (
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=limit\r\n"
    b"Content-Length: 200000\r\n\r\n"
) + bytes(1000)


def test_fifty_who_send_half_a_photo_keep_nobody_out(impatient: tuple[str, int]) -> None:
    with ExitStack() as all_of_them:
        for _ in range(50):
            one = all_of_them.enter_context(socket.create_connection(impatient, timeout=60))
            one.sendall(HALF_A_FORM)
        begun = time.monotonic()
        for page in ("/about", "/livez", "/about"):
            visitor = http.client.HTTPConnection(*impatient, timeout=60)
            visitor.request("GET", page)
            assert visitor.getresponse().status == 200
            visitor.close()
        assert time.monotonic() - begun < 30, "they would be waited for without end"


def test_who_sends_too_slowly_is_told_so(impatient: tuple[str, int]) -> None:
    with socket.create_connection(impatient, timeout=60) as slow:
        slow.sendall(HALF_A_FORM)
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_body_is_waited_for_longer_than_the_reader_of_an_answer() -> None:
    here, there = socket.socketpair()
    waits = []
    served = workers.patient(lambda _environ, _start: waits.append(here.gettimeout()))
    with here, there:
        served({"gunicorn.socket": here}, lambda *_: None)
        waits.append(here.gettimeout())
    assert waits == [arrivals.REQUEST_SECONDS, workers.SEND_SECONDS]


def test_half_a_head_is_not_waited_for(impatient: tuple[str, int]) -> None:
    with socket.create_connection(impatient, timeout=60) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert slow.recv(100) == b""


def test_who_is_refused_can_read_why_though_the_photo_is_large(
    impatient: tuple[str, int],
) -> None:
    with ExitStack() as all_of_them:
        for _ in range(40):
            one = all_of_them.enter_context(socket.create_connection(impatient, timeout=60))
            one.sendall(HALF_A_FORM)
        visitor = http.client.HTTPConnection(*impatient, timeout=60)
        visitor.request("POST", "/api/classify", bytes(8_000_000), {"Content-Type": "image/jpeg"})
        assert visitor.getresponse().status == 503
        visitor.close()


def test_those_who_never_read_their_answer_take_no_more_than_so_many_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "CLOSE_SECONDS", 1.0)
    worker = workers.Worker.__new__(workers.Worker)
    with ThreadPoolExecutor(1) as worker._closers, ExitStack() as clients:
        worker._closing = threading.BoundedSemaphore(2)
        ours = []
        for _ in range(3):
            one, theirs = socket.socketpair()
            clients.enter_context(theirs)
            ours.append(one)
            worker._close_later(one)
        assert [one.fileno() == -1 for one in ours] == [False, False, True]
    assert all(one.fileno() == -1 for one in ours), "the others too, when they have had their time"
    assert worker._closing.acquire(blocking=False)
