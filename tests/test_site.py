"""The site: every page, without a script, with and without its models."""

from __future__ import annotations

import dataclasses
import io
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from flask import Flask, request
from PIL import Image

from model_training.bundles.bundle import Bundle
from model_training.bundles.writing import write_card
from model_training.datasets.catalog.cifar10 import CLASSES
from model_training.datasets.dataset import ImageSet
from model_training.recipes import RECIPES
from model_training.training.measuring import measure
from tests.conftest import SHIPPED_DATA, make_site
from tests.page_client import PageClient, check
from tests.report import check_report
from webapp import create_app
from webapp.charts.axes import round_ticks
from webapp.charts.lines import line_chart
from webapp.filters import moment, ordinal
from webapp.library import load_library
from webapp.security import HEADERS
from webapp.settings import SETTINGS, SettingError

PAGES = (
    "/",
    "/?example=0",
    "/gallery/",
    "/gallery/?page=100",
    "/gallery/?model=tiny&page=2",
    "/gallery/0",
    "/gallery/9999",
    "/models/",
    "/models/tiny",
    "/models/tiny/",
    "/models/compare",
    "/dataset/",
    "/about",
)


@pytest.mark.parametrize("address", PAGES)
def test_every_page_answers_with_sound_html(address: str, client: PageClient) -> None:
    assert client.get(address).status == 200


@pytest.mark.parametrize("address", PAGES)
def test_every_link_of_every_page_leads_somewhere(address: str, client: PageClient) -> None:
    found = set(re.findall(r'(?:href|src)="(/[^"]*)"', client.get(address).html))
    assert len(found) >= 5
    for link in sorted(found)[:40]:
        assert client.fetch(link.replace("&amp;", "&")).status_code == 200, link


def test_every_page_has_a_description_of_its_own(client: PageClient) -> None:
    pages = ("/", "/gallery/", "/gallery/3", "/models/", "/models/tiny", "/dataset/", "/about")
    found = [
        re.findall(r'<meta (?:name="|property="og:)description" content="([^"]+)"', page.html)
        for page in map(client.get, (*pages, "/nowhere"))
    ]
    assert all(plain == shared for plain, shared in found)
    assert len({plain for plain, _ in found}) == len(pages) + 1
    assert all(30 < len(plain) < 170 for plain, _ in found[:-1])


def test_a_page_that_is_shared_brings_a_picture(client: PageClient) -> None:
    address = re.search(r'property="og:image" content="([^"]+)"', client.get("/").html)
    assert address and address[1].startswith("http://localhost/")
    answer = client.fetch(address[1].removeprefix("http://localhost"))
    assert Image.open(io.BytesIO(answer.data)).size == (1200, 630)
    assert len(answer.data) < 100_000


def test_browsers_find_the_icon_where_they_look_for_it(client: PageClient) -> None:
    answer = client.fetch("/favicon.ico")
    assert Image.open(io.BytesIO(answer.data)).info["sizes"] == {(16, 16), (32, 32), (48, 48)}


def test_every_page_leads_to_what_a_visitor_may_ask(tiny_site: Callable[..., Flask]) -> None:
    client = PageClient(tiny_site(SOURCE_URL="https://example.org/code").test_client())
    foot = client.get("/gallery/").html.split("<footer")[1]
    links = re.findall(r'<a href="([^"]+)">(\w+)</a>', foot)
    assert links == [
        ("/about", "About"),
        ("/about#privacy", "Privacy"),
        ("/api/", "API"),
        ("https://example.org/code", "Source"),
    ]
    page = client.get("/about")
    assert 'id="privacy"' in page.html and 'id="api"' in page.html
    assert "for at most 180 days" in page.text and "/api/classify" in page.text
    silent = PageClient(tiny_site(FEEDBACK_LIMIT=0).test_client())
    assert "180 days" not in silent.get("/about").text
    assert "Source" not in silent.get("/").html.split("<footer")[1]


def test_the_foot_names_the_images_of_its_page_and_no_others(client: PageClient) -> None:
    for address, words in (("/gallery/", "on test images of CIFAR-10"), ("/about", "")):
        foot = client.get(address).text.rsplit("Every figure", 1)[1]
        assert words in foot and ("CIFAR-10" in foot) == bool(words)


def test_every_answer_carries_the_security_headers(client: PageClient) -> None:
    for address in ("/", "/nowhere", "/livez", "/static/site.css"):
        headers = client.fetch(address).headers
        assert {name: headers[name] for name in HEADERS} == HEADERS


# The first page


def test_the_first_page_names_the_classes_and_the_limits(client: PageClient) -> None:
    text = client.get("/").text
    assert all(name in text for name in CLASSES)
    assert "up to 20 MB and 64 megapixels each; up to 16 photos and 100 MB at a time" in text
    assert "not stored" in text


def test_the_examples_are_the_first_test_image_of_each_class(
    client: PageClient, test_images: ImageSet
) -> None:
    numbers = re.findall(r'href="/\?example=(\d+)"', client.get("/").html)
    firsts = [int(np.flatnonzero(test_images.labels == label)[0]) for label in range(10)]
    assert [int(number) for number in numbers] == firsts


def test_an_example_is_answered_by_the_network_and_judged_by_its_label(
    client: PageClient, tiny_bundle: Bundle, test_images: ImageSet
) -> None:
    for number in range(5):
        page = client.get(f"/?example={number}")
        predicted = CLASSES[tiny_bundle.predictions.test[number].argmax()]
        true = CLASSES[test_images.labels[number]]
        assert re.findall(r'class="answer-label">An? (\w+)\.<', page.html) == [predicted]
        assert ("✓ right" if predicted == true else "✗ wrong") in page.text


# The gallery


class Cells(HTMLParser):
    """Reads the grid as a reader would: number, true class, mark, predicted class."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "li" and (dict(attrs).get("class") or "").startswith("cell"):
            self.rows.append([])
            self._inside = True
        if tag == "svg" and self._inside:
            self.rows[-1].append(dict(attrs).get("aria-label") or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "li"

    def handle_data(self, words: str) -> None:
        if self._inside and words.strip():
            self.rows[-1].append(words.strip())


@pytest.mark.parametrize("page", [1, 57])
def test_the_gallery_shows_a_hundred_images_with_truth_and_prediction(
    page: int, client: PageClient, tiny_bundle: Bundle, test_images: ImageSet
) -> None:
    cells = Cells()
    shown = client.get(f"/gallery/?page={page}")
    cells.feed(shown.html)
    assert len(cells.rows) == 100
    predicted = tiny_bundle.predictions.test.argmax(axis=1)
    for row, number in zip(cells.rows, range((page - 1) * 100, page * 100), strict=True):
        true, said = CLASSES[test_images.labels[number]], CLASSES[predicted[number]]
        verdict = ["✓", "right"] if true == said else ["✗", "wrong, says", said]
        # What the data set's audit adds is tested in test_audit.
        marks = ("?", ", suspected to be wrong", "≈", ", with a near-copy in training")
        words = [word for word in row if word not in marks]
        assert words == [f"Test image {number}", true, *verdict]
    everywhere = int((predicted == test_images.labels).sum())
    assert f"10,000 images; it is right on {everywhere:,} of them" in shown.text


def test_a_gallery_page_loads_one_picture_file(client: PageClient) -> None:
    html = client.get("/gallery/?page=3").html
    (sheet,) = set(re.findall(r'<image href="([^"]+)"', html))
    assert client.fetch(sheet).mimetype == "image/webp"
    assert "<img" not in html


def test_pictures_are_the_test_images_and_may_be_kept_for_ever(
    client: PageClient, test_images: ImageSet
) -> None:
    address = re.search(r'<img[^>]*src="([^"]+)"', client.get("/gallery/42").html)
    assert address
    answer = client.fetch(address[1])
    picture = np.asarray(Image.open(io.BytesIO(answer.data)))
    assert np.array_equal(picture, test_images.images[42])
    assert "immutable" in answer.headers["Cache-Control"]
    assert client.fetch("/gallery/images/another-version/42.png").status_code == 404
    assert client.fetch("/gallery/sheets/another-version/4.webp").status_code == 404


def test_one_image_shows_every_models_ten_probabilities(
    client: PageClient, tiny_bundle: Bundle
) -> None:
    page = client.get("/gallery/7")
    assert page.html.count('class="bars-value"') == 10
    assert tiny_bundle.card.title in page.text


def test_a_model_that_was_tested_on_other_images_is_not_in_the_gallery(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    assert tiny_bundle.model_path is not None
    path = Path(shutil.copytree(tiny_bundle.model_path.parent, tmp_path / "models" / "tiny"))
    stored, card = tiny_bundle.predictions, tiny_bundle.card
    fewer = dataclasses.replace(stored, test=stored.test[:50], test_labels=stored.test_labels[:50])
    np.savez(path / "predictions.npz", **vars(fewer))
    test = measure(fewer.test, fewer.test_labels)
    card = card.model_copy(update={"metrics": card.metrics | {"test": test}})
    write_card(path, card, tiny_bundle.judge)
    app = make_site(tmp_path, DATA_FOLDER=SHIPPED_DATA)
    client = PageClient(app.test_client())
    assert client.get("/gallery/").status == 200
    assert "No model has been measured" in client.get("/gallery/3").text
    assert client.get("/gallery/?model=tiny").status == 404
    assert "of 50 test images" in client.get("/models/tiny").text


# The models


def test_the_report_is_recomputed_from_the_stored_predictions(
    client: PageClient, tiny_bundle: Bundle
) -> None:
    check_report(client.get("/models/tiny"), tiny_bundle)


def test_the_report_shows_reported_beside_measured_layers_and_how_to_repeat_it(
    client: PageClient, tiny_bundle: Bundle
) -> None:
    page = client.get("/models/tiny")
    assert "Reported 50%" in page.text
    assert "flask train tiny --seed 0" in page.text
    for layer in tiny_bundle.card.layers:
        assert f"<code>{layer.name}</code>" in page.html
    curves = re.findall(r'<polyline class="chart-line[^"]*" points="([^"]+)"', page.html)
    assert [len(points.split()) for points in curves] == [tiny_bundle.card.training.epochs] * 4


def test_the_comparison_names_what_is_measured_and_what_is_not_yet(client: PageClient) -> None:
    page = client.get("/models/")
    assert "Tiny network" in page.text
    name, recipe = next(
        (name, one) for name, one in RECIPES.items() if one.reproduced and one.data_set == "cifar10"
    )
    assert f"{recipe.title} not trained here yet" in page.text
    assert f"flask train {name}" in client.get(f"/models/{name}").text


@pytest.mark.parametrize("value", [0.0, 0.1, 0.125, 0.3, 1.0, 7.5])
def test_a_curve_of_one_value_is_drawn(value: float) -> None:
    chart = line_chart("Loss", [1.0], {"training": [value], "validation": [value]})
    places = [tick.place for tick in chart.y_ticks]
    assert places == sorted(places, reverse=True)
    assert min(places) <= chart.lines[0].dot[1] <= max(places)
    assert all(0 <= place <= 100 for place in places)


def test_the_epoch_whose_weights_are_kept_is_the_one_that_is_marked() -> None:
    values = {"validation": [0.5, 0.9, 0.7]}
    last = line_chart("Accuracy", [1, 2, 3], values, as_percent=True)
    assert (last.lines[0].value, last.notes) == ("70.0%", ())
    kept = line_chart("Accuracy", [1, 2, 3], values, as_percent=True, kept=2, note="No more.")
    assert kept.lines[0].value == "90.0%"
    assert f"{kept.lines[0].dot[0]},{kept.lines[0].dot[1]}" == kept.lines[0].points.split()[1]
    assert kept.notes == ("at epoch 2, whose weights it has", "No more.")
    assert kept.text.endswith("at epoch 2, whose weights it has: validation 90.0%.")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (11, "11th"),
        (112, "112th"),
        (9372, "9,372nd"),
    ],
)
def test_places_are_counted_in_words(number: int, words: str) -> None:
    assert ordinal(number) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-11-23T07:42:34+00:00", "2026-11-23 07:42 UTC"),
        ("2026-11-23 00:42:34+0200", "2026-11-22 22:42 UTC"),
        ("yesterday", "yesterday"),
    ],
)
def test_moments_are_told_to_the_minute_in_universal_time(text: str, words: str) -> None:
    assert moment(text) == words


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.41, 0.93, [0.4, 0.6, 0.8, 1]),
        (0, 36, [0, 10, 20, 30, 40]),
    ],
)
def test_ticks_are_round_numbers_around_the_values(
    low: float, high: float, ticks: list[float]
) -> None:
    assert round_ticks(low, high) == pytest.approx(ticks)


# Bad addresses


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/nowhere", 404, "nothing here"),
        ("/models/unknown", 404, "no model called “unknown”"),
        ("/gallery/10000", 404, "from 0 to 9,999"),
        ("/gallery/-1", 404, "nothing here"),
        ("/gallery/?page=0", 404, "from 1 to 100"),
        ("/gallery/?page=101", 404, "from 1 to 100"),
        ("/gallery/?page=-5", 404, "from 1 to 100"),
        ("/gallery/?page=two", 400, "whole number from 1 to 100"),
        ("/gallery/?page=1e3", 400, "whole number"),
        ("/gallery/?page=" + "9" * 400, 400, "whole number"),
        ("/gallery/?page=٣", 400, "whole number"),
        ("/gallery/?model=unknown", 404, "no model called"),
        ("/gallery/?model=%00", 404, "no model called"),
        ("/?example=10000", 404, "from 0 to 9,999"),
        ("/?example=x", 400, "whole number"),
        ("/?example=", 400, "whole number"),
    ],
)
def test_a_bad_address_gets_a_page_that_says_what_is_allowed(
    address: str, status: int, words: str, client: PageClient
) -> None:
    page = client.get(address)
    assert (page.status, words in page.text) == (status, True), page.text
    assert 'href="/"' in page.html


def test_an_error_is_json_for_whoever_asks_for_json(client: PageClient) -> None:
    for options in ({"headers": {"Accept": "application/json"}}, {}):
        address = "/nowhere" if options else "/api/nowhere"
        answer = client.fetch(address, **options)
        assert answer.status_code == 404
        assert set(answer.get_json()["error"]) == {"status", "code", "title", "detail"}


@pytest.mark.parametrize("host", ["a..b", ".", "x" * 70 + ".example"])
def test_a_host_that_is_none_is_refused(host: str, client: PageClient) -> None:
    assert client.fetch("/", headers={"Host": host}).status_code == 400


def test_a_wrong_method_says_which_is_right(client: PageClient) -> None:
    page = check(client.plain.delete("/"))
    assert page.status == 405
    assert "POST" in page.headers["Allow"]


def test_a_fault_of_ours_is_a_page_without_its_secrets(tmp_path: Path) -> None:
    app = make_site(tmp_path, PROPAGATE_EXCEPTIONS=False)

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("the password is swordfish")

    page = check(app.test_client().get("/broken"))
    assert page.status == 500
    assert "Something broke on our side" in page.text
    assert "swordfish" not in page.html


# Without models, without images


def test_without_a_model_the_site_starts_and_says_what_to_run(empty_site: Flask) -> None:
    client = PageClient(empty_site.test_client())
    page = client.get("/")
    assert page.status == 200
    assert "flask train custom-cnn" in page.text
    assert client.get("/models/").status == 200
    posted = client.post("/", data={"image": (io.BytesIO(b"x"), "x.png")})
    assert posted.status == 503
    assert "flask train custom-cnn" in posted.text


def test_without_the_test_images_only_the_gallery_is_missing(empty_site: Flask) -> None:
    client = PageClient(empty_site.test_client())
    page = client.get("/gallery/")
    assert page.status == 503
    assert "flask data pack" in page.text
    assert client.get("/?example=3").status == 503


@pytest.mark.parametrize("damage", ["missing sheet", "cut sheet", "swapped sheets", "no labels"])
def test_damaged_test_images_close_the_gallery_and_nothing_else(
    damage: str, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    assert tiny_bundle.model_path is not None
    shutil.copytree(SHIPPED_DATA / "cifar10", tmp_path / "data" / "cifar10")
    sheets = tmp_path / "data" / "cifar10" / "test"
    if damage == "missing sheet":
        (sheets / "40.webp").unlink()
    elif damage == "cut sheet":
        (sheets / "40.webp").write_bytes((sheets / "40.webp").read_bytes()[:5_000])
    elif damage == "swapped sheets":
        shutil.copy(sheets / "41.webp", sheets / "40.webp")
    else:
        (sheets / "labels.npy").write_bytes(b"")
    app = make_site(tmp_path, MODELS_FOLDER=tiny_bundle.model_path.parent.parent)
    client = PageClient(app.test_client())
    assert client.get("/gallery/").status == 503
    assert client.get("/").status == 200
    assert client.get("/models/tiny").status == 200


def test_a_damaged_bundle_is_named_and_the_others_serve(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    assert tiny_bundle.model_path is not None
    for name in ("tiny", "broken"):
        shutil.copytree(tiny_bundle.model_path.parent, tmp_path / "models" / name)
    (tmp_path / "models" / "broken" / "history.csv").unlink()
    client = PageClient(make_site(tmp_path, DEFAULT_MODEL="broken").test_client())
    assert "broken" in client.get("/models/").text
    assert "left out because it cannot be used" in client.get("/models/broken").text
    assert client.get("/models/tiny").status == 200
    assert client.fetch("/readyz").get_json()["default_model"] == "tiny"


# For the operator


def test_live_and_ready_are_two_questions(site: Flask, empty_site: Flask) -> None:
    assert site.test_client().get("/readyz").get_json()["models"]["tiny"]["state"] == "loaded"
    client = empty_site.test_client()
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 503


def test_settings_come_from_the_instance_folder_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.py").write_text("MAX_PHOTO_PIXELS = 1_000\nMAX_CONTENT_LENGTH = 5_000\n")
    monkeypatch.setenv("TENCLASSES_MAX_CONTENT_LENGTH", "7000")
    app = create_app(instance_path=tmp_path)
    assert app.config["MAX_PHOTO_PIXELS"] == 1_000
    assert app.config["MAX_CONTENT_LENGTH"] == 7_000


def test_a_misspelt_setting_in_the_instance_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("_MB = 2**20\nmegabyte = _MB\nMAX_PHOTO_PIXEL = _MB\n")
    with pytest.raises(SettingError, match="config.py: there is no setting called MAX_PHOTO_PIXEL"):
        create_app(instance_path=tmp_path)


def test_the_variables_of_a_training_together_are_no_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COORDINATOR", "PROCESSES", "RANK"):
        monkeypatch.setenv(f"TENCLASSES_{name}", "1")
    create_app(instance_path=tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_PHOTO_PIXELS", "much"),
        ("MAX_PHOTO_PIXELS", "0"),
        ("MAX_PHOTO_PIXELS", "-1"),
        ("MAX_PHOTO_PIXELS", "true"),
        ("TRUSTED_PROXIES", "-1"),
        ("SESSION_COOKIE_SECURE", "no"),
        ("SESSION_COOKIE_SAMESITE", "no"),
        ("DEFAULT_MODEL", '["a"]'),
        ("DEFAULT_MODEL", "null"),
        ("DEFAULT_MODEL", ""),
        ("MAX_PHOTO_PIXEL", "5"),
        ("SOURCE_URL", "javascript:alert(1)"),
    ],
)
def test_a_setting_that_cannot_work_is_named(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"TENCLASSES_{name}", value)
    with pytest.raises(SettingError, match=name):
        create_app(instance_path=tmp_path)


def test_a_key_of_digits_is_still_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENCLASSES_SECRET_KEY", "1234567890123456")
    app = create_app(instance_path=tmp_path)
    assert app.config["SECRET_KEY"] == "1234567890123456"
    assert not (tmp_path / "secret_key").exists()


def test_every_setting_is_explained_in_the_documentation() -> None:
    text = (Path(__file__).parent.parent / "docs" / "settings.md").read_text(encoding="utf-8")
    for setting in SETTINGS:
        default = "" if setting.default is None else f"`{setting.default}`"
        assert f"| `{setting.name}` | {default} | {setting.unit} | {setting.meaning} |" in text


def test_the_secret_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    first, second = (create_app(instance_path=tmp_path) for _ in range(2))
    assert first.config["SECRET_KEY"] == second.config["SECRET_KEY"]
    assert len(first.config["SECRET_KEY"]) == 64
    assert (tmp_path / "secret_key").stat().st_mode & 0o077 == 0


def test_a_secret_key_that_cannot_be_kept_or_read_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A key of its own for each worker would refuse the forms of all the others.
    def refuse(*_arguments: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("os.link", refuse)
    with pytest.raises(SettingError, match="TENCLASSES_SECRET_KEY"):
        create_app(instance_path=tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "secret_key").mkdir()
    with pytest.raises(SettingError, match="cannot be read"):
        create_app(instance_path=tmp_path)


@pytest.mark.parametrize(("proxies", "scheme"), [(0, "http"), (1, "https")])
def test_a_proxys_word_counts_only_where_it_is_trusted(
    proxies: int, scheme: str, tmp_path: Path
) -> None:
    app = make_site(tmp_path, TRUSTED_PROXIES=proxies)
    app.add_url_rule("/scheme", view_func=lambda: request.scheme)
    answer = app.test_client().get("/scheme", headers={"X-Forwarded-Proto": "https"})
    assert answer.text == scheme


def test_models_and_images_are_read_once_for_all_requests(site: Flask) -> None:
    assert load_library(site) is load_library(site)
