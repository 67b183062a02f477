"""The photographs that the site brings along."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from PIL import Image

from model_training.datasets.catalog.cifar10 import CLASSES
from tests.conftest import PROJECT, make_site
from tests.page_client import PageClient
from webapp.opening.example_photos import ExamplePhoto, example_photos

FOLDER = PROJECT / "static" / "examples"


@pytest.fixture
def listed(site: Flask) -> tuple[ExamplePhoto, ...]:
    with site.app_context():
        return example_photos()


def test_each_photo_is_there_small_and_free(listed: tuple[ExamplePhoto, ...]) -> None:
    assert {path.name for path in FOLDER.glob("*.jpg")} == {
        Path(file).name for photo in listed for file in (photo.file, photo.thumbnail)
    }
    for photo in listed:
        with Image.open(PROJECT / "static" / photo.file) as image:
            assert max(image.size) <= 640 and not image.getexif()
        assert (PROJECT / "static" / photo.file).stat().st_size < 100_000
        assert (PROJECT / "static" / photo.thumbnail).stat().st_size < 15_000
        assert photo.licence in ("CC0", "public domain")
        assert photo.author and photo.address.startswith("https://")


def test_they_show_classes_of_the_model_and_strangers(listed: tuple[ExamplePhoto, ...]) -> None:
    shown = [photo.shows for photo in listed]
    assert len({name for name in shown if name in CLASSES}) >= 1
    assert shown.count(None) >= 1
    assert set(shown) <= {*CLASSES, None}


def test_the_home_page_offers_each_and_each_is_answered_like_an_upload(
    client: PageClient, listed: tuple[ExamplePhoto, ...]
) -> None:
    links = re.findall(r'href="(/\?photo=([\w-]+))"', client.get("/").html)
    assert [name for _, name in links] == [photo.name for photo in listed]
    for address, name in links:
        page = client.get(address)
        with Image.open(FOLDER / f"{name}.jpg") as image:
            width, height = image.size
        assert page.status == 200
        assert f"Example photo, {width}×{height} pixels" in page.text


def test_a_model_that_knows_none_of_the_classes_is_offered_none(garden_home: Path) -> None:
    client = PageClient(make_site(garden_home, DEFAULT_MODEL="sprout").test_client())
    page = client.get("/")
    assert "?photo=" not in page.html
    assert page.text.count("No photo at hand?") == 1, "its own test images"


@pytest.mark.parametrize("name", ["nobody", "", "../site", "chelsea.jpg", "x" * 5000])
def test_a_photo_that_is_not_there_is_said_with_those_that_are(
    name: str, client: PageClient
) -> None:
    page = client.get("/", query_string={"photo": name})
    assert page.status == 404
    assert "There is no example photo called" in page.text and "chelsea" in page.text


def test_whose_photos_they_are_is_said(
    client: PageClient, listed: tuple[ExamplePhoto, ...]
) -> None:
    page = client.get("/about")
    assert 'id="photos"' in page.html
    for photo in listed:
        assert f"{photo.title} : by {photo.author}, {photo.licence}" in page.text
        assert photo.source in page.text
