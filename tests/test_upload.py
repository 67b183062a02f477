"""A photo in, an answer out; whatever else is sent gets a sentence and the right status."""

from __future__ import annotations

import base64
import io
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from PIL import Image

from model_training.bundles.bundle import Bundle
from model_training.datasets.catalog.cifar10 import CLASSES
from model_training.datasets.dataset import ImageSet
from tests import pictures
from tests.page_client import Page, PageClient


def send(client: PageClient, data: bytes, name: str = "photo.jpg", **fields: str) -> Page:
    return client.post("/", data={"image": (io.BytesIO(data), name)} | fields)


def multipart(data: bytes) -> bytes:
    """A form with one file as it travels."""
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    return head + data + b"\r\n--x--\r\n"


def shares(page: Page) -> dict[str, float]:
    rows = re.findall(
        r'bars-name">(\w+).*?width="([\d.]+)".*?bars-value">([^<]+)<', page.html, re.S
    )
    return {name: float(width) for name, width, _ in rows}


def png(pixels: np.ndarray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    return encoded.getvalue()


def test_a_photo_is_answered_with_ten_probabilities_the_photo_and_what_the_network_saw(
    client: PageClient,
) -> None:
    page = send(client, pictures.jpeg())
    assert page.status == 200
    assert set(shares(page)) == set(CLASSES)
    assert sum(shares(page).values()) == pytest.approx(100, abs=0.1)
    assert list(shares(page).values()) == sorted(shares(page).values(), reverse=True)
    assert 'src="data:image/jpeg;base64,' in page.html
    assert 'src="data:image/png;base64,' in page.html
    first = next(iter(shares(page)))
    assert re.search(rf"<h1[^>]*>An? {first}\.</h1>", page.html)


def test_a_test_image_sent_as_a_photo_gets_the_stored_prediction(
    client: PageClient, tiny_bundle: Bundle, test_images: ImageSet
) -> None:
    # The whole way: bytes, decoder, cut, compiled network.  The same pixels, the same answer.
    for number in (0, 1, 2):
        page = send(client, png(test_images.images[number]), "image.png")
        expected = tiny_bundle.predictions.test[number]
        assert next(iter(shares(page))) == CLASSES[int(expected.argmax())]
        cut = re.findall(r'src="data:image/png;base64,([^"]+)"', page.html)[-1]
        seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(cut))))
        assert np.array_equal(seen, test_images.images[number])


def shown(page: Page, alt: str) -> Image.Image:
    """The picture on the page whose text equivalent begins with `alt`."""
    found = re.search(rf'src="data:image/\w+;base64,([^"]+)"[^>]* alt="{alt}', page.html)
    assert found
    return Image.open(io.BytesIO(base64.b64decode(found[1])))


def test_where_it_looked_is_shown_of_a_photo_and_of_a_test_image(client: PageClient) -> None:
    page = send(client, pictures.jpeg())
    assert re.search(r"Looking for an? \w+, it looked (mostly|all|nowhere)", page.text)
    assert shown(page, "A heat map").size == shown(page, "Your photo").size
    page = client.get("/?example=3")
    assert "it looked" in page.text
    assert shown(page, "A heat map").size == (320, 320)


def test_nothing_of_a_photo_is_stored(
    site: Flask, client: PageClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Above 500 kB the server keeps an upload in a temporary file while it arrives.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)
    body = multipart(png(noise))
    assert len(body) > 600_000
    before = sorted(Path(site.instance_path).rglob("*"))
    page = client.post("/", data=body, content_type="multipart/form-data; boundary=x")
    assert page.status == 200
    assert sorted(Path(site.instance_path).rglob("*")) == before
    assert list(tmp_path.iterdir()) == []


RIGHT_ANSWERS = {
    "CMYK": pictures.cmyk_jpeg,
    "palette": pictures.palette_png,
    "16-bit": lambda: pictures.sixteen_bit_grey("PNG", [0, 30_000, 65_535]),
    "transparent": pictures.half_clear_png,
    "animated GIF": lambda: pictures.animated("GIF"),
    "EXIF-rotated": lambda: pictures.turned_jpeg(6),
    "one pixel": pictures.one_pixel,
    "very wide": pictures.very_wide,
}


@pytest.mark.parametrize("make", RIGHT_ANSWERS.values(), ids=RIGHT_ANSWERS)
def test_odd_but_honest_pictures_are_answered(make: object, client: PageClient) -> None:
    assert callable(make)
    page = send(client, make(), "wrong-extension.txt")
    assert page.status == 200
    assert len(shares(page)) == 10


BAD = {
    "not an image": (pictures.not_an_image, 415, "not a picture"),
    "HEIC": (pictures.heic, 415, "save or export it as JPEG"),
    "truncated": (pictures.truncated_jpeg, 422, "damaged or incomplete"),
    "zero bytes": (bytes, 400, "empty"),
    "169-megapixel bomb": (pictures.png_bomb, 413, "169.0 megapixels"),
}


@pytest.mark.parametrize(("make", "status", "words"), BAD.values(), ids=BAD)
def test_bad_pictures_get_a_sentence_and_the_form_again(
    make: object, status: int, words: str, client: PageClient
) -> None:
    assert callable(make)
    page = send(client, make())
    assert (page.status, words in page.text) == (status, True), page.text
    assert 'type="file"' in page.html
    assert 'role="alert"' in page.html


@pytest.mark.parametrize(
    "data",
    [{}, {"image": ""}, {"image": "text"}, {"image": (io.BytesIO(b""), "")}],
    ids=["no field", "an empty field", "a text", "a file without a name"],
)
def test_no_file_chosen_is_said(data: dict[str, object], client: PageClient) -> None:
    page = client.post("/", data=data)
    assert page.status == 400
    assert "No photo was chosen" in page.text


def test_thirty_megabytes_are_refused_with_the_limit(client: PageClient) -> None:
    body = multipart(bytes(30 * 1024 * 1024))
    page = client.post("/", data=body, content_type="multipart/form-data; boundary=x")
    assert page.status == 413
    assert "the limit is 20 MB" in page.text


def test_more_than_all_photos_together_may_weigh_is_refused_with_both_limits(
    tiny_site: Callable[..., Flask],
) -> None:
    app = tiny_site(MAX_PHOTO_BYTES=1024 * 1024, MAX_CONTENT_LENGTH=2 * 1024 * 1024)
    client = PageClient(app.test_client())
    body = multipart(bytes(3 * 1024 * 1024))
    page = client.post("/", data=body, content_type="multipart/form-data; boundary=x")
    assert page.status == 413
    assert "the most is 1 MB a photo and 2 MB together" in page.text


def test_a_form_with_too_much_beside_the_photo_is_not_called_a_large_file(
    client: PageClient,
) -> None:
    body = multipart(b"x" * 600_000).replace(b'; filename="a.jpg"', b"")
    page = client.post("/", data=body, content_type="multipart/form-data; boundary=x")
    assert page.status == 413
    assert "holds more than photos" in page.text


def test_a_model_that_is_not_there_is_said(client: PageClient) -> None:
    page = send(client, pictures.jpeg(), model="unknown")
    assert page.status == 400
    assert "no model called “unknown”" in page.text


@pytest.fixture
def guarded(tiny_site: Callable[..., Flask]) -> Flask:
    """A site that checks its forms, as the real one does."""
    return tiny_site(WTF_CSRF_ENABLED=True)


def token_of(page: Page) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.html)
    assert found
    return found[1]


def test_a_stale_form_is_refused_and_comes_back_fresh(
    guarded: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = PageClient(guarded.test_client())
    limit = guarded.config["WTF_CSRF_TIME_LIMIT"]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - limit - 60)
    old = token_of(client.get("/"))
    monkeypatch.setattr(time, "time", lambda: now)
    page = send(client, pictures.jpeg(), csrf_token=old)
    assert page.status == 400
    assert "open for too long" in page.text
    fresh = token_of(page)
    assert fresh != old
    assert send(client, pictures.jpeg(), csrf_token=fresh).status == 200


def test_a_form_of_nobodys_or_of_somebody_elses_is_refused(guarded: Flask) -> None:
    strangers = token_of(PageClient(guarded.test_client()).get("/"))
    for token in ("", "forged", strangers):
        client = PageClient(guarded.test_client())
        client.get("/")
        page = send(client, pictures.jpeg(), csrf_token=token)
        assert page.status == 400
        assert "could not be checked" in page.text
        assert len(shares(page)) == 0


def test_what_is_shown_of_a_photo_is_small_and_without_its_metadata(client: PageClient) -> None:
    page = send(client, pictures.turned_jpeg(6))
    encoded = re.search(
        r'src="data:image/(?:jpeg|png);base64,([^"]+)"[^>]* alt="Your photo"', page.html
    )
    assert encoded
    shown = Image.open(io.BytesIO(base64.b64decode(encoded[1])))
    assert max(shown.size) <= 640
    assert not shown.getexif()
