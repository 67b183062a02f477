"""Whatever stands in an address, a page about results answers, and never with an error of ours."""

from __future__ import annotations

import random
from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest
from flask import Flask

from model_training.datasets.catalog.cifar10 import CLASSES
from tests.page_client import PageClient
from webapp.comparison.columns import BY_NAME
from webapp.gallery.selection import COPIES, ORDERS, OUTCOMES

NAMES = ["tiny", "other", "", "nobody", "../tiny", "TINY", "custom-cnn"]
NUMBERS = ["", "0", "1", "7", "9999", "10000", "-1", "1e3", "٣", "0x10", "9" * 40]
ODD = ["", "\x00", "käse", "%", "<b>", "{{7*7}}", "' or 1=1", "😀", "a" * 3000]
QUERY = {
    "model": NAMES,
    "true": [*CLASSES, ""],
    "said": [*CLASSES, ""],
    "outcome": [*OUTCOMES, ""],
    "low": ["", "0", "33.3", "100", "nan", "1e9", "-0"],
    "high": ["", "0", "66.6", "100", "inf"],
    "differs": NAMES,
    "suspect": ["yes", "no", "", "maybe"],
    "copy": [*COPIES, ""],
    "sort": [*ORDERS, *BY_NAME, "", "__class__"],
    "order": ["up", "down", ""],
    "seed": NUMBERS,
    "page": NUMBERS,
    "place": NUMBERS,
    "left": NAMES,
    "right": NAMES,
    "data": ["CIFAR-10", "cifar10", "", "MNIST"],
}
ADDRESSES: dict[str, Callable[[random.Random], str]] = {
    "the gallery": lambda draw: draw.choice(["/gallery/", "/gallery.json", "/gallery/at"]),
    "one image": lambda draw: f"/gallery/{piece(draw, NUMBERS)}",
    "the table": lambda draw: draw.choice(["/models/", "/models.csv"]),
    "one report": lambda draw: f"/models/{piece(draw, NAMES)}{draw.choice(['', '.json'])}",
    "two models": lambda _draw: "/models/compare",
    "the data set": lambda draw: draw.choice(
        ["/dataset/", "/dataset/cifar10", "/dataset/cifar10.json"]
    ),
    "one folder": lambda draw: f"/dataset/{piece(draw, NAMES)}{draw.choice(['', '.json'])}",
}


def piece(draw: random.Random, known: list[str]) -> str:
    """A part of a path: mostly one that means something."""
    return quote(draw.choice(known if draw.random() < 0.8 else ODD), safe="")


def query(draw: random.Random) -> str:
    """Some parameters with values that mean something, and some with any; at times mere noise."""
    if draw.random() < 0.1:
        return "".join(draw.choices("abc=&;%+.[]0\\", k=draw.randrange(60)))
    names = draw.sample(sorted(QUERY), draw.randrange(5))
    pairs = [
        (name, draw.choice(QUERY[name] if draw.random() < 0.85 else ODD))
        for name in names
        for _ in range(draw.choice([1, 1, 1, 2]))
    ]
    return urlencode(pairs)


@pytest.mark.parametrize("what", ADDRESSES)
def test_no_address_breaks_a_page(what: str, two_models: Flask) -> None:
    client, draw = PageClient(two_models.test_client()), random.Random(what)
    statuses = set()
    for _ in range(60):
        address = f"{ADDRESSES[what](draw)}?{query(draw)}"
        # The app is under test: an error of ours is raised here with its traceback.
        answer = client.fetch(address)
        statuses.add(answer.status_code)
        assert answer.status_code in (200, 302, 308, 400, 404), (address, answer.status_code)
    assert statuses & {400, 404}, "nothing that was drawn is wrong"
    assert 200 in statuses or what == "one folder", "nothing that was drawn is right"
