"""A test client that looks at every page it gets as a browser and a screen reader would."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}


@dataclass
class Page:
    """One answer; `text` is what a reader sees, with white space folded."""

    status: int
    html: str
    text: str
    headers: Any


class PageClient:
    """Wraps Flask's client; `get` and `post` give checked pages."""

    def __init__(self, client: FlaskClient) -> None:
        self.plain = client

    def get(self, address: str, **options: Any) -> Page:
        return check(self.plain.get(address, **options))

    def fetch(self, address: str, **options: Any) -> TestResponse:
        """Any file: read to its end and closed, as a browser would."""
        response = self.plain.get(address, **options)
        response.get_data()
        response.close()
        return response

    def post(self, address: str, **options: Any) -> Page:
        return check(self.plain.post(address, **options))


def check(response: TestResponse) -> Page:
    """Fail unless `response` is a sound HTML page; give it back as a Page."""
    assert response.mimetype == "text/html", response.mimetype
    source = response.get_data(as_text=True)
    parser = _Strict()
    parser.feed(source)
    parser.close()
    assert not parser.open, f"never closed: {parser.open}"
    assert parser.titles == 1, "a page has one title"
    assert parser.headings == 1, "a page has one h1"
    repeated = {name for name in parser.ids if parser.ids.count(name) > 1}
    assert not repeated, f"repeated ids: {repeated}"
    missing = (parser.labels | parser.described) - set(parser.ids)
    assert not missing, f"named, but not there: {missing}"
    assert "style=" not in source and "onclick=" not in source, "the security policy forbids it"
    text = re.sub(r"<(script|style|head)\b.*?</\1>", " ", source, flags=re.S)
    text = html.unescape(re.sub(r"<[^>]+>", " ", text))
    return Page(response.status_code, source, " ".join(text.split()), response.headers)


class _Strict(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.labels: set[str] = set()
        self.described: set[str] = set()
        self.titles = 0
        self.headings = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look(tag, dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look(tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def _look(self, tag: str, attributes: dict[str, str | None]) -> None:
        if "id" in attributes:
            self.ids.append(attributes["id"] or "")
        for name in ("aria-describedby", "aria-labelledby"):
            self.described.update((attributes.get(name) or "").split())
        self.titles += tag == "title" and "svg" not in self.open
        self.headings += tag == "h1"
        if tag == "html":
            assert attributes.get("lang"), "a page names its language"
        if tag == "img":
            assert attributes.get("alt") is not None, "an image has a text, if an empty one"
        if tag == "form":
            assert attributes.get("action"), "a form has an action"
        if tag == "label":
            self.labels.add(attributes["for"] or "")
        if tag == "th":
            assert attributes.get("scope") in ("col", "row", "rowgroup"), (
                "a heading says what it heads"
            )


class ClosingClient(FlaskClient):
    """Reads every answer to its end and closes it, as a browser does, and with it what was sent.

    Werkzeug leaves the file in which a large form waits to the garbage collector, which closes it
    in the middle of another test, with a warning.
    """

    def open(self, *asked: Any, **options: Any) -> TestResponse:
        """Ask for an answer."""
        answer = super().open(*asked, **options)
        answer.get_data()
        answer.close()
        answer.request.input_stream.close()
        return answer
