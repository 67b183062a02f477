"""A part of a photo that is asked about instead of the whole."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping

import numpy as np
import pytest
from PIL import Image

from model_training.datasets.pictures import opener as photos
from tests import pictures
from tests.page_client import Page, PageClient
from tests.test_upload import png
from webapp.answering.crop import LARGEST_SIDE, WORKING_SIDE, Crop

COLOURS = ((200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0))


def quarters(width: int, height: int) -> Image.Image:
    """Red, green, blue and yellow: upper left, upper right, lower left, lower right."""
    tiles = np.array(COLOURS, np.uint8).reshape(2, 2, 3)
    return Image.fromarray(tiles).resize((width, height), Image.Resampling.NEAREST)


def send(client: PageClient, data: bytes, part: Mapping[str, object], count: int = 1) -> Page:
    files = [(io.BytesIO(data), "photo.png") for _ in range(count)]
    return client.post("/", data={"image": files} | {name: str(one) for name, one in part.items()})


def told(page: Page) -> tuple[list[str], list[str]]:
    """The heading of the answer, and every percentage."""
    return re.findall(r"<h1[^>]*>([^<]+)<", page.html), re.findall(r"[\d.]+%", page.text)


def shown(page: Page) -> Image.Image:
    found = re.search(r'src="data:image/\w+;base64,([^"]+)"[^>]* alt="Your photo', page.html)
    assert found
    return Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB")


@pytest.mark.parametrize("number", range(4))
def test_only_the_part_is_shown_and_answered(number: int, client: PageClient) -> None:
    x, y = number % 2 / 2, number // 2 / 2
    page = send(client, png(np.asarray(quarters(200, 120))), {"x": x, "y": y, "w": 0.5, "h": 0.5})
    assert page.status == 200
    assert "100×60 pixels" in page.text
    colours = np.asarray(shown(page), int).reshape(-1, 3)
    assert np.abs(colours - COLOURS[number]).max() < 12
    alone = send(client, png(np.full((60, 100, 3), COLOURS[number], np.uint8)), {})
    assert told(page) == told(alone)


def test_a_part_is_meant_of_the_photo_as_it_is_seen(client: PageClient) -> None:
    # A camera that was held sideways: stored lying down, seen upright.
    stored = quarters(120, 200).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    encoded = io.BytesIO()
    stored.save(encoded, "PNG", exif=exif)
    page = send(client, encoded.getvalue(), {"x": 0.5, "y": 0, "w": 0.5, "h": 0.5})
    assert "60×100 pixels" in page.text
    assert np.abs(np.asarray(shown(page), int) - COLOURS[1]).max() < 12


def test_a_small_part_of_a_large_photo_keeps_its_pixels() -> None:
    data = io.BytesIO()
    quarters(4000, 3000).save(data, "JPEG")
    tenth, sliver = Crop(0.4, 0.4, 0.4, 0.4), Crop(0, 0, 0.01, 0.01)
    for part, side in ((tenth, WORKING_SIDE), (sliver, round(0.01 * LARGEST_SIDE))):
        whole = photos.open_photo(
            data.getvalue(), max_pixels=12_000_000, working_side=part.opened_side
        )
        assert max(whole.image.size) <= LARGEST_SIDE
        assert max(part.cut(whole).image.size) == pytest.approx(side, abs=1)


@pytest.mark.parametrize("x", [0, 0.5, 0.999999, 1])
def test_of_the_smallest_part_one_pixel_is_left(x: float, client: PageClient) -> None:
    page = send(client, pictures.jpeg(), {"x": x, "y": x, "w": 5e-324, "h": 1e-300})
    assert page.status == 200 and "1×1 pixels" in page.text


BAD = {
    "a field is missing": {"x": 0, "y": 0, "w": 0.5},
    "a field is empty": {"x": 0, "y": 0, "w": 0.5, "h": ""},
    "a text": {"x": "left", "y": 0, "w": 0.5, "h": 0.5},
    "not a number": {"x": "nan", "y": 0, "w": 0.5, "h": 0.5},
    "not a number wide": {"x": 0, "y": 0, "w": "nan", "h": 0.5},
    "infinite": {"x": 0, "y": 0, "w": "inf", "h": 0.5},
    "before the edge": {"x": -0.1, "y": 0, "w": 0.5, "h": 0.5},
    "over the edge": {"x": 0.6, "y": 0, "w": 0.5, "h": 0.5},
    "empty": {"x": 0, "y": 0, "w": 0, "h": 0.5},
    "in pixels": {"x": 10, "y": 10, "w": 200, "h": 100},
}


@pytest.mark.parametrize("part", BAD.values(), ids=BAD)
def test_what_is_no_part_is_refused_with_what_to_do(
    part: dict[str, object], client: PageClient
) -> None:
    page = send(client, pictures.jpeg(), part)
    assert page.status == 400
    assert "Please choose it again, or send the whole photo." in page.text
    assert 'role="alert"' in page.html and 'type="file"' in page.html


def test_a_part_goes_with_one_photo(client: PageClient) -> None:
    page = send(client, pictures.jpeg(), {"x": 0, "y": 0, "w": 0.5, "h": 0.5}, count=2)
    assert page.status == 400
    assert "can be cropped, but 2 were sent" in page.text


def test_empty_fields_ask_about_the_whole(client: PageClient) -> None:
    page = send(client, pictures.jpeg(), dict.fromkeys("xywh", ""))
    assert page.status == 200 and "answer-label" in page.html
