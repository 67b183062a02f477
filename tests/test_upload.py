"""A photo in, an answer out; whatever else is sent gets a sentence and the right status."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from PIL import Image

from model_training.bundle import Bundle
from model_training.data import CLASSES, ImageSet
from tests import pictures
from tests.conftest import SHIPPED_TEST_IMAGES, make_site
from tests.page_client import Page, PageClient
from webapp import photos
from webapp.library import load_library


def send(client: PageClient, data: bytes, name: str = "photo.jpg", **fields: str) -> Page:
    return client.post("/", data={"image": (io.BytesIO(data), name)} | fields)


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
    assert re.search(rf"<h1[^>]*>an? {first}</h1>", page.html)


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


def test_nothing_of_a_photo_is_stored(site: Flask, client: PageClient) -> None:
    instance = Path(site.instance_path)
    before = sorted(instance.rglob("*"))
    send(client, pictures.jpeg())
    assert sorted(instance.rglob("*")) == before


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
    "data", [{}, {"image": ""}, {"image": "text"}, {"image": (io.BytesIO(b""), "")}], ids=str
)
def test_no_file_chosen_is_said(data: dict[str, object], client: PageClient) -> None:
    page = client.post("/", data=data)
    assert page.status == 400
    assert "No photo was chosen" in page.text


def test_thirty_megabytes_are_refused_with_the_limit(client: PageClient) -> None:
    body = b"--x\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\n" + bytes(
        30 << 20
    )
    page = client.post("/", data=body, content_type="multipart/form-data; boundary=x")
    assert page.status == 413
    assert "the limit is 20 MB" in page.text


def test_a_model_that_is_not_there_is_said(client: PageClient) -> None:
    page = send(client, pictures.jpeg(), model="unknown")
    assert page.status == 400
    assert "no model called “unknown”" in page.text


@pytest.mark.parametrize("token", ["", "forged"])
def test_a_stale_form_is_refused_and_comes_back_fresh(
    token: str, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    assert tiny_bundle.model_path is not None
    app = make_site(
        tmp_path,
        WTF_CSRF_ENABLED=True,
        MODELS_FOLDER=tiny_bundle.model_path.parent.parent,
        DATA_FOLDER=SHIPPED_TEST_IMAGES.parent,
    )
    load_library(app)
    client = PageClient(app.test_client())
    page = send(client, pictures.jpeg(), csrf_token=token)
    assert page.status == 400
    assert "open for too long" in page.text
    fresh = re.search(r'name="csrf_token" value="([^"]+)"', page.html)
    assert fresh
    assert send(client, pictures.jpeg(), csrf_token=fresh[1]).status == 200


def test_what_is_shown_of_a_photo_is_small_and_without_its_metadata(client: PageClient) -> None:
    page = send(client, pictures.turned_jpeg(6))
    encoded = re.search(r'src="data:image/(?:jpeg|png);base64,([^"]+)" alt="Your photo"', page.html)
    assert encoded
    shown = Image.open(io.BytesIO(base64.b64decode(encoded[1])))
    assert max(shown.size) <= 640
    assert not shown.getexif()


def test_only_known_errors_reach_the_visitor() -> None:
    for error in (photos.NoPhoto, photos.EmptyFile, photos.NotAnImage, photos.DamagedPhoto):
        assert 400 <= error().status < 500
        assert error().message.endswith(".")
