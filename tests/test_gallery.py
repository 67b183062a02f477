"""The gallery's filters: exact counts, any combination, and a state that is the address."""

from __future__ import annotations

import dataclasses
import io
import random
import re
from urllib.parse import urlencode

import numpy as np
import pytest
from flask import Flask
from numpy.typing import NDArray
from PIL import Image

from model_training.bundles.bundle import Bundle
from model_training.datasets.catalog.cifar10 import CLASSES
from model_training.datasets.dataset import ImageSet
from model_training.datasets.pictures.sprites import untile
from model_training.judging.calibration import scale_by_temperature
from tests.page_client import PageClient
from webapp.gallery.pages import decode_numbers, encode_numbers
from webapp.gallery.selection import ORDERS, OUTCOMES
from webapp.library import load_library


@pytest.fixture
def client(two_models: Flask) -> PageClient:
    return PageClient(two_models.test_client())


@pytest.fixture(scope="module")
def probabilities(tiny_bundle: Bundle) -> NDArray[np.floating]:
    return scale_by_temperature(
        tiny_bundle.predictions.test, tiny_bundle.card.calibration.temperature
    )


def asked(client: PageClient, **query: object) -> tuple[int, list[int]]:
    """The count, and the images of the first page, from the JSON twin."""
    answer = client.fetch(f"/gallery.json?{urlencode(query)}").get_json()
    return answer["count"], [image["index"] for image in answer["images"]]


def test_filters_combine_and_counts_are_exact(
    client: PageClient, probabilities: NDArray[np.floating], test_images: ImageSet
) -> None:
    predicted, true = probabilities.argmax(axis=1), test_images.labels
    cat, dog = CLASSES.index("cat"), CLASSES.index("dog")
    assert asked(client, true="cat")[0] == 1000
    said_dog = np.flatnonzero((true == cat) & (predicted == dog))
    assert asked(client, true="cat", said="dog") == (len(said_dog), said_dog[:100].tolist())
    wrong = np.flatnonzero(predicted != true)
    assert asked(client, outcome="wrong") == (len(wrong), wrong[:100].tolist())
    middle = np.median(probabilities.max(axis=1))
    unsure = (probabilities.max(axis=1) <= round(middle, 4)) & (predicted == true)
    assert asked(client, outcome="right", high=f"{middle * 100:.2f}")[0] == unsure.sum()


def test_two_models_disagree(client: PageClient, two_models: Flask) -> None:
    results = load_library(two_models).results
    differ = np.flatnonzero(results["tiny"].predicted != results["other"].predicted)
    assert 0 < len(differ) < 10_000
    assert asked(client, model="tiny", differs="other") == (len(differ), differ[:100].tolist())
    assert asked(client, model="other", differs="tiny")[0] == len(differ)
    assert asked(client, model="tiny", differs="tiny")[0] == 0


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("sort", ["confidence", "margin", "entropy"])
def test_images_are_ordered(
    sort: str, down: bool, client: PageClient, probabilities: NDArray[np.floating]
) -> None:
    ordered = np.sort(probabilities, axis=1)
    by = {
        "confidence": ordered[:, -1],
        "margin": ordered[:, -1] - ordered[:, -2],
        "entropy": -(probabilities * np.log(probabilities + 1e-12)).sum(axis=1),
    }[sort]
    count, first = asked(client, sort=sort, order="down" if down else "up")
    assert count == 10_000
    best = np.sort(by)[::-1][:100] if down else np.sort(by)[:100]
    assert np.allclose(by[first], best)


def test_chance_is_repeated_by_its_seed(client: PageClient) -> None:
    first = asked(client, sort="random", seed=7)[1]
    assert first == asked(client, sort="random", seed=7)[1]
    assert first != asked(client, sort="random", seed=8)[1]
    assert first != sorted(first)


def test_the_page_and_its_twin_say_the_same(client: PageClient) -> None:
    query = "true=ship&outcome=wrong&sort=confidence&order=down"
    page, twin = client.get(f"/gallery/?{query}"), client.fetch(f"/gallery.json?{query}").get_json()
    shown = [int(n) for n in re.findall(r'aria-label="Test image (\d+)"', page.html)]
    assert shown == [image["index"] for image in twin["images"]]
    assert f"{twin['count']:,} images of a ship that Tiny network gets wrong" in page.text
    assert {image["true"] for image in twin["images"]} == {"ship"}
    assert not any(image["right"] for image in twin["images"])


def test_the_form_shows_the_state_and_every_link_keeps_it(client: PageClient) -> None:
    page = client.get("/gallery/?model=tiny&true=cat&low=10.5&sort=margin&order=down&page=2")
    for chosen in ('value="tiny" selected', 'value="cat" selected', 'value="margin" selected'):
        assert chosen in page.html
    assert 'name="low" type="number" min="0" max="100" step="any" value="10.5"' in page.html
    state = "model=tiny&amp;true=cat&amp;low=10.5&amp;sort=margin&amp;order=down"
    images = re.findall(r'<li class="cell[^"]*">\s*<a href="([^"]+)"', page.html)
    assert images and all(address.endswith("?" + state) for address in images)
    assert f"page=1&amp;{state}" in page.html and f"page=3&amp;{state}" in page.html


def test_one_image_knows_its_neighbours_in_the_selection(client: PageClient) -> None:
    _count, first = asked(client, true="frog", outcome="wrong")
    page = client.get(f"/gallery/{first[1]}?true=frog&outcome=wrong")
    neighbours = re.findall(r'rel="(prev|next)" href="/gallery/(\d+)\?', page.html)
    assert neighbours == [("prev", str(first[0])), ("next", str(first[2]))]
    assert "The 2nd of" in page.text
    assert "rel=" not in client.get("/gallery/0?true=frog&outcome=wrong").html.split("<main")[1]
    assert "not among the" in client.get("/gallery/0?true=frog&outcome=wrong").text


def test_the_slider_works_as_a_plain_form(client: PageClient) -> None:
    _count, first = asked(client, true="frog")
    page = client.get(f"/gallery/{first[0]}?true=frog")
    assert re.search(r'<form[^>]*method="get" action="/gallery/at"', page.html)
    answer = client.fetch("/gallery/at?true=frog&place=6")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"/gallery/{first[5]}?")
    assert "true=frog" in answer.headers["Location"]


def test_each_cell_of_the_confusion_matrix_leads_to_exactly_its_images(
    client: PageClient,
) -> None:
    page = client.get("/models/tiny")
    cells = re.findall(r'<td class="is-[^"]+"><a href="([^"]+)"[^>]*>(\d+)</a>', page.html)
    assert len(cells) > 20
    for address, count in cells[::7]:
        found = client.fetch(address.replace("&amp;", "&").replace("/gallery/", "/gallery.json"))
        assert found.get_json()["count"] == int(count)


def test_a_selection_comes_in_one_picture_file(client: PageClient, test_images: ImageSet) -> None:
    page = client.get("/gallery/?true=bird&sort=random&seed=3")
    (address,) = set(re.findall(r'<image href="([^"]+)"', page.html))
    answer = client.fetch(address)
    assert "immutable" in answer.headers["Cache-Control"]
    shown = untile(np.asarray(Image.open(io.BytesIO(answer.data)).convert("RGB")), 32)
    numbers = [int(n) for n in re.findall(r'aria-label="Test image (\d+)"', page.html)]
    assert np.array_equal(shown, test_images.images[numbers])


def test_numbers_in_an_address_are_read_back() -> None:
    numbers = np.array([0, 9_999, 42])
    for count in (10_000, 100_000):
        again = decode_numbers(encode_numbers(numbers, count), count)
        assert again is not None and again.tolist() == numbers.tolist()
    for wrong in ("", "A", "AAAA", "====", "äöü", "A" * 300, "AA*A"):
        assert decode_numbers(wrong, 10_000) is None
    assert decode_numbers(encode_numbers(numbers, 10_000), 9_999) is None, "there is no such image"


def test_the_heading_of_an_image_keeps_the_capitals_of_its_class(
    client: PageClient, two_models: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = load_library(two_models).data_sets
    shouted = dataclasses.replace(served["cifar10"], classes=tuple(map(str.upper, CLASSES)))
    monkeypatch.setitem(served, "cifar10", shouted)
    assert "<h1>A CAT</h1>" in client.get("/gallery/0").html


def test_nothing_found_says_so_and_offers_a_way_on(client: PageClient) -> None:
    page = client.get("/gallery/?low=100&outcome=wrong&true=cat")
    assert "0 images of a cat" in page.text and "No image matches all of these filters" in page.text
    assert client.fetch("/gallery/at?low=100&outcome=wrong&true=cat").status_code == 302


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("true=unicorn", 404, "no class called “unicorn”"),
        ("said=unicorn", 404, "no class"),
        ("differs=nobody", 404, "no model"),
        ("outcome=maybe", 404, "no outcome called “maybe”"),
        ("sort=colour", 404, "index, confidence"),
        ("order=sideways", 404, "up, down"),
        ("suspect=perhaps", 404, "Available: yes, no"),
        ("copy=2", 404, "Available: yes, no, contradicts"),
        ("low=many", 400, "from 0 to 100"),
        ("high=101", 400, "from 0 to 100"),
        ("low=-1", 400, "from 0 to 100"),
        ("low=90&high=10", 400, "higher confidence"),
        ("sort=random&seed=-3", 404, "from 0 to 999,999"),
        ("true=cat&page=11", 404, "from 1 to 10"),
    ],
)
def test_a_wrong_filter_is_explained(
    query: str, status: int, words: str, client: PageClient
) -> None:
    page = client.get(f"/gallery/?{query}")
    assert (page.status, words in page.text) == (status, True), page.text


def test_of_several_wrong_filters_each_is_explained_and_left_out_of_the_way_on(
    client: PageClient,
) -> None:
    page = client.get("/gallery/?true=unicorn&low=many&said=cat&outcome=maybe")
    assert page.status == 404
    for words in ("no class called “unicorn”", "“low” takes a percentage", "“maybe”"):
        assert words in page.text
    assert 'href="/gallery/?said=cat"' in page.html


def test_no_query_string_breaks_the_gallery(client: PageClient) -> None:
    draw = random.Random(0)
    values = {
        "model": ["tiny", "other", "", "x"],
        "true": [*CLASSES, "", "\x00"],
        "said": [*CLASSES, "", "käse"],
        "outcome": [*OUTCOMES, "", "1"],
        "low": ["", "0", "33.3", "100", "nan", "1e9", "-0"],
        "high": ["", "0", "66.6", "100", "inf"],
        "differs": ["tiny", "other", "", "../x"],
        "suspect": ["yes", "no", "", "maybe"],
        "copy": ["yes", "no", "contradicts", "", "1"],
        "sort": [*ORDERS, "", "__class__"],
        "order": ["up", "down", "", "?"],
        "seed": ["", "0", "999999", "-1", "9" * 50],
        "page": ["", "1", "2", "100", "0", "99999999999999999999"],
        "place": ["", "1", "50", "x"],
    }
    statuses = set()
    for _ in range(300):
        names = draw.sample(sorted(values), draw.randrange(len(values)))
        query = urlencode({name: draw.choice(values[name]) for name in names})
        path = draw.choice(["/gallery/", "/gallery.json", "/gallery/17", "/gallery/at"])
        statuses.add(client.fetch(f"{path}?{query}").status_code)
    assert {200, 400, 404} <= statuses <= {200, 302, 400, 404}
