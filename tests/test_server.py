"""The site under gunicorn, as `make serve` runs it: two workers, real sockets."""

from __future__ import annotations

import http.client
import re

import pytest

from tests import pictures


@pytest.fixture
def connection(address: str) -> http.client.HTTPConnection:
    """A connection of its own, so that each request may reach another worker."""
    return connect(address)


def connect(address: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)


def upload(data: bytes, token: str = "") -> tuple[bytes, dict[str, str]]:
    def part(name: str, more: str, content: bytes) -> bytes:
        head = f'--limit\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
        return head.encode() + content + b"\r\n"

    sent = part("csrf_token", "", token.encode()) if token else b""
    body = sent + part("image", '; filename="a.jpg"', data)
    return body + b"--limit--\r\n", {"Content-Type": "multipart/form-data; boundary=limit"}


def test_a_form_of_one_worker_is_taken_by_the_other(address: str) -> None:
    # Both sign with the key that the first of them made.
    for _ in range(6):
        first = connect(address)
        first.request("GET", "/")
        response = first.getresponse()
        cookie = str(response.headers["Set-Cookie"]).partition(";")[0]
        token = re.search(r'name="csrf_token" value="([^"]+)"', response.read().decode())
        first.close()
        assert token
        body, headers = upload(pictures.jpeg(), token[1])
        second = connect(address)
        second.request("POST", "/", body, headers | {"Cookie": cookie})
        assert second.getresponse().status == 200
        second.close()


def test_an_upload_over_the_limit_is_answered_and_not_cut_off(
    connection: http.client.HTTPConnection,
) -> None:
    # A server that stops reading resets the connection, and the visitor never sees why.
    body, headers = upload(bytes(101 * 1024 * 1024))
    connection.request("POST", "/", body, headers)
    response = connection.getresponse()
    assert response.status == 413
    assert "the most is 20 MB a photo and 100 MB together" in response.read().decode()
    connection.close()


def test_an_upload_that_stops_half_way_holds_nobody_else_up(address: str) -> None:
    body, headers = upload(pictures.jpeg())
    stuck = connect(address)
    stuck.putrequest("POST", "/")
    for name, value in (headers | {"Content-Length": str(len(body))}).items():
        stuck.putheader(name, value)
    stuck.endheaders()
    stuck.send(body[: len(body) // 2])
    other = connect(address)
    other.request("GET", "/livez")
    assert other.getresponse().status == 200
    other.close()
    stuck.close()
