"""A page carries its photo under a seal: what comes back changed, old or mixed up is refused."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from PIL import Image

from model_training.datasets.pictures import opener
from tests import pictures
from tests.page_client import Page, PageClient
from tests.test_answer_page import carried
from tests.test_upload import send
from webapp.answering import card
from webapp.answering.answers import Verdict
from webapp.answering.carried import sealing
from webapp.answering.carried.photo_seal import FORM_BYTES

ASKED = pytest.mark.parametrize("address", ["/again", "/card"])


def refused(page: Page, words: str, status: int = 400) -> None:
    assert (page.status, words in page.text) == (status, True), page.text
    assert 'type="file"' in page.html, "the form for a photo is there again"


@ASKED
def test_a_photo_that_was_changed_is_refused(address: str, client: PageClient) -> None:
    fields = carried(send(client, pictures.jpeg()))
    middle = len(fields["photo"]) // 2
    letter = "A" if fields["photo"][middle] != "A" else "B"
    changed = fields["photo"][:middle] + letter + fields["photo"][middle + 1 :]
    refused(
        client.post(address, data=fields | {"photo": changed}), "was changed or arrived incomplete"
    )


@ASKED
def test_the_seal_of_another_photo_is_refused(address: str, client: PageClient) -> None:
    mine = carried(send(client, pictures.jpeg()))
    other = carried(send(client, pictures.jpeg(300, 200)))
    mixed = {"photo": mine["photo"], "seal": other["seal"]}
    refused(client.post(address, data=mixed), "was changed or arrived incomplete")


@ASKED
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"photo": ""},
        {"seal": ""},
        {"seal": "forged"},
        {"photo": "https://example.org/a.jpg"},
        {"photo": "data:image/jpeg;base64,%%%"},
    ],
    ids=str,
)
def test_what_no_page_of_ours_carried_is_refused(
    address: str, fields: dict[str, str], client: PageClient
) -> None:
    whole = carried(send(client, pictures.jpeg())) if fields else {}
    refused(client.post(address, data=whole | fields), "was changed or arrived incomplete")


@ASKED
def test_a_seal_of_another_use_is_refused(address: str, client: PageClient) -> None:
    page = send(client, pictures.jpeg())
    of_feedback = re.findall(r'name="seal"[^>]* value="([^"]+)"', page.html)
    ours = carried(page)
    (other,) = set(of_feedback) - {ours["seal"]}
    refused(client.post(address, data=ours | {"seal": other}), "was changed or arrived incomplete")


@ASKED
def test_a_page_can_be_asked_for_a_day_and_no_longer(
    address: str, client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = carried(send(client, pictures.jpeg()))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + sealing.SECONDS - 60)
    assert client.plain.post(address, data=fields).status_code == 200
    monkeypatch.setattr(time, "time", lambda: now + sealing.SECONDS + 60)
    refused(client.post(address, data=fields), "more than a day old")


@ASKED
def test_fields_too_large_for_any_page_are_not_even_read(address: str, client: PageClient) -> None:
    fields = carried(send(client, pictures.jpeg()))
    large = fields["photo"] + "A" * FORM_BYTES
    refused(
        client.post(address, data=fields | {"photo": large}), "was changed or arrived incomplete"
    )


def test_the_largest_photo_that_a_page_shows_comes_back_whole(client: PageClient) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(noise).save(encoded, "PNG")
    fields = carried(send(client, encoded.getvalue()))
    assert len(fields["photo"]) > 300_000
    assert client.post("/again", data=fields).status == 200


@ASKED
def test_whoever_types_the_address_comes_to_the_form(address: str, client: PageClient) -> None:
    response = client.plain.get(address)
    assert (response.status_code, response.location) == (302, "/")


def test_nothing_is_stored_of_what_is_asked_again(site: Flask, client: PageClient) -> None:
    before = sorted(Path(site.instance_path).rglob("*"))
    fields = carried(send(client, pictures.jpeg()))
    client.post("/again", data=fields)
    client.fetch("/")
    client.plain.post("/card", data=fields)
    assert sorted(Path(site.instance_path).rglob("*")) == before


def test_the_saved_picture_holds_the_photo_and_the_map(client: PageClient) -> None:
    fields = carried(send(client, pictures.jpeg(900, 600)))
    response = client.plain.post("/card", data=fields)
    assert response.status_code == 200 and response.mimetype == "image/png"
    assert re.search(r"attachment; filename=\w+\.png", response.headers["Content-Disposition"])
    assert response.headers["Cache-Control"] == "no-store"
    drawn = Image.open(io.BytesIO(response.data)).convert("RGB")
    assert drawn.size == card.SIZE
    photo = opener.open_photo(pictures.jpeg(900, 600), max_pixels=10**6).image
    here = drawn.crop((card.MARGIN, card.MARGIN, card.MARGIN + 544, card.MARGIN + 363))
    difference = np.abs(
        np.asarray(here, int) - np.asarray(photo.resize(here.size, Image.Resampling.BICUBIC), int)
    )
    assert difference[4:-4, 4:-4].mean() < 6, "the photo as it is, larger or smaller"
    below = np.asarray(drawn.crop((card.MARGIN, 440, card.MARGIN + 200, 560)), int)
    assert below.std() > 10, "the map below it"


def verdict(label: str, **more: object) -> Verdict:
    shares = [(label, 0.7), *((f"class {n}", 0.3 / 9) for n in range(9))]
    values = {"model": "m", "model_title": "A model", "novelty": 0.0, "verdict": "known"} | more
    return Verdict(shares=shares, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "said",
    [
        verdict("dog"),
        verdict("Löwe" * 40, verdict="unsure", familiarity=0.3),
        verdict("dog", verdict="stranger", resembles="a very long word " * 9),
        verdict("x", verdict="stranger"),
    ],
    ids=["known", "a long name", "a long likeness", "a stranger"],
)
@pytest.mark.parametrize("size", [(1, 1), (640, 3), (3, 640), (640, 480)], ids=str)
def test_any_answer_can_be_saved(said: Verdict, size: tuple[int, int]) -> None:
    photo = Image.new("RGB", size, "#336699")
    drawn = card.draw(said, photo, (photo, "mostly at the centre"), site="here")
    assert drawn.size == card.SIZE
    right = np.asarray(drawn.crop((card.SIZE[0] - 20, 0, card.SIZE[0], card.SIZE[1])))
    assert (right == right[0, 0]).all(), "nothing runs over the edge"
    assert card.draw(said, photo, None, site="here").size == card.SIZE


@ASKED
def test_what_an_earlier_version_of_the_site_sealed_is_said_to_be_old(
    address: str, site: Flask, client: PageClient
) -> None:
    fields = carried(send(client, pictures.jpeg()))
    with site.app_context():
        content = sealing._SEAL._signer().loads(fields["seal"])
        del content["near"]
        fields["seal"] = sealing._SEAL._signer().dumps(content)
    refused(client.post(address, data=fields), "of an earlier version of this site")
