"""A model of seven classes answers by default: no page speaks of another data set."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from flask import Flask
from PIL import Image

from model_training.bundles.bundle import Bundle
from model_training.datasets.catalog import cifar10
from model_training.datasets.pictures.sprites import untile
from tests import garden
from tests.conftest import SHIPPED_DATA, make_site
from tests.page_client import PageClient, check
from webapp.library import load_library

OF_EACH_KIND = 3
"""So many addresses are visited that differ only in their numbers and values."""
ADDRESSES = (
    "/",
    "/?model=sprout",
    "/?example=0",
    "/?example=1&all=1",
    "/gallery/",
    "/gallery/?data=garden",
    "/gallery/?page=2",
    "/gallery/?model=sprout&outcome=wrong&sort=confidence&order=down",
    "/gallery.json",
    "/gallery/160",
    "/dataset/",
    "/dataset/garden",
    "/dataset/garden.json",
    "/models/",
    "/models/?data=garden&sort=f1",
    "/models.csv",
    "/models/sprout",
    "/models/sprout.json",
    "/models/compare",
    "/about",
    "/openapi.json",
    "/readyz",
    # What is wrong is explained, and the explanation names what there is.
    "/?model=nobody",
    "/?example=161",
    "/gallery/161",
    "/gallery/?true=nothing",
    "/gallery/?data=nothing",
    "/gallery/?suspect=yes",
    "/dataset/nothing",
    "/models/nothing",
    "/models/?sort=beauty",
    "/models/compare?left=nobody",
)
FOREIGN = re.compile(
    rf"cifar|\b(?:{'|'.join(cifar10.CLASSES)})(?:e?s)?\b|\bten\b|\b10 (?:classes|things)\b"
    r"|\b10,000\b|\b50,000\b|\b5,000\b|32×32",
    re.I,
)


@pytest.fixture(scope="module")
def site(garden_home: Path) -> Flask:
    """The site of that folder, where there is nothing else."""
    app = make_site(garden_home, DEFAULT_MODEL="sprout")
    load_library(app)
    return app


@pytest.fixture(scope="module")
def client(site: Flask) -> Iterator[PageClient]:
    with site.test_client() as plain:
        yield PageClient(plain)


@pytest.fixture(scope="module")
def both(
    garden_home: Path, tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageClient]:
    """Visits a site with the seven classes and with CIFAR-10, a model of each."""
    folder = tmp_path_factory.mktemp("both")
    for kind, path in (
        ("models", garden_home / "models" / "sprout"),
        ("models", tiny_bundle.path),
        ("data", garden_home / "data" / garden.NAME),
        ("data", SHIPPED_DATA / "cifar10"),
    ):
        (folder / kind).mkdir(exist_ok=True)
        (folder / kind / path.name).symlink_to(path)
    with make_site(folder, DEFAULT_MODEL="sprout").test_client() as plain:
        yield PageClient(plain)


def photo(side: int = 60) -> io.BytesIO:
    """A photo of nothing that either model knows."""
    file = io.BytesIO()
    pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    file.seek(0)
    return file


def foreign(text: str) -> list[str]:
    """Return the words of `text` that speak of another data set than the seven classes."""
    return [match[0] for match in FOREIGN.finditer(text.replace("Ten Classes", ""))]


def crawl(client: PageClient) -> dict[str, str]:
    """Return the text of every page that can be reached, a few of each kind of address."""
    waiting, seen, kinds = deque(ADDRESSES), set(ADDRESSES), Counter[object]()
    texts: dict[str, str] = {}
    while waiting:
        address = waiting.popleft()
        answer = client.fetch(address, follow_redirects=True)
        if address not in ADDRESSES:
            assert answer.status_code == 200, address
        if answer.mimetype == "text/html":
            # The head has titles and descriptions, and addresses name classes as well.
            texts[address] = check(answer).html
            links = re.findall(r'(?:href|src|action)="(/[^"#]*)', texts[address])
        elif answer.mimetype in ("application/json", "text/csv"):
            texts[address], links = answer.text, []
        else:
            assert answer.status_code == 200 and answer.data, address
            links = []
        for link in (one.replace("&amp;", "&") for one in links):
            parts = urlsplit(link)
            kind = (
                re.sub(r"\d+|[\w-]{12,}", "*", parts.path),
                frozenset(name for name, _ in parse_qsl(parts.query)),
            )
            if link not in seen and kinds[kind] < OF_EACH_KIND and link != "/feedback/":
                seen.add(link)
                kinds[kind] += 1
                waiting.append(link)
    return texts


def test_no_page_speaks_of_another_data_set(client: PageClient) -> None:
    texts = crawl(client)
    assert set(ADDRESSES) <= set(texts) and len(texts) > 60
    wrong = {address: foreign(text) for address, text in texts.items() if foreign(text)}
    assert wrong == {}
    named = [address for address, text in texts.items() if "acorn" in text]
    assert len(named) > 30, "the seven classes are named instead"


def test_no_answer_speaks_of_another_data_set(client: PageClient) -> None:
    one = client.post("/", data={"image": (photo(), "a.png")})
    two = client.post("/", data={"image": [(photo(40), "a.png"), (photo(50), "b.png")]})
    none = client.post("/", data={"image": (io.BytesIO(b"no"), "a.png")})
    for page in (one, two, none):
        assert foreign(page.html) == []
    assert one.html.count('class="bars-value"') == 7
    assert "of these seven things" in none.text
    answer = client.plain.post("/api/classify", data={"image": (photo(), "a.png")}).get_json()
    assert sorted(answer["probabilities"]) == list(garden.CLASSES)


def test_no_seventh_of_a_class_is_a_tenth(client: PageClient) -> None:
    page = client.get("/dataset/")
    for label, name in enumerate(garden.CLASSES):
        learned = 40 + 5 * label
        validated = max(1, round(learned / 10))
        assert f"{name} {learned - validated} {validated} {20 + label}" in page.text
    assert "The commonest class is snail" in page.text and "one time in" not in page.text
    assert garden.ABOUT.lead in page.text and garden.ABOUT.notes[0].text in page.text
    assert garden.ABOUT.means in page.text


def test_the_description_for_programs_asks_for_no_data_sets_classes(client: PageClient) -> None:
    words = set(re.findall(r"\w+", client.fetch("/openapi.json").get_data(as_text=True).lower()))
    assert words & {"probabilities"} and not words & {*garden.CLASSES, *cifar10.CLASSES}


def test_the_gallery_shows_every_test_image_as_it_is(client: PageClient) -> None:
    test = garden.make_garden().test
    for page in (1, 2):
        html = client.get(f"/gallery/?page={page}").html
        (sheet,) = set(re.findall(r'<image href="([^"]+)"', html))
        picture = Image.open(io.BytesIO(client.fetch(sheet).data)).convert("RGB")
        images = untile(np.asarray(picture), garden.SIDE)
        places = re.findall(r'viewBox="(\d+) (\d+) 24 24"[^>]*aria-label="Test image (\d+)"', html)
        assert len(places) == (100, garden.TEST_IMAGES - 100)[page - 1]
        for x, y, number in places:
            shown = images[int(y) // garden.SIDE * 10 + int(x) // garden.SIDE]
            assert np.array_equal(shown, test.images[int(number)])


def test_both_data_sets_have_all_their_pages(both: PageClient) -> None:
    for address in (
        "/gallery/?data=garden",
        "/gallery/?data=cifar10",
        "/gallery/?data=CIFAR-10",
        "/gallery/17?data=cifar10",
        "/gallery/17?model=tiny",
        "/models/?data=garden",
        "/models/?data=cifar10",
        "/dataset/garden",
        "/dataset/cifar10",
        "/models/tiny",
        "/models/sprout",
        "/?example=3&model=tiny",
    ):
        assert both.get(address).status == 200, address
    index = both.get("/dataset/").text
    assert garden.TITLE in index and "CIFAR-10" in index


def test_each_data_set_is_a_click_away_from_the_other(both: PageClient) -> None:
    for address in ("/", "/gallery/"):
        page = both.get(address)
        (switch,) = re.findall(r'<nav class="switch".*?</nav>', page.html, re.S)
        here, other = re.findall(r'<a href="([^"]+)"( aria-current="page")?>([^<]+)</a>', switch)
        assert (here[2], bool(here[1])) == (garden.TITLE, True)
        assert (other[2], bool(other[1])) == ("CIFAR-10", False)
        assert "CIFAR-10" in both.get(other[0].replace("&amp;", "&")).text


def test_no_page_mixes_two_data_sets(both: PageClient) -> None:
    for address, own, other in (
        ("/gallery/", garden.CLASSES, cifar10.CLASSES),
        ("/gallery/3", garden.CLASSES, cifar10.CLASSES),
        ("/?example=3", garden.CLASSES, cifar10.CLASSES),
        ("/gallery/?model=tiny", cifar10.CLASSES, garden.CLASSES),
        ("/gallery/3?data=cifar10", cifar10.CLASSES, garden.CLASSES),
        ("/?example=3&model=tiny", cifar10.CLASSES, garden.CLASSES),
    ):
        page = both.get(address)
        shown = re.sub(r"<select.*?</select>", "", page.html.split("<main")[1], flags=re.S)
        words = set(re.findall(r"\w+", re.sub(r'"/[^"]*"|class="[^"]*"|<form.*?>', "", shown)))
        assert words & set(own), address
        assert not words & set(other), address


def test_the_table_and_its_plots_are_of_one_data_set_if_asked(both: PageClient) -> None:
    ours, theirs = both.get("/models/?data=garden"), both.get("/models/?data=cifar10")
    for page, here, elsewhere in ((ours, "sprout", "tiny"), (theirs, "tiny", "sprout")):
        names = set(re.findall(r'<a href="/models/([\w-]+)"', page.html.split("<table")[1]))
        assert here in names and elsewhere not in names
    assert "resnet50-224" in theirs.html and "resnet50-224" not in ours.html
    rows = csv.DictReader(io.StringIO(both.fetch("/models.csv?data=garden").text))
    assert {row["name"] for row in rows} == {"sprout"}
    assert "tiny" in both.fetch("/models.csv?data=CIFAR-10").text


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/gallery/?data=garden&model=tiny", "tested on other images: CIFAR-10"),
        ("/gallery/?model=tiny&differs=sprout", f"tested on other images: {garden.TITLE}"),
        ("/models/compare?left=tiny&right=sprout", f"tested on other images: {garden.TITLE}"),
        ("/gallery/?model=tiny&true=acorn", "no class called “acorn”"),
        ("/gallery/?data=nothing", "Available: garden (Garden finds), cifar10 (CIFAR-10)"),
    ],
)
def test_models_of_other_images_are_refused_in_words(
    address: str, words: str, both: PageClient
) -> None:
    page = both.get(address)
    assert (page.status, words in page.text) == (404, True), page.text


def test_a_photo_is_judged_by_models_of_one_data_set(both: PageClient) -> None:
    page = both.post("/", data={"image": (photo(), "a.png"), "model": "tiny"})
    assert "opinions-title" not in page.html, "the other one knows other classes"
    assert re.search(r"The network took [\d.]+ ms", page.text)
    answer = both.plain.post("/api/classify", data={"image": (photo(), "a.png"), "model": "tiny"})
    assert set(answer.get_json()["probabilities"]) == set(cifar10.CLASSES)


def test_the_chosen_models_classes_and_examples_are_on_the_first_page(both: PageClient) -> None:
    for query, chosen, side, classes in (
        ("", "", 24, garden.CLASSES),
        ("?model=tiny", "&amp;model=tiny", 32, cifar10.CLASSES),
    ):
        page = both.get(f"/{query}")
        chips = re.findall(r"<li>([^<]+)</li>", page.html.split('class="chips"')[1])
        assert chips[: len(classes)] == list(classes)
        links = re.findall(r'<a href="/\?example=(\d+)([^"]*)"><img [^>]*src="([^"]+)"', page.html)
        assert len(links) == len(classes) and {more for _, more, _ in links} == {chosen}
        picture = Image.open(io.BytesIO(both.fetch(links[0][2]).data))
        assert picture.size == (side, side)


def test_the_json_of_a_data_set_says_what_its_page_says(both: PageClient) -> None:
    twin = both.fetch("/dataset/garden.json").get_json()
    assert twin["classes"] == list(garden.CLASSES) and twin["models"] == ["sprout"]
    assert sum(twin["counts"]["test"].values()) == garden.TEST_IMAGES
    assert json.loads(both.fetch("/dataset/cifar10.json").text)["suspected_labels"] > 10
