"""Two models against each other: figures, words, and links to the images."""

from __future__ import annotations

import dataclasses
import hashlib
import re

import numpy as np
import pytest
from flask import Flask

from model_training.bundles.bundle import Bundle
from model_training.judging.metrics import CalibrationBin
from tests.page_client import PageClient
from webapp.charts.reliability import reliability_diagram
from webapp.comparison.versus import make_versus
from webapp.library import Result, load_library


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
    links = re.findall(r'<td class="four-one"><a href="([^"]+)">([\d,]+)</a>', page.html)
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
    assert "Difference 0.00 percentage points" in page.text


def test_one_model_alone_is_said(site: Flask) -> None:
    page = PageClient(site.test_client()).get("/models/compare")
    assert "only one model here" in page.text


def test_an_unknown_model_is_said(client: PageClient) -> None:
    page = client.get("/models/compare?left=nobody")
    assert (page.status, "Available: other, tiny" in page.text or "tiny, other" in page.text) == (
        404,
        True,
    )


def test_the_report_and_its_twin_say_the_same(client: PageClient) -> None:
    page = client.get("/models/tiny")
    twin = client.fetch("/models/tiny.json").get_json()
    assert f"Test accuracy {twin['accuracy']['value']:.2%}" in page.text
    low, high = twin["accuracy"]["low"], twin["accuracy"]["high"]
    assert f"95% interval {low:.1%} to {high:.1%}" in page.text
    for row in twin["classification"]["classes"]:
        figures = f"{row['name']} {row['precision']:.3f} {row['recall']:.3f} {row['f1']:.3f}"
        assert figures in page.text
    cells = [int(n) for n in re.findall(r'<td class="is-[^"]+">(?:<a [^>]*>)?(\d+)<', page.html)]
    assert [cells[n : n + 10] for n in range(0, 100, 10)] == list(twin["confusion"].values())
    assert f"off by {twin['calibration_error'] * 100:.1f} percentage points" in page.text
    assert f"by {twin['calibrated_error'] * 100:.1f} percentage points" in page.text
    assert f"All {twin['wrong']:,} mistakes" in page.text
    assert twin["card"]["parameters"] == 346
    for one in twin["mistakes"]:
        assert f"{one['true_class']} ✗ wrong, says {one['predicted_class']}" in page.text


def test_the_surest_mistakes_are_the_surest(client: PageClient, two_models: Flask) -> None:
    result = load_library(two_models).results["tiny"]
    wrong = result.predicted != result.bundle.predictions.test_labels
    shown = client.fetch("/models/tiny.json").get_json()["mistakes"]
    assert shown[0]["confidence"] == pytest.approx(float(result.confidence[wrong].max()))
    assert all(wrong[one["number"]] for one in shown)


def test_the_reliability_diagram_holds_every_image(client: PageClient) -> None:
    page = client.get("/models/tiny")
    before, after = re.findall(r'aria-label="(Before|After)[^"]*"', page.html), page.html
    assert before == ["Before", "After"]
    for words in re.findall(r'aria-label="(?:Before|After)([^"]*)"', after):
        counts = re.findall(r"right on [\d.]+% of ([\d,]+) images", words)
        assert sum(int(count.replace(",", "")) for count in counts) == 10_000


def test_a_bar_of_few_images_is_pale(client: PageClient) -> None:
    bins = [
        CalibrationBin(99, 1.0, 0.2),
        CalibrationBin(0, 0.0, 0.0),
        CalibrationBin(100, 0.5, 0.9),
    ]
    diagram = reliability_diagram("Before", bins, 0.1)
    assert [(one.count, one.few) for one in diagram.bins] == [(99, True), (100, False)]
    assert diagram.furthest is diagram.bins[1], "what few images say is not held against a model"
    page = client.get("/models/tiny")
    pale = page.html.count('class="reliability-bar reliability-few"')
    counts = re.findall(r"Right on \S+ of ([\d,]+) images</title>", page.html)
    few = sum(int(count.replace(",", "")) < 100 for count in counts)
    assert pale == few == page.html.count('<tr class="faint">')
    assert "fewer than 100 images" in page.text


def test_every_bar_stands_in_numbers_too(client: PageClient) -> None:
    page = client.get("/models/tiny")
    tables = re.findall(r"<summary>Each bar in numbers</summary>(.*?)</table>", page.html, re.S)
    assert len(tables) == 2
    for table in tables:
        rows = re.findall(r'<td class="n">([\d.>%]+)</td><td class="n">([\d,]+)</td>', table)
        assert sum(int(count.replace(",", "")) for _share, count in rows) == 10_000


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (0, "Both are right equally often here"),
        (0.1, "The difference may be due to chance"),
        (0.5, "Other network is slightly better"),
        (2, "Other network is better"),
        (8.5, "Other network is clearly better"),
        (20, "Other network is far better"),
    ],
)
def test_a_verdict_fits_the_size_of_its_difference(
    points: float, words: str, two_models: Flask
) -> None:
    left, right = (load_library(two_models).results[name] for name in ("tiny", "other"))
    labels = left.bundle.predictions.test_labels

    def answering(result: Result, wrong: range) -> Result:
        answers = np.eye(10, dtype=np.float32)[labels]
        answers[wrong] = np.roll(answers[wrong], 1, axis=1)
        stored = dataclasses.replace(result.bundle.predictions, test=answers)
        return Result(dataclasses.replace(result.bundle, predictions=stored))

    # Beside the difference, each is wrong on 200 images that the other knows.
    worse = answering(left, range(200 + round(points * 100)))
    better = answering(right, range(9_800, 10_000))
    assert make_versus(worse, better).verdict == words


def test_the_bundle_can_be_kept(client: PageClient, tiny_bundle: Bundle) -> None:
    page = client.get("/models/tiny")
    addresses = re.findall(r'href="(/models/tiny/files/[^"]+)" download', page.html)
    assert [one.rsplit("/", 1)[1] for one in addresses] == list(tiny_bundle.files)
    answer = client.fetch("/models/tiny/files/model.keras")
    assert hashlib.sha256(answer.data).hexdigest() == tiny_bundle.card.files["model.keras"]
    assert "tiny-model.keras" in answer.headers["Content-Disposition"]
    assert client.get("/models/tiny/files/..%2Fsecret").status == 404
    assert "Available: model.keras" in client.get("/models/tiny/files/secret").text


def test_an_unknown_model_is_an_error_in_the_form_that_was_asked_for(client: PageClient) -> None:
    answer = client.fetch("/models/nobody.json")
    assert answer.status_code == 404
    assert "no model called" in answer.get_json()["error"]["detail"]
