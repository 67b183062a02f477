"""`/models/`: thirty rows in groups, filters and views by the address, and plots that lead on."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import json
import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from flask import Flask

from model_training.bundles.bundle import Bundle
from model_training.recipes import RECIPES
from tests import garden
from tests.page_client import Page, PageClient
from tests.shelf import NAMES, make_shelf, report_of
from webapp.comparison.columns import BY_NAME, COLUMNS, FIRST, VIEWS
from webapp.library import NO_AUDIT, Result, get_library

HERE = {name for name, one in RECIPES.items() if one.data_set == "cifar10"}
"""Recipes of other data sets are listed for who asks."""
TRANSFER = {name for name in HERE if RECIPES[name].pretrained}


@pytest.fixture(scope="module")
def shelf(
    tiny_bundle: Bundle, garden_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Flask:
    """A site with thirty models."""
    return make_shelf(tiny_bundle, garden_home, tmp_path_factory.mktemp("shelf"))


@pytest.fixture
def client(shelf: Flask) -> PageClient:
    return PageClient(shelf.test_client())


def groups(page: Page) -> dict[str, list[dict[str, str]]]:
    """Return the table as it is shown: for each group its rows, by the titles of the columns."""
    table = re.search(r"<table.*?</table>", page.html, re.S)
    assert table
    titles = [text(one).rstrip(" ▾▴") for one in re.findall(r"<th scope=\"col\".*?</th>", table[0])]
    found = {}
    for body in re.findall(r"<tbody.*?</tbody>", table[0], re.S):
        head, *rows = re.findall(r"<tr.*?</tr>", body, re.S)
        cells = [re.findall(r"<t[hd].*?</t[hd]>", row, re.S) for row in rows]
        shown = [dict(zip(titles, map(text, row), strict=True)) for row in cells]
        for one, row in zip(shown, rows, strict=True):
            one["name"] = re.search(r'href="/models/([^"]+)"', row)[1]  # type: ignore[index]
        found[text(head).rsplit(" ", 1)[0]] = shown
    return found


def names(page: Page) -> set[str]:
    return {row["name"] for rows in groups(page).values() for row in rows}


def text(source: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", source)).split())


def twin(client: PageClient, query: str = "") -> dict[str, dict[str, str]]:
    rows = csv.DictReader(io.StringIO(client.fetch(f"/models.csv?{query}").text))
    return {row["name"]: row for row in rows}


def test_all_models_stand_in_groups_of_one_data_set_and_kind(client: PageClient) -> None:
    found = groups(client.get("/models/"))
    by_group = {title: {row["name"] for row in rows} for title, rows in found.items()}
    plain = {name for name in NAMES if name.startswith("plain")}
    assert by_group == {
        "CIFAR-10, from scratch": {"tiny"} | plain | HERE - TRANSFER,
        "CIFAR-10, by transfer": set(NAMES) - plain | TRANSFER,
        f"{garden.TITLE}, from scratch": {"sprout"},
    }
    assert sum(map(len, found.values())) >= 30


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("data=garden", {"sprout"}),
        ("kind=transfer&results=here", {n for n in NAMES if n.startswith("carried")}),
        ("kind=transfer&results=none", TRANSFER),
        ("data=CIFAR-10&kind=scratch&results=none", HERE - TRANSFER),
        ("data=garden&kind=transfer", set()),
    ],
)
def test_the_address_chooses_the_rows(query: str, expected: set[str], client: PageClient) -> None:
    page = client.get(f"/models/?{query}")
    assert set(twin(client, query)) == expected
    if expected:
        assert names(page) == expected
    else:
        assert (
            "No model matches all of these filters" in page.text and 'href="/models/"' in page.html
        )


def test_each_choice_leads_to_what_it_says_and_keeps_the_others(client: PageClient) -> None:
    page = client.get("/models/?data=cifar10&kind=transfer&show=cost&sort=parameters")
    (nav,) = re.findall(r'<nav class="choices".*?</nav>', page.html, re.S)
    links = dict(re.findall(r'<a href="([^"]+)"[^>]*>([^<]+)</a>', nav))
    here = re.findall(r'aria-current="true">([^<]+)</a>', nav)
    assert here == ["CIFAR-10", "by transfer", "all", "Cost"]
    garden_link = next(link for link, words in links.items() if words == garden.TITLE)
    assert html.unescape(garden_link) == (
        "/models/?data=garden&kind=transfer&show=cost&sort=parameters"
    )
    for link in links:
        assert client.get(html.unescape(link)).status == 200


def test_the_page_names_the_data_sets_that_nobody_audited(
    client: PageClient, shelf: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = f"“Without doubtful images” is empty for {garden.TITLE}"
    assert f"{empty}. {NO_AUDIT}" in client.get("/models/?show=figures").text
    assert "is empty" not in client.get("/models/?show=figures&data=cifar10").text
    assert "is empty" not in client.get("/models/").text, "the column is not among these"
    with shelf.app_context():
        served = get_library().data_sets
    monkeypatch.setitem(served, "garden", dataclasses.replace(served["garden"], kept=None))
    page = client.get("/models/?show=figures")
    assert f"{empty}: there are no test images here" in page.text and NO_AUDIT not in page.text


def test_at_first_six_columns_matter(client: PageClient) -> None:
    row = groups(client.get("/models/"))["CIFAR-10, from scratch"][0]
    assert [name for name in row if name != "name"] == [
        "Model",
        "Test accuracy",
        "Reported",
        "Difference",
        "Parameters",
        "Training",
    ]
    assert row["Test accuracy"] == "95.00%" and row["Reported"] == "60%"
    assert row["Difference"] == "+35.0" and row["Model"] == "Plain 0 report only plain-0"


def test_every_column_is_in_a_view_and_in_the_spreadsheet(client: PageClient) -> None:
    assert {name for view in VIEWS.values() for name in view} == set(BY_NAME)
    row = twin(client)["tiny"]
    assert set(BY_NAME) < set(row)
    assert (row["layers"], row["dense"], row["parameters"]) == ("3", "1", "346")
    assert (row["batch_norm"], row["dropout"]) == ("yes", "yes")
    assert (row["kind"], row["state"]) == ("scratch", "model")
    for view, columns in VIEWS.items():
        (shown,) = (
            one
            for one in groups(client.get(f"/models/?show={view}"))["CIFAR-10, from scratch"]
            if one["name"] == "tiny"
        )
        for name in columns[1:]:
            write = BY_NAME[name].write
            value = write(json.loads(row[name])) if write and row[name] else row[name]
            assert shown[BY_NAME[name].title] == (value or "–"), (view, name)
    assert groups(client.get("/models/")) == groups(client.get(f"/models/?show={FIRST}"))


@pytest.mark.parametrize("order", ["up", "down"])
@pytest.mark.parametrize("name", [one.name for one in COLUMNS])
def test_each_group_is_ordered_by_any_column(name: str, order: str, client: PageClient) -> None:
    page, rows = client.get(f"/models/?sort={name}&order={order}"), twin(client)
    assert f'aria-sort="{"ascending" if order == "up" else "descending"}"' in page.html
    assert BY_NAME[name].title in page.html.split("</thead>")[0], "the column is in the view"
    for group in groups(page).values():
        shown = [rows[row["name"]][name] for row in group]
        there = [value for value in shown if value]
        assert shown == there + [""] * (len(shown) - len(there)), "what is missing comes last"
        values = [float(v) for v in there] if BY_NAME[name].is_number else there
        assert values == sorted(values, reverse=order == "down")


def test_rows_without_a_figure_are_ordered_by_what_was_reported(client: PageClient) -> None:
    rows = groups(client.get("/models/?results=none"))["CIFAR-10, from scratch"]
    reported = [float(row["Reported"].rstrip("%")) for row in rows if row["Reported"] != "–"]
    assert reported == sorted(reported, reverse=True) and len(reported) > 3


def test_a_heading_orders_by_its_column_and_then_the_other_way(client: PageClient) -> None:
    page = client.get("/models/?kind=transfer&show=figures&sort=f1&order=down")
    heading = re.search(r'aria-sort="descending"><a href="([^"]+)"', page.html)
    assert heading
    assert html.unescape(heading[1]) == ("/models/?kind=transfer&show=figures&sort=f1&order=up")
    # A view that does not show the order has another.
    assert "sort=" not in re.search(r'href="([^"]+)">Cost</a>', page.html)[1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("query", "words", "left"),
    [
        ({"sort": "beauty", "kind": "transfer"}, "no column called “beauty”", "?kind=transfer"),
        ({"order": "sideways"}, "up, down", ""),
        ({"data": "MNIST", "show": "cost"}, "CIFAR-10", "?show=cost"),
        ({"kind": "magic", "data": "garden"}, "Available: scratch, transfer", "?data=garden"),
        ({"results": "perhaps"}, "Available: here, none", ""),
        ({"show": "everything"}, "results, training, cost, figures, sources", ""),
    ],
)
def test_a_wrong_choice_is_explained_and_the_others_are_kept(
    query: dict[str, str], words: str, left: str, client: PageClient
) -> None:
    page = client.get(f"/models/?{urlencode(query)}")
    assert (page.status, words in page.text) == (404, True), page.text
    assert f'href="/models/{left}"' in page.html


def test_each_point_leads_to_the_page_of_its_model(client: PageClient) -> None:
    page = client.get("/models/?data=cifar10")
    plots = re.findall(r'<figure class="chart scatter">.*?</figure>', page.html, re.S)
    match, parameters, seconds = (
        re.findall(r'class="point-link" href="/models/([^"]+)" aria-label="([^"]+)"', plot)
        for plot in plots
    )
    rows = twin(client, "data=cifar10")
    both = {name for name, row in rows.items() if row["difference"]}
    assert {name for name, _words in match} == both
    for name, words in match:
        ours, reported = (float(rows[name][one]) for one in ("accuracy", "reported"))
        assert f"{ours:.2%} here, {reported:.2%} reported" in words
        assert client.get(f"/models/{name}").status == 200
    # What a source reported of a network is no figure of it under a training of ours.
    ours_alone = {name for name in HERE if RECIPES[name].network_of}
    with_cost = {
        n for n, row in rows.items() if row["accuracy"] or (row["reported"] and n not in ours_alone)
    }
    assert {name for name, _ in parameters} == {n for n in with_cost if rows[n]["parameters"]}
    assert dict(parameters)["resnet50-224"].endswith("95.00% reported, 49,723,082")
    assert {name for name, _ in seconds} == {n for n in with_cost if rows[n]["seconds"]}
    assert not any("reported" in words for _name, words in seconds)


def test_costs_are_plotted_for_each_data_set_alone(client: PageClient, shelf: Flask) -> None:
    page = client.get("/models/")
    plots = re.findall(r'aria-label="(Accuracy against [^"]+)"', page.html)
    assert plots == ["Accuracy against parameters", "Accuracy against training time"]
    assert "/models/sprout" not in page.html.split('id="cost"')[1], "one model makes no plot"


def test_a_recipe_that_is_too_large_has_a_page_that_says_so(client: PageClient) -> None:
    (row,) = (
        row
        for row in groups(client.get("/models/"))["CIFAR-10, by transfer"]
        if row["name"] == "resnet50-224"
    )
    assert (row["Test accuracy"], row["Reported"], row["Difference"]) == ("–", "95%", "–")
    assert "reported, not reproduced here" in row["Model"]
    page = client.get("/models/resnet50-224")
    assert "Reported, not reproduced here" in page.text and "Reported 95%" in page.text
    assert "49,723,082" in page.text and "ResNet50, trained on ImageNet" in page.text
    assert client.fetch("/models/resnet50-224.json").get_json()["reported"]["test_accuracy"] == 0.95
    assert client.get("/models/resnet50-224/files/model.keras").status == 404


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_without_results_has_a_page(name: str, client: PageClient) -> None:
    recipe, page = RECIPES[name], client.get(f"/models/{name}")
    assert recipe.title in page.text and f"flask train {name}" in page.text
    assert ("Not trained here yet" in page.text) == recipe.reproduced
    # What nobody may fetch, one has to have.
    copy = recipe.reproduced and recipe.data_set == "animals7"
    assert ("the first time, add --data and the folder" in page.text) == copy
    if recipe.reported is not None:
        assert f"Reported {recipe.reported.test_accuracy * 100:.4g}%" in page.text


def test_a_report_without_its_network_says_what_makes_it(client: PageClient) -> None:
    page = client.get("/models/plain-3")
    assert "Report only." in page.text
    assert "run flask train tiny --seed 0 --force" in page.text
    assert "Try it on a photo" not in page.text and "flask export" not in page.text
    # All else is there, since it is arithmetic on its predictions.
    for address in ("/gallery/?model=plain-3&outcome=wrong", "/models/compare?left=plain-3"):
        assert client.get(address).status == 200
    assert client.fetch("/gallery.json?model=plain-3&outcome=wrong").get_json()["count"] == 800


def test_the_site_answers_with_networks_only(client: PageClient) -> None:
    page = client.get("/?example=3")
    assert page.status == 200 and "Plain 3" not in page.text


def test_the_page_of_a_network_that_is_not_trained_says_what_our_training_of_it_reached(
    client: PageClient, shelf: Flask, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shelf.app_context():
        library = get_library()
    better = Result(report_of(tiny_bundle, "cnn-deep-better", 0.0875))
    monkeypatch.setitem(library.results, "cnn-deep-better", better)
    page = client.get("/models/cnn-deep")
    assert "Not trained here yet" in page.text
    assert "The same network, trained in our way, Cnn deep better" in page.text
    assert "is right on 91.25% of the test images." in page.text
    assert "The same network" not in client.get("/models/cnn-scheduled").text


def test_a_page_tells_what_training_alone_is_worth(
    client: PageClient, shelf: Flask, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shelf.app_context():
        library = get_library()
    for name, wrong in (("cnn-deep", 0.15), ("cnn-deep-better", 0.0875)):
        result = Result(report_of(tiny_bundle, name, wrong))
        monkeypatch.setitem(library.results, name, result)
    first, second = client.get("/models/cnn-deep"), client.get("/models/cnn-deep-better")
    for page, how, other, words in (
        (
            first,
            "in our way",
            "Cnn deep better",
            "is right on 91.25%: 6.25 percentage points more.",
        ),
        (
            second,
            "as its source trained it",
            "Cnn deep",
            "is right on 85.00%: 6.25 percentage points less.",
        ),
    ):
        assert f"The same network, trained {how}, {other}" in page.text and words in page.text
    assert "/models/compare?left=cnn-deep&amp;right=cnn-deep-better" in first.html
    assert "The same network" not in client.get("/models/plain-3").text
