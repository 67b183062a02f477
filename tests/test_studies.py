"""`/studies/`: what a search found, for people and programs, also where nothing can search."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from selenium import webdriver

from model_training.bundles.bundle import Bundle
from model_training.bundles.card import TunedSettings
from model_training.tuning.record import StudyRecord, find_record, write_record
from tests.browser import needs_chromium, start
from tests.conftest import SHIPPED_DATA, make_site
from tests.live import serving
from tests.page_client import PageClient
from tests.studies import ABOUT, make_study
from tests.test_phone import FIGURES_OUT_OF_SIGHT, SIZES_OF_LETTERS, open_page
from webapp.charts import labels
from webapp.charts.parallel import Axis
from webapp.charts.points import WIDTHS, Value, sequence_plot
from webapp.library import Result, load_library


@pytest.fixture(scope="module")
def study_site(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A site with a study of twenty trials, one without any, and a damaged one."""
    instance = tmp_path_factory.mktemp("studies")
    folder = instance / "studies"
    make_study(folder, "some", 20)
    make_study(folder, "begun", 0, about=ABOUT.model_copy(update={"recipe": "<b>gone</b>"}))
    (folder / "torn.json").write_bytes((folder / "some.json").read_bytes()[:700])
    return make_site(instance)


@pytest.fixture
def pages(study_site: Flask) -> Iterator[PageClient]:
    with study_site.test_client() as plain:
        yield PageClient(plain)


@pytest.fixture
def record(study_site: Flask) -> StudyRecord:
    return find_record(Path(study_site.instance_path) / "studies", "some")


def test_the_list_has_each_study_and_names_the_damaged_one(
    pages: PageClient, record: StudyRecord
) -> None:
    page = pages.get("/studies/")
    assert record.best and record.best.accuracy and record.own and record.own.accuracy
    assert f"some Custom CNN CIFAR-10 20 {record.best.accuracy:.2%}" in page.text
    assert f"{record.own.accuracy:.2%}" in page.text
    assert "begun <b>gone</b> CIFAR-10 0 none yet" in page.text and "<b>gone" not in page.html
    assert "Left out because it is damaged: torn" in page.text
    assert "Optuna" not in page.text
    assert 'href="/studies/"' in pages.get("/models/").html


def test_a_study_is_shown_with_its_best_trials_charts_and_commands(
    pages: PageClient, record: StudyRecord
) -> None:
    page = pages.get("/studies/some")
    best = record.best
    assert best and best.accuracy and record.own and record.own.accuracy
    gain = 100 * (best.accuracy - record.own.accuracy)
    assert f"Best trial {best.accuracy:.2%} trial {best.number}" in page.text
    assert f"+{gain:.2f} percentage points for the best" in page.text
    assert "flask train custom-cnn --from-study some" in page.text
    assert "flask tune custom-cnn --study some" in page.text
    assert "No test image was looked at" in page.text
    rows = re.findall(r'<tr role="row" id="trial-(\d+)">', page.html)
    assert sorted(map(int, rows)) == list(range(20)), "each trial has its row"
    assert int(rows[0]) == best.number
    links = re.findall(r'href="#trial-(\d+)"', page.html)
    assert sorted(map(int, links)) == list(range(20)), "and its point, which leads there"
    assert page.html.count('<polyline class="parallel-line parallel-line-') == 20
    assert page.html.count('<polyline class="parallel-line parallel-line-best"') == 1
    for name, share in record.importance.items():
        assert f"{name.replace('_', ' ')} {share:.1%}" in page.text
    early = record.count("pruned")
    assert f"20 {early} of them ended early" in page.text
    assert page.text.count("ended early; learning rate") >= early


def test_a_study_of_other_images_names_them_in_its_commands(
    record: StudyRecord, tmp_path: Path
) -> None:
    app = make_site(tmp_path)
    (tmp_path / "studies").mkdir()
    write_record(tmp_path / "studies", record.model_copy(update={"data_options": "--data 'a b'"}))
    with app.test_client() as plain:
        page = PageClient(plain).get("/studies/some")
    assert "flask train custom-cnn --data 'a b' --from-study some" in page.text


def test_a_study_without_a_trial_says_how_to_go_on(pages: PageClient) -> None:
    page = pages.get("/studies/begun")
    assert (
        "No trial is complete yet. To continue the study, run flask tune custom-cnn --study begun"
        in page.text
    )
    assert "0.01 to 1, log 0.03 –" in page.text, "the recipe's own, and no best yet"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", "There is no study called nothing here. Available: begun, some, torn."),
        ("..%2fsecret_key", None),
        ("SOME", "There is no study called SOME"),
        ("some.log", "There is no study called some.log"),
        ("torn", "The record of the study torn cannot be read"),
    ],
)
def test_a_name_that_is_none_gets_a_clear_404(
    pages: PageClient, name: str, words: str | None
) -> None:
    page = pages.get(f"/studies/{name}")
    assert page.status == 404
    assert words is None or words in page.text


def test_programs_get_the_record_itself(study_site: Flask, record: StudyRecord) -> None:
    client: FlaskClient = study_site.test_client()
    told = client.get("/studies/some.json")
    assert StudyRecord.model_validate_json(told.get_data()) == record
    assert client.get("/studies/torn.json").status_code == 404


def test_where_nothing_was_searched_the_command_is_named(client: PageClient) -> None:
    page = client.get("/studies/")
    assert "No study has been made here yet. flask tune RECIPE makes one" in page.text
    assert "Optuna" not in page.text


def test_without_optuna_studies_are_shown_and_it_is_said(
    pages: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    missing = {"optuna"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name in missing else found(name)
    )
    for address in ("/studies/", "/studies/some"):
        page = pages.get(address)
        assert page.status == 200 and "pip install -r requirements-tune.txt" in page.text
    assert "Best trial" in pages.get("/studies/some").text


def about_of(**bounds: list[float | str]) -> dict[str, Any]:
    told = ABOUT.model_dump(mode="json")
    return told | {"bounds": told["bounds"] | bounds}


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"schema_version": 2},
        {"trials": [{"number": 0, "state": "complete", "values": {}}]},
        {"importance": {"width": float("nan")}},
        {"importance": {"depth": 1.0}},
        {"about": about_of(learning_rate=["log", 0.0, 1.0])},
        {"about": about_of(dropout=["linear", 1.0, 1.0])},
        {"about": about_of(width=["choice", 1.0, 1.0])},
        {"extra": 1},
    ],
)
def test_what_is_no_record_is_not_believed(
    record: StudyRecord, tmp_path: Path, change: dict[str, Any]
) -> None:
    app = make_site(tmp_path)
    (tmp_path / "studies").mkdir()
    told = record.model_dump(mode="json") | change
    (tmp_path / "studies" / "some.json").write_text(json.dumps(told))
    with app.test_client() as plain:
        page = PageClient(plain).get("/studies/some")
    assert page.status == 404 and "The record of the study some cannot be read" in page.text


def test_the_page_of_a_tuned_model_says_which_trial_it_is_of(
    tiny_bundle: Bundle, tmp_path: Path, record: StudyRecord
) -> None:
    best = record.tuned()
    facts = tiny_bundle.card.training.model_copy(
        update={
            "tuned": TunedSettings(
                study="some",
                trial=best.trial,
                values=dict(best.values),
                accuracy=best.accuracy,
                trials=best.trials,
                images=best.images,
                epochs=best.epochs,
            )
        }
    )
    card = tiny_bundle.card.model_copy(update={"training": facts})
    app = make_site(tmp_path, MODELS_FOLDER=tiny_bundle.path.parent, DATA_FOLDER=SHIPPED_DATA)
    load_library(app).results["tiny"] = Result(dataclasses.replace(tiny_bundle, card=card))
    with app.test_client() as plain:
        page = PageClient(plain).get("/models/tiny")
        assert 'href="/studies/some"' not in page.html, "the study is not on this site"
        make_study(tmp_path / "studies", "some", 2)
        linked = PageClient(plain).get("/models/tiny")
    said = f"trial {best.trial} of the study some, of 20 trials, which was right on"
    assert said in page.text and f"{best.accuracy:.1%} of the validation images" in page.text
    assert 'href="/studies/some"' in linked.html


def test_a_line_lies_where_its_values_are() -> None:
    log = Axis("rate", "log", (0.01, 1.0), ("0.01", "0.1", "1"))
    assert [log.share(value) for value in (0.01, 0.1, 1.0, 5.0)] == pytest.approx([0, 0.5, 1, 1])
    assert log.middle == pytest.approx(0.1)
    choice = Axis("width", "choice", (0.5, 1.0, 2.0), ("0.5×", "1×", "2×"))
    assert [choice.share(value) for value in (0.5, 1.0, 2.0)] == [0, 0.5, 1]
    assert [tick.place for tick in choice.ticks] == [0, 50, 100]


def test_the_best_so_far_never_falls() -> None:
    values = [
        Value(f"trial {number}", float(number), share, "dot", "", "#")
        for number, share in enumerate((0.5, 0.4, 0.9, 0.7))
    ]
    plot = sequence_plot("", "trial", values, [True, True, False, True], 0.5)
    # The third does not count: it was ended early.
    assert plot.steps == "0.0,80.0 100.0,80.0 100.0,40.0 100.0,40.0"
    assert [bool(point.labels) for point in plot.points] == [False, False, False, True]


def test_of_thousands_of_points_only_the_best_is_given_a_place_for_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[bool] = []
    look = labels._candidates

    def counted(on_the_right: bool) -> list[labels.Label]:
        looked.append(on_the_right)
        return look(on_the_right)

    monkeypatch.setattr(labels, "_candidates", counted)
    values = [
        Value(f"trial {number}", number, 0.9 if number == 500 else 0.1, "dot", "", "#")
        for number in range(1000)
    ]
    plot = sequence_plot("", "trial", values, [True] * 1000, None)
    assert len(looked) == len(WIDTHS), "once for each width, and not for each point"
    assert [point.name for point in plot.points if point.labels] == ["trial 500"]


@pytest.mark.browser
@needs_chromium
def test_every_figure_is_seen_on_a_phone(study_site: Flask) -> None:
    browser: webdriver.Chrome = start(javascript=True)
    try:
        with serving(study_site) as address:
            for path in ("/studies/", "/studies/some", "/studies/begun"):
                for width in (1280, 390, 320):
                    open_page(browser, f"http://{address}{path}", width)
                    browser.execute_script(
                        "document.querySelectorAll('details').forEach((one) => one.open = true)"
                    )
                    seen = browser.execute_script("return document.documentElement.scrollWidth")
                    assert seen <= width, (path, width)
                    assert browser.execute_script(FIGURES_OUT_OF_SIGHT) == [], (path, width)
                    assert set(browser.execute_script(SIZES_OF_LETTERS)) <= {12}
    finally:
        browser.quit()
