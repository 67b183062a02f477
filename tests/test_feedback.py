"""A visitor says what a photo shows and agrees to have it kept; without that nothing is stored."""

from __future__ import annotations

import base64
import io
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from itsdangerous import URLSafeTimedSerializer
from PIL import ExifTags, Image
from sqlalchemy import event

from model_training.datasets.catalog.cifar10 import CLASSES
from model_training.datasets.dataset import ImageSet
from tests import pictures
from tests.page_client import Page, PageClient, check
from tests.test_upload import multipart
from webapp.answering.carried.photo_seal import FORM_BYTES
from webapp.feedback import prepare_at_start
from webapp.feedback.database import database_url
from webapp.feedback.entry import NONE_OF_THESE
from webapp.feedback.store import DAY, HOUR, Store
from webapp.limits.by_client import client as client_name
from webapp.settings import SettingError

Fields = dict[str, str]


@pytest.fixture
def app(tiny_site: Callable[..., Flask]) -> Flask:
    return tiny_site()


@pytest.fixture
def client(app: Flask) -> Iterator[PageClient]:
    with app.test_client() as plain:
        yield PageClient(plain)


def store_of(app: Flask) -> Store:
    kept: Store = app.extensions["feedback"]
    return kept


def answered(client: PageClient, photo: bytes, name: str = "IMG_4711.jpg") -> Fields:
    """The form beside the answer to `photo`, filled in."""
    page = client.post("/", data={"image": (io.BytesIO(photo), name)})
    assert page.status == 200
    return form_of(page) | {"right": "deer", "consent": "yes"}


def form_of(page: Page) -> Fields:
    """What the form about a photo carries."""
    inside = re.search(r'<form class="flag-form".*?</form>', page.html, re.S)
    assert inside
    return hidden(inside[0])


def hidden(html: str) -> Fields:
    """What the hidden fields in `html` carry."""
    tags = re.findall(r'<input [^>]*type="hidden"[^>]*>', html)
    return {attribute(tag, "name"): attribute(tag, "value") for tag in tags}


def attribute(tag: str, name: str) -> str:
    found = re.search(rf' {name}="([^"]*)"', tag)
    assert found, tag
    return found[1]


def chosen(page: Page) -> list[str]:
    """What is chosen in the form."""
    return re.findall(r'<option selected value="([^"]*)">', page.html)


def ticked(page: Page) -> bool:
    """Whether the visitor's consent is ticked."""
    (box,) = re.findall(r'<input [^>]*name="consent"[^>]*>', page.html)
    return " checked" in box


def send(client: PageClient, fields: Fields) -> Page:
    return client.post("/feedback/", data=fields, content_type="multipart/form-data")


def link_of(page: Page) -> str:
    found = re.search(r'class="kept-link" href="([^"]+)"', page.html)
    assert found
    return found[1]


def ticket_of(page: Page) -> str:
    """The part of the link that no browser sends."""
    return link_of(page).partition("#")[2]


def told_photo() -> bytes:
    """A photo that tells who took it, where, and with what."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera of Jane Doe"
    return pictures.jpeg(1200, 800, exif=exif, comment=b"at home")


def test_a_flag_keeps_the_photo_as_it_was_shown_and_what_was_said(
    app: Flask, client: PageClient
) -> None:
    fields = answered(client, told_photo())
    page = send(client, fields)
    assert page.status == 200
    assert "Thank you" in page.text
    (entry,) = store_of(app).entries()
    assert (entry.model, entry.right_class) == ("tiny", "deer")
    assert set(entry.probabilities) == set(CLASSES)
    assert entry.said == max(entry.probabilities, key=lambda name: entry.probabilities[name])
    assert sum(entry.probabilities.values()) == pytest.approx(1, abs=1e-4)
    assert abs(entry.kept_at - time.time()) < 60
    picture = store_of(app).picture(entry.id)
    assert picture == base64.b64decode(fields["photo"].partition(",")[2])
    kept = Image.open(io.BytesIO(picture))
    assert kept.size == (640, 427)
    assert not kept.getexif()


def test_nothing_about_the_visitor_is_in_the_database(app: Flask, client: PageClient) -> None:
    address = {"REMOTE_ADDR": "203.0.113.9"}
    fields = answered(client, told_photo(), name="holiday-of-jane.jpg")
    agent = {"User-Agent": "TellTale/1.0"}
    answer = client.plain.post("/feedback/", data=fields, headers=agent, environ_overrides=address)
    assert answer.status_code == 200
    stored = (Path(app.instance_path) / "feedback.sqlite").read_bytes()
    for trace in (b"Jane", b"jane", b"at home", b"203.0.113.9", b"TellTale", b"Exif"):
        assert trace not in stored, trace
    ticket = ticket_of(check(answer))
    assert ticket.encode() not in stored, "or who reads the database could take entries back"


def test_a_photo_that_was_only_answered_is_not_stored(app: Flask, client: PageClient) -> None:
    answered(client, pictures.jpeg())
    assert not (Path(app.instance_path) / "feedback.sqlite").exists()
    assert store_of(app).entries() == []


def test_to_agree_with_the_network_is_the_first_choice(client: PageClient) -> None:
    page = client.post("/", data={"image": (io.BytesIO(pictures.jpeg()), "cat.jpg")})
    (form,) = re.findall(r'<form class="flag-form".*?</form>', page.html, re.S)
    choices = re.findall(r'<option value="([^"]+)">([^<]+)</option>', form)
    value, text = choices[0]
    assert {name for name, _ in choices} == {*CLASSES, NONE_OF_THESE}
    assert text == f"{value.replace('-', ' ')}, as the network says"
    fields = form_of(page) | {"right": value, "consent": "yes"}
    assert "and so does the network" in send(client, fields).text


INCOMPLETE = {
    "no consent": ({"consent": ""}, "without your consent the photo is not kept"),
    "another consent": ({"consent": "no"}, "without your consent the photo is not kept"),
    "no class": ({"right": ""}, "Please choose what the photo shows"),
    "a class that is none": ({"right": "../../etc"}, "Please choose what the photo shows"),
}


@pytest.mark.parametrize(("change", "words"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_an_incomplete_form_comes_back_as_it_was_and_nothing_is_stored(
    change: Fields, words: str, app: Flask, client: PageClient
) -> None:
    fields = answered(client, pictures.jpeg())
    page = send(client, fields | change)
    assert page.status == 400
    assert words in page.text
    assert 'role="alert"' in page.html
    assert store_of(app).entries() == []
    again = form_of(page)
    assert again["photo"] == fields["photo"]
    assert (chosen(page) == ["deer"]) == ("right" not in change)
    assert ticked(page) == ("consent" not in change)
    assert send(client, again | {"right": "deer", "consent": "yes"}).status == 200


def other_photo() -> str:
    encoded = base64.b64encode(pictures.png(8, 8)).decode()
    return f"data:image/png;base64,{encoded}"


TAMPERED: dict[str, Fields] = {
    "no seal": {"seal": ""},
    "a forged seal": {"seal": "e30.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb"},
    "another photo": {"photo": other_photo()},
    "no photo": {"photo": ""},
    "a text": {"photo": "data:text/html;base64,PGI+"},
    "rubbish": {"photo": "data:image/jpeg;base64,%%%", "seal": "\x00"},
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED)
def test_a_tampered_form_is_refused(change: Fields, app: Flask, client: PageClient) -> None:
    page = send(client, answered(client, pictures.jpeg()) | change)
    assert page.status == 400
    assert "did not arrive as this site had made it, so nothing was stored" in page.text
    assert store_of(app).entries() == []


def test_a_form_that_an_earlier_version_sealed_is_refused_and_not_a_fault(
    app: Flask, client: PageClient
) -> None:
    fields = answered(client, pictures.jpeg())
    signer = URLSafeTimedSerializer(app.config["SECRET_KEY"], salt="feedback")
    content = signer.loads(fields["seal"])
    del content["verdict"]
    page = send(client, fields | {"seal": str(signer.dumps(content))})
    assert page.status == 400
    assert "nothing was stored" in page.text


def test_a_form_that_is_far_too_large_is_not_read(app: Flask, client: PageClient) -> None:
    body = multipart(b"x" * (FORM_BYTES + 1)).replace(b'; filename="a.jpg"', b"")
    page = client.post("/feedback/", data=body, content_type="multipart/form-data; boundary=x")
    assert page.status == 413
    assert store_of(app).entries() == []


def test_the_noisiest_photo_a_page_can_show_can_be_kept(app: Flask, client: PageClient) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (640, 640, 3), np.uint8)
    # As it travels: the test client would leave a file open that it makes for so large a form.
    body = multipart(pictures.encode(Image.fromarray(noise), "PNG"))
    page = client.post("/", data=body, content_type="multipart/form-data; boundary=x")
    fields = form_of(page) | {"right": "deer", "consent": "yes"}
    assert len(fields["photo"]) > 400_000
    assert send(client, fields).status == 200
    (entry,) = store_of(app).entries()
    assert len(store_of(app).picture(entry.id) or b"") < 320_000, "as the settings say"


@pytest.mark.parametrize("make", [pictures.one_pixel, pictures.very_wide])
def test_the_smallest_and_the_widest_photo_can_be_kept(
    make: Callable[[], bytes], app: Flask, client: PageClient
) -> None:
    assert send(client, answered(client, make())).status == 200
    (entry,) = store_of(app).entries()
    assert store_of(app).picture(entry.id)


def test_each_of_several_answers_has_a_form_of_its_own(app: Flask, client: PageClient) -> None:
    files = [(io.BytesIO(data), "a") for data in (pictures.jpeg(), pictures.png(40, 40))]
    page = client.post("/", data={"image": files})
    forms = re.findall(r'<form class="flag-form".*?</form>', page.html, re.S)
    assert len(forms) == 2
    second = form_of(Page(200, forms[1], "", {}))
    assert send(client, second | {"right": "none-of-these", "consent": "yes"}).status == 200
    (entry,) = store_of(app).entries()
    assert entry.right_class == "none-of-these"
    picture = store_of(app).picture(entry.id)
    assert picture is not None
    assert Image.open(io.BytesIO(picture)).size == (40, 40)


def test_sending_a_form_twice_keeps_one_entry_with_the_last_word(
    app: Flask, client: PageClient
) -> None:
    fields = answered(client, pictures.jpeg())
    send(client, fields)
    page = send(client, fields | {"right": "ship"})
    assert "shows a ship" in page.text
    assert [entry.right_class for entry in store_of(app).entries()] == ["ship"]


def test_the_link_shows_what_is_kept_and_takes_it_back(app: Flask, client: PageClient) -> None:
    thanks = send(client, answered(client, pictures.jpeg()))
    path, _, ticket = link_of(thanks).partition("#")
    asked = client.get(path)
    assert 'action="/feedback/kept"' in asked.html
    # A script fills in the ticket; without one a visitor pastes it, or the whole link.
    for pasted in (ticket, f" https://site{link_of(thanks)} ", f"https://site/feedback/{ticket}"):
        page = client.post("/feedback/kept", data={"ticket": pasted})
        assert page.status == 200
        assert "shows a deer" in page.text
        assert "no-store" in page.headers["Cache-Control"]
    fields = hidden(page.html)
    gone = client.post("/feedback/take-back", data=fields)
    assert gone.status == 200
    assert store_of(app).entries() == []
    for address in ("/feedback/kept", "/feedback/take-back"):
        after = client.post(address, data=fields)
        assert after.status == 404
        assert "the photo was deleted, or its time was up" in after.text


def test_no_address_carries_a_ticket(client: PageClient) -> None:
    page = send(client, answered(client, pictures.jpeg()))
    ticket = ticket_of(page)
    shown = client.post("/feedback/kept", data={"ticket": ticket})
    for html in (page.html, shown.html):
        addresses = re.findall(r' (?:href|action|src)="([^"]*)"', html)
        assert not [one for one in addresses if ticket in one.partition("#")[0]]
    old = client.plain.get(f"/feedback/{ticket}")
    assert old.status_code == 302
    assert old.headers["Location"] == f"/feedback/yours#{ticket}"


def test_what_is_no_link_is_said_to_be_none(client: PageClient) -> None:
    for text in ("", "hello", "https://elsewhere.example/", "x" * 65, "../../etc/passwd"):
        for address in ("/feedback/kept", "/feedback/take-back"):
            page = client.post(address, data={"ticket": text})
            assert page.status == 400
            assert "Please copy the whole link" in page.text


def test_what_is_deleted_is_gone_from_the_file_too(app: Flask, client: PageClient) -> None:
    fields = answered(client, pictures.jpeg(600, 400))
    send(client, fields)
    picture = base64.b64decode(fields["photo"].partition(",")[2])
    part = picture[len(picture) // 2 :][:200]
    file = Path(app.instance_path) / "feedback.sqlite"
    assert part in file.read_bytes()
    store_of(app).delete()
    assert part not in file.read_bytes()


def test_a_strangers_link_leads_nowhere(client: PageClient) -> None:
    assert client.post("/feedback/kept", data={"ticket": "x" * 32}).status == 404
    assert client.post("/feedback/take-back", data={"ticket": "x" * 32}).status == 404
    assert client.plain.get("/feedback/%00").status_code == 302


# When it cannot be kept


def kept_form(page: Page, fields: Fields) -> bool:
    """Whether the form came back as it was filled in."""
    return form_of(page)["photo"] == fields["photo"] and chosen(page) == ["deer"] and ticked(page)


def test_a_locked_database_is_said_and_nothing_is_lost(
    client: PageClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = answered(client, pictures.jpeg())
    assert send(client, answered(client, pictures.png())).status == 200
    event.listen(
        store_of(app).database.engine, "connect", lambda c, _: c.execute("PRAGMA busy_timeout=50")
    )
    other = sqlite3.connect(Path(app.instance_path) / "feedback.sqlite")
    other.execute("BEGIN EXCLUSIVE")
    page = send(client, fields)
    assert page.status == 503
    assert "The store of photos is busy at the moment" in page.text
    assert page.headers["Retry-After"] == "5"
    assert kept_form(page, fields)
    other.close()
    again = form_of(page) | {"right": "deer", "consent": "yes"}
    assert send(client, again).status == 200
    assert len(store_of(app).entries()) == 2


def test_a_full_disk_is_said_and_nothing_is_lost(app: Flask, client: PageClient) -> None:
    # To SQLite a database that may not grow is the same as a disk that is full.
    store_of(app).database.prepare()
    event.listen(
        store_of(app).database.engine, "connect", lambda c, _: c.execute("PRAGMA max_page_count=12")
    )
    noise = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)
    fields = answered(client, pictures.encode(Image.fromarray(noise), "PNG"))
    page = send(client, fields)
    assert page.status == 507
    assert "disk is full" in page.text
    assert kept_form(page, fields)
    assert store_of(app).entries() == []


@pytest.mark.parametrize("trouble", ["not a database", "a folder", "no folder"])
def test_a_database_that_is_gone_is_said_and_nothing_is_lost(
    trouble: str, tiny_site: Callable[..., Flask], tmp_path: Path
) -> None:
    app = tiny_site(DATABASE_URL="sqlite:///data/kept.sqlite")
    if trouble != "no folder":
        (tmp_path / "data").mkdir()
    if trouble == "a folder":
        (tmp_path / "data" / "kept.sqlite").mkdir()
    elif trouble == "not a database":
        (tmp_path / "data" / "kept.sqlite").write_bytes(b"This is no database. " * 100)
    client = PageClient(app.test_client())
    fields = answered(client, pictures.jpeg())
    page = send(client, fields)
    assert page.status == 503
    assert "so your photo was not kept" in page.text
    assert "your photo is still kept" not in page.text
    assert kept_form(page, fields)
    prepare_at_start(app)  # writes to the log, and lets the site start


def test_a_fault_while_taking_back_says_that_the_photo_is_still_kept(
    app: Flask, client: PageClient, tmp_path: Path
) -> None:
    ticket = ticket_of(send(client, answered(client, pictures.jpeg())))
    file = tmp_path / "feedback.sqlite"
    away = file.rename(tmp_path / "away")
    page = client.post("/feedback/take-back", data={"ticket": ticket})
    assert page.status == 503
    assert "nothing was deleted and your photo is still kept" in page.text
    shown = client.post("/feedback/kept", data={"ticket": ticket})
    assert shown.status == 503
    assert "what is kept cannot be shown" in shown.text
    # The visitor need not look for the link again.
    assert f'value="{ticket}"' in page.html and f'value="{ticket}"' in shown.html
    away.rename(file)
    assert client.post("/feedback/take-back", data={"ticket": ticket}).status == 200


def test_the_page_that_thanks_needs_nothing_of_the_database_any_more(
    app: Flask, client: PageClient
) -> None:
    # What is said after the commit must be true whatever happens next.
    database = store_of(app).database
    fields = answered(client, pictures.jpeg())
    database.prepare()
    read: list[str] = []
    event.listen(database.engine, "commit", lambda _: read.clear())
    event.listen(database.engine, "before_cursor_execute", lambda *seen: read.append(seen[2]))
    page = send(client, fields)
    assert page.status == 200
    assert read == []


def test_beyond_the_limit_it_is_said_that_there_is_no_room(
    tiny_site: Callable[..., Flask],
) -> None:
    app = tiny_site(FEEDBACK_LIMIT=2)
    client = PageClient(app.test_client())
    fields = [answered(client, pictures.jpeg()) for _ in range(3)]
    assert [send(client, one).status for one in fields] == [200, 200, 507]
    assert "There is no room" in send(client, fields[2]).text
    assert len(store_of(app).entries()) == 2
    assert send(client, fields[0] | {"right": "cat"}).status == 200, "that one is kept already"


def test_with_a_limit_of_none_nobody_is_asked(tiny_site: Callable[..., Flask]) -> None:
    client = PageClient(tiny_site(FEEDBACK_LIMIT=0).test_client())
    page = client.post("/", data={"image": (io.BytesIO(pictures.jpeg()), "a.jpg")})
    assert "flag-form" not in page.html


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)


def test_within_an_hour_only_so_many_are_kept(
    tiny_site: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = tiny_site(FEEDBACK_HOURLY=2)
    client = PageClient(app.test_client())
    fields = [answered(client, pictures.jpeg()) for _ in range(3)]
    assert [send(client, one).status for one in fields] == [200, 200, 429]
    page = send(client, fields[2])
    assert "send it again in an hour" in page.text
    assert kept_form(page, fields[2])
    later(monkeypatch, HOUR + 1)
    assert send(client, fields[2]).status == 200
    assert len(store_of(app).entries()) == 3


def test_one_visitor_does_not_use_up_the_hour_for_all(tiny_site: Callable[..., Flask]) -> None:
    app = tiny_site(FEEDBACK_HOURLY_CLIENT=2)
    client = PageClient(app.test_client())

    def send_from(address: str, fields: Fields) -> Page:
        return client.post(
            "/feedback/",
            data=fields,
            content_type="multipart/form-data",
            environ_overrides={"REMOTE_ADDR": address},
        )

    fields = [answered(client, pictures.jpeg()) for _ in range(6)]
    incomplete = fields[0] | {"consent": ""}
    assert send_from("2001:db8::1", incomplete).status == 400, "which does not count"
    assert send_from("2001:db8::1", fields[0]).status == 200
    assert send_from("2001:db8::2", fields[1]).status == 200
    page = send_from("2001:db8::3", fields[2])
    assert page.status == 429
    assert "2 photos came from your connection within the last hour" in page.text
    assert kept_form(page, fields[2])
    assert 0 < int(page.headers["Retry-After"]) <= 3600
    assert send_from("2001:db8:0:1::1", fields[3]).status == 200, "that is another network"
    assert send_from("203.0.113.9", fields[4]).status == 200
    assert len(store_of(app).entries()) == 4


def test_nobody_keeps_the_address_of_a_visitor(app: Flask) -> None:
    with app.test_request_context(environ_overrides={"REMOTE_ADDR": "203.0.113.9"}):
        one = client_name()
    assert "203" not in one
    with app.test_request_context(environ_overrides={"REMOTE_ADDR": "::ffff:203.0.113.9"}):
        assert client_name() == one
    with app.test_request_context(environ_overrides={"REMOTE_ADDR": "203.0.113.10"}):
        assert client_name() != one


@pytest.mark.parametrize("address", ["nonsense", "carrier-pigeon://loft", "redis://host:port"])
def test_a_storage_of_limits_that_cannot_work_stops_the_start(
    address: str, tiny_site: Callable[..., Flask]
) -> None:
    with pytest.raises(SettingError, match="RATE_LIMIT_STORAGE cannot be used: .+"):
        tiny_site(RATE_LIMIT_STORAGE=address)


def test_old_entries_go_though_nobody_sends_a_new_one(
    app: Flask, client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(client, answered(client, pictures.jpeg()))
    days = app.config["FEEDBACK_DAYS"]
    later(monkeypatch, (days + 1) * DAY)
    client.fetch("/livez")
    assert len(store_of(app).entries()) == 1, "it is looked for once an hour"
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + HOUR + 1)
    client.fetch("/livez")
    assert store_of(app).entries() == []


def test_what_is_past_its_time_is_not_shown(
    app: Flask, client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = ticket_of(send(client, answered(client, pictures.jpeg())))
    later(monkeypatch, (app.config["FEEDBACK_DAYS"] + 1) * DAY)
    assert client.post("/feedback/kept", data={"ticket": ticket}).status == 404


def test_old_entries_go_at_the_start_and_when_another_comes(
    app: Flask, client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(client, answered(client, pictures.jpeg()))
    days = app.config["FEEDBACK_DAYS"]
    later(monkeypatch, days * DAY - 60)
    send(client, answered(client, pictures.png()))
    assert [entry.id for entry in store_of(app).entries()] == [1, 2]
    later(monkeypatch, 120)
    send(client, answered(client, pictures.png()))
    assert [entry.id for entry in store_of(app).entries()] == [2, 3]
    later(monkeypatch, (days + 1) * DAY)
    prepare_at_start(app)
    assert store_of(app).entries() == []


def test_an_old_page_is_not_lost_but_asked_for_again(
    tiny_site: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = tiny_site(WTF_CSRF_ENABLED=True)
    client = PageClient(app.test_client())
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/").html)
    assert token
    data: dict[str, Any] = {"image": (io.BytesIO(pictures.jpeg()), "a.jpg"), "csrf_token": token[1]}
    fields = form_of(client.post("/", data=data)) | {"right": "deer", "consent": "yes"}
    later(monkeypatch, app.config["WTF_CSRF_TIME_LIMIT"] + 60)
    page = send(client, fields)
    assert page.status == 400
    assert "open for too long" in page.text
    assert "Everything is still here: please send it again." in page.text
    assert "choose your photo" not in page.text
    assert kept_form(page, fields)
    assert store_of(app).entries() == []
    again = form_of(page) | {"right": "deer", "consent": "yes"}
    assert send(client, again | {"csrf_token": fields["csrf_token"]}).status == 400
    assert send(client, again).status == 200


def test_a_stale_form_for_a_ticket_comes_back_with_the_ticket(
    tiny_site: Callable[..., Flask],
) -> None:
    client = PageClient(tiny_site(WTF_CSRF_ENABLED=True).test_client())
    for address in ("/feedback/kept", "/feedback/take-back"):
        page = client.post(address, data={"ticket": "x" * 32})
        assert page.status == 400
        assert "please send it once more" in page.text
        assert f'value="{"x" * 32}"' in page.html
        token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page.html)
        assert token
        fields = {"ticket": "x" * 32, "csrf_token": token[1]}
        assert client.post(address, data=fields).status == 404


def test_a_plain_database_url_of_the_environment_counts(
    tiny_site: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://me:secret@host/name")
    assert store_of(tiny_site()).database.url.host == "host"
    monkeypatch.setenv("TENCLASSES_DATABASE_URL", "sqlite:///own.sqlite")
    assert store_of(tiny_site()).database.file == tmp_path / "own.sqlite", "ours goes before it"


@pytest.mark.parametrize(
    "address",
    ["nonsense", "sqlite://", "oracle7://x", "mysql://a@b/c", "postgresql://host:port/name"],
)
def test_a_database_that_cannot_work_stops_the_start(
    address: str, tiny_site: Callable[..., Flask]
) -> None:
    with pytest.raises(SettingError, match="DATABASE_URL"):
        tiny_site(DATABASE_URL=address)


# For whoever runs the site


def test_the_commands_list_export_and_delete(
    app: Flask, client: PageClient, tmp_path: Path
) -> None:
    for right in ("deer", "deer", "ship", "none-of-these"):
        send(client, answered(client, pictures.jpeg()) | {"right": right})
    run = app.test_cli_runner().invoke

    listed = run(args=["feedback", "list"])
    assert listed.exit_code == 0
    assert listed.output.count("tiny said") == 4
    assert "4 of at most 1000, kept for 180 days each" in listed.output

    folder = tmp_path / "export"
    exported = run(args=["feedback", "export", str(folder)])
    assert exported.exit_code == 0
    files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*.*"))
    assert files == [
        "deer/feedback-000001.jpg",
        "deer/feedback-000002.jpg",
        "ship/feedback-000003.jpg",
    ]
    for file in files:
        with Image.open(folder / file) as picture:
            assert picture.size == (96, 64)
    assert run(args=["feedback", "export", str(folder)]).exit_code != 0, "it is not empty"
    run(args=["feedback", "export", "--with-none", str(tmp_path / "all")])
    assert (tmp_path / "all" / "none-of-these").is_dir()

    assert "1 deleted" in run(args=["feedback", "delete", "2", "77"]).output
    assert [entry.id for entry in store_of(app).entries()] == [1, 3, 4]
    assert run(args=["feedback", "delete"]).exit_code == 2
    assert run(args=["feedback", "delete", "--all"], input="n\n").exit_code == 1
    assert "3 deleted" in run(args=["feedback", "delete", "--all", "--yes"]).output
    assert "0 deleted" in run(args=["feedback", "purge"]).output


@pytest.mark.usefixtures("tiny_recipe")
def test_a_network_can_learn_from_what_is_exported(
    app: Flask, client: PageClient, test_images: ImageSet, tmp_path: Path
) -> None:
    for number in range(12):
        photo = io.BytesIO()
        Image.fromarray(test_images.images[number]).resize((96, 64)).save(photo, "PNG")
        fields = answered(client, photo.getvalue())
        send(client, fields | {"right": "deer" if number % 2 else "ship"})
    run = app.test_cli_runner().invoke
    folder = tmp_path / "Flagged"
    assert run(args=["feedback", "export", str(folder)]).exit_code == 0
    output = str(tmp_path / "taught")
    trained = run(
        args=["train", "tiny", "--data", str(folder), "--epochs", "1", "--output", output]
    )
    assert trained.exit_code == 0, trained.output
    assert "flagged: 10 pictures to learn from and 2 to test on, of 2 classes" in trained.output


def test_the_commands_say_what_is_wrong_with_the_database(app: Flask) -> None:
    (Path(app.instance_path) / "feedback.sqlite").write_bytes(b"This is no database. " * 100)
    for command in (["list"], ["export", "x"], ["delete", "1"], ["purge"]):
        result = app.test_cli_runner().invoke(args=["feedback", *command])
        assert result.exit_code == 1
        assert result.output == "Error: The database cannot be used: file is not a database.\n"


def test_commands_on_nothing_make_no_file(app: Flask) -> None:
    for command in (["list"], ["delete", "1"], ["purge"]):
        assert app.test_cli_runner().invoke(args=["feedback", *command]).exit_code == 0
    assert not (Path(app.instance_path) / "feedback.sqlite").exists()


def test_an_address_of_postgresql_gets_its_driver(tmp_path: Path) -> None:
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        url = database_url(f"{scheme}://me:secret@host/name", tmp_path)
        assert url.drivername == "postgresql+psycopg"
