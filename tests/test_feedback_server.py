"""Feedback under gunicorn, with two workers: a row for each thanks, and no ticket in a log."""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests import pictures, postgresql, server
from tests.conftest import make_site
from tests.test_feedback_database import open_store
from webapp.feedback.forms import Seen, seal

LIMIT, POSTS, VISITORS = 300, 400, 32
PATIENCE = 240  # seconds in which a visitor who is told that the site is busy tries again
KEY = secrets.token_hex(16)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'feedback.sqlite'}"
    elif postgresql.INITDB is None:
        pytest.skip("PostgreSQL is not installed")
    else:
        with postgresql.cluster() as cluster:
            yield cluster.url()


@contextmanager
def site(url: str, folder: Path) -> Iterator[str]:
    """A site that has no model, so it starts fast; forms need none."""
    settings = {
        "DATABASE_URL": url,
        "SECRET_KEY": KEY,
        "MODELS_FOLDER": folder / "no-models",
        "FEEDBACK_LIMIT": LIMIT,
        "FEEDBACK_HOURLY": POSTS,
        "FEEDBACK_HOURLY_CLIENT": POSTS,
        "WORK_ADMITTED": 2 * VISITORS,  # all of one client
    }
    with server.running(folder / "log", ready="/livez", **settings) as address:
        yield address


def sealed_forms(number: int, folder: Path) -> list[dict[str, str]]:
    """Forms as they stand beside answers, sealed with the site's key."""
    app = make_site(folder, SECRET_KEY=KEY)
    photo = base64.b64encode(pictures.jpeg(640, 480)).decode()
    seen = {
        "model": "tiny",
        "model_title": "Tiny",
        "shares": [("deer", 0.75), ("ship", 0.25)],
        "novelty": 0.5,
        "verdict": "known",
        "photo_uri": f"data:image/jpeg;base64,{photo}",
    }
    with app.test_request_context():
        return [
            {
                "seal": seal(Seen(ticket=secrets.token_urlsafe(24), **seen)),  # type: ignore[arg-type]
                "photo": str(seen["photo_uri"]),
                "right": "ship",
                "consent": "yes",
            }
            for _ in range(number)
        ]


def test_of_400_posts_at_once_exactly_those_are_kept_that_were_thanked(
    url: str, tmp_path: Path
) -> None:
    forms = sealed_forms(POSTS, tmp_path / "app")
    with site(url, tmp_path) as address:
        with requests.Session() as visitor:
            page = visitor.get(f"{address}/feedback/yours").text
            cookies = visitor.cookies.get_dict()
        token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page)
        assert token

        def post(form: dict[str, str]) -> requests.Response:
            # As multipart, like a browser; on a connection of its own, so to any worker.
            fields = {
                name: (None, value) for name, value in (form | {"csrf_token": token[1]}).items()
            }
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                answer = requests.post(
                    f"{address}/feedback/", files=fields, cookies=cookies, timeout=120
                )
                # On a very busy machine some are told to send it again, and do.
                if answer.status_code != 503:
                    break
                assert "Traceback" not in answer.text
                time.sleep(0.1)
            return answer

        with ThreadPoolExecutor(VISITORS) as visitors:
            answers = list(visitors.map(post, forms))
        said = Counter(answer.status_code for answer in answers)
        assert said == {200: LIMIT, 507: POSTS - LIMIT}
        assert all("was not kept" in answer.text for answer in answers if answer.status_code == 507)

        thanked = [
            re.search(r'class="kept-link" href="/feedback/yours#([\w-]+)"', answer.text)
            for answer in answers
            if answer.status_code == 200
        ]
        tickets = [found[1] for found in thanked if found]
        assert len(set(tickets)) == LIMIT
        fields = {"ticket": tickets[0], "csrf_token": token[1]}
        shown = visitor.post(f"{address}/feedback/kept", data=fields)
        assert shown.status_code == 200
        gone = visitor.post(f"{address}/feedback/take-back", data=fields)
        assert gone.status_code == 200
    store = open_store(url)
    assert len(store.entries()) == LIMIT - 1
    assert store.find(tickets[0]) is None
    assert all(store.find(ticket) for ticket in tickets[1:])
    store.database.engine.dispose()
    log = (tmp_path / "log").read_text()
    assert log.count('"POST /feedback/" ') >= POSTS
    assert not [ticket for ticket in tickets if ticket in log]
