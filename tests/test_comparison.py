"""Two models against each other: figures, words, and links to the images."""

from __future__ import annotations

import csv
import hashlib
import io
import re

import numpy as np
import pytest
from flask import Flask

from model_training.bundles.bundle import Bundle
from model_training.judging.metrics import CalibrationBin
from model_training.recipes import RECIPES
from tests.page_client import Page, PageClient
from webapp.charts.points import Label, place_labels
from webapp.charts.reliability import reliability_diagram
from webapp.comparison.table import BY_NAME, COLUMNS
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
    assert f"off by {twin['calibration_error']:.1%}" in page.text
    assert f"by {twin['calibrated_error']:.1%}" in page.text
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


def test_the_table_comes_as_a_spreadsheet(client: PageClient, two_models: Flask) -> None:
    answer = client.fetch("/models.csv")
    assert answer.mimetype == "text/csv"
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    assert set(rows) == {"tiny", "other", *RECIPES}
    page = client.get("/models/")
    for row in (rows["tiny"], rows["other"]):
        assert f"{float(row['accuracy']):.2%}" in page.text
        assert f"{float(row['f1']):.3f}" in page.text
        assert f"{float(row['loss']):.3f}" in page.text
    tiny = rows["tiny"]
    assert (tiny["layers"], tiny["dense"], tiny["parameters"]) == ("3", "1", "346")
    assert (tiny["batch_norm"], tiny["dropout"]) == ("yes", "yes")


def column(page: Page, name: str) -> list[str]:
    """One column of the comparison table, as it is shown."""
    titles = [one.title for one in COLUMNS]
    body = page.html.split("<tbody>")[1].split("</tbody>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.S)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in rows]
    return [re.sub(r"<[^>]+>", "", row[titles.index(name)]).strip() for row in cells]


@pytest.mark.parametrize("order", ["up", "down"])
@pytest.mark.parametrize("name", [one.name for one in COLUMNS])
def test_the_table_is_ordered_by_any_column(name: str, order: str, client: PageClient) -> None:
    page = client.get(f"/models/?sort={name}&order={order}")
    assert f'aria-sort="{"ascending" if order == "up" else "descending"}"' in page.html
    twin = client.fetch("/models.csv").text
    rows = {row["title"]: row[name] for row in csv.DictReader(io.StringIO(twin))}
    titles = [title.split("  ")[0].split("\n")[0] for title in column(page, "Model")]
    shown = [rows[re.sub(r" (default|not here yet|reported only)$", "", t)] for t in titles]
    there = [value for value in shown if value]
    assert shown == there + [""] * (len(shown) - len(there)), "what is missing comes last"
    values = [float(v) for v in there] if BY_NAME[name].is_number else there
    assert values == sorted(values, reverse=order == "down")


def test_a_network_that_was_not_trained_here_shows_only_what_was_reported(
    client: PageClient,
) -> None:
    page = client.get("/models/?sort=reported")
    models, reported = column(page, "Model"), column(page, "Reported")
    (place,) = [n for n, model in enumerate(models) if "ResNet50" in model]
    assert reported[place] == "96.00%"
    assert column(page, "Test accuracy")[place] == "–"
    assert "reported only" in models[place]
    assert "too large to be trained" in page.text
    assert "flask train resnet50-224" not in page.text
    assert "flask train best-cnn" in page.text


def test_a_bar_of_few_images_is_pale(client: PageClient) -> None:
    bins = [CalibrationBin(19, 1.0, 0.2), CalibrationBin(0, 0.0, 0.0), CalibrationBin(20, 0.5, 0.9)]
    diagram = reliability_diagram("Before", bins, 0.1)
    assert [(one.count, one.few) for one in diagram.bins] == [(19, True), (20, False)]
    page = client.get("/models/tiny")
    pale = page.html.count('class="reliability-bar reliability-few"')
    counts = [int(n) for n in re.findall(r"Right on \S+ of (\d+) images</title>", page.html)]
    assert pale == sum(count < 20 for count in counts)
    assert "fewer than 20 images" in page.text


def test_names_in_a_plot_do_not_lie_on_each_other() -> None:
    # One on its own, and four whose names would meet, the first of them at the edge.
    points = [("alone", 250.0, 180.0)]
    points += [("first", 70.0, 62.0), ("second", 116.0, 60.0), ("third", 128.0, 48.0)]
    points += [("network-of-all", 128.0, 90.0)]
    labels = place_labels(points)
    assert (labels[0].anchor, labels[0].x) == ("start", 259.0)
    boxes = []
    for (name, _, _), label in zip(points, labels, strict=True):
        left, right = ends(name, label)
        boxes.append((left, label.y, right, label.y + 14))
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            apart = one[2] <= other[0] or other[2] <= one[0]
            assert apart or one[3] <= other[1] or other[3] <= one[1], points[number][0]


def test_no_name_seems_to_be_that_of_another_point() -> None:
    points = [("custom-cnn", 56.0, 49.0), ("fast-cnn", 108.0, 46.0), ("tuned", 121.0, 35.0)]
    label = place_labels(points)[1]
    left, right = ends("fast-cnn", label)
    away = max(left - 121, 121 - right, label.y - 11 - 35, 35 - (label.y + 3))
    assert away >= 9, "fast-cnn would stand beside the point of tuned"


def ends(name: str, label: Label) -> tuple[float, float]:
    """Where `name` begins and ends when it is drawn."""
    width = 6.6 * len(name)
    left = label.x - width * {"start": 0, "middle": 0.5, "end": 1}[label.anchor]
    return left, left + width


def test_the_plots_show_measured_and_reported_apart(client: PageClient) -> None:
    page = client.get("/models/")
    plot = re.search(r'aria-label="(Accuracy against parameters[^"]*)"', page.html)
    assert plot and "ResNet50 at 224 pixels: 96.00% reported, 49,723,082" in plot[1]
    assert "49,723,082.0" not in plot[1], "a count of parameters has no decimals"
    measured = page.html.count('<circle class="point" cx=') - page.html.count('cx="6" cy="6" r="5"')
    assert measured == 4, "two models in two plots"
    times = re.search(r'aria-label="(Accuracy against training time[^"]*)"', page.html)
    assert times and "reported" not in times[1]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sort=beauty", "no column called “beauty”"),
        ("order=sideways", "up, down"),
        ("data=MNIST", "CIFAR-10"),
    ],
)
def test_a_wrong_order_is_explained(query: str, words: str, client: PageClient) -> None:
    page = client.get(f"/models/?{query}")
    assert (page.status, words in page.text) == (404, True)


def test_the_bundle_can_be_kept(client: PageClient, tiny_bundle: Bundle) -> None:
    page = client.get("/models/tiny")
    addresses = re.findall(r'href="(/models/tiny/files/[^"]+)" download', page.html)
    assert [one.rsplit("/", 1)[1] for one in addresses] == list(tiny_bundle.files)
    answer = client.fetch("/models/tiny/files/model.keras")
    assert hashlib.sha256(answer.data).hexdigest() == tiny_bundle.card.files["model.keras"]
    assert "tiny-model.keras" in answer.headers["Content-Disposition"]
    assert client.get("/models/tiny/files/..%2Fsecret").status == 404
    assert "There is: model.keras" in client.get("/models/tiny/files/secret").text


def test_an_unknown_model_is_an_error_in_the_form_that_was_asked_for(client: PageClient) -> None:
    answer = client.fetch("/models/nobody.json")
    assert answer.status_code == 404
    assert "no model called" in answer.get_json()["error"]["detail"]
