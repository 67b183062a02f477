"""Two models against each other: figures, words, and links to the images."""

from __future__ import annotations

import re

import numpy as np
import pytest
from flask import Flask

from tests.page_client import PageClient
from webapp.library import load_library


@pytest.fixture
def client(two_models: Flask) -> PageClient:
    return PageClient(two_models.test_client())


def test_two_models_are_compared_on_the_same_images(client: PageClient, two_models: Flask) -> None:
    results = load_library(two_models).results
    labels = results["tiny"].bundle.predictions.test_labels
    tiny, other = (results[name].predicted == labels for name in ("tiny", "other"))
    page = client.get("/models/compare?left=tiny&right=other")
    assert f"{tiny.mean():.2%}" in page.text and f"{other.mean():.2%}" in page.text
    assert f"Tiny network alone is right on {(tiny & ~other).sum():,}" in page.text
    assert f"Other network alone on {(other & ~tiny).sum():,}" in page.text
    points = f"{(tiny.mean() - other.mean()) * 100:+.2f}".replace("-", "\N{MINUS SIGN}")
    assert points in page.text
    for name, score in (("Tiny", tiny), ("Other", other)):
        cat = np.flatnonzero(labels == 3)
        assert f"{score[cat].mean():.1%}" in page.text.split("Recall of each class")[1], name


def test_each_count_leads_to_exactly_those_images(client: PageClient) -> None:
    page = client.get("/models/compare?left=tiny&right=other")
    links = re.findall(r'<td class="n strong"><a href="([^"]+)">([\d,]+)</a>', page.html)
    links += re.findall(r'<a href="(/gallery/[^"]+)">([\d,]+) images</a>', page.html)
    assert len(links) == 3
    for address, count in links:
        twin = address.replace("&amp;", "&").replace("/gallery/", "/gallery.json")
        assert client.fetch(twin).get_json()["count"] == int(count.replace(",", ""))


def test_without_a_choice_the_two_best_are_compared(client: PageClient) -> None:
    page = client.get("/models/compare")
    assert 'value="tiny" selected' in page.html and 'value="other" selected' in page.html


def test_a_model_against_itself_does_not_differ(client: PageClient) -> None:
    page = client.get("/models/compare?left=tiny&right=tiny")
    assert "A model against itself" in page.text
    assert "+0.00" in page.text


def test_one_model_alone_is_said(site: Flask) -> None:
    page = PageClient(site.test_client()).get("/models/compare")
    assert "only one model here" in page.text


def test_an_unknown_model_is_said(client: PageClient) -> None:
    page = client.get("/models/compare?left=nobody")
    assert (page.status, "There is: other, tiny" in page.text or "tiny, other" in page.text) == (
        404,
        True,
    )
