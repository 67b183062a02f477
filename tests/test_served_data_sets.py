"""What a data set lacks is said where it is missed, and everything else of it serves."""

from __future__ import annotations

import dataclasses
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask

from model_training.bundles.bundle import Bundle
from model_training.bundles.reading import Found, read_bundle
from model_training.datasets.registry import find_known
from model_training.recipes import RECIPES
from tests import garden
from tests.conftest import make_site
from tests.page_client import PageClient
from webapp.comparison.report import make_report
from webapp.comparison.twins import as_json
from webapp.library import Result, load_library
from webapp.library.inventory import _stamps

Site = Callable[..., PageClient]
OTHER_DIGEST = "0123456789abcdef" * 4
BALANCES = (("few", "1000"), ("equal", "smallest"))


@pytest.fixture(scope="module")
def sprout(garden_home: Path) -> Bundle:
    """The model of seven classes, as a report: nothing here runs its network."""
    bundle = read_bundle(garden_home / "models" / "sprout")
    return dataclasses.replace(bundle, model_path=None)


@pytest.fixture
def site_with(
    garden_home: Path, sprout: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Site:
    """Makes a site with the seven classes, their model and the bundles that it is called with."""

    def make(*others: Bundle) -> PageClient:
        if not (tmp_path / "data").exists():
            shutil.copytree(garden_home / "data", tmp_path / "data")
        there = Found([sprout, *others], digests={one.name: "0" for one in (sprout, *others)})
        monkeypatch.setattr("webapp.library.inventory.read_changed", lambda *_: there)
        return PageClient(make_site(tmp_path).test_client())

    return make


def of(bundle: Bundle, name: str, images: slice = slice(None), **facts: object) -> Bundle:
    """Return `bundle` under another name, tested on a part of its images, with other facts."""
    card, stored = bundle.card, bundle.predictions
    training = card.training.model_copy(update=facts)
    card = card.model_copy(update={"name": name, "title": name.title(), "training": training})
    stored = dataclasses.replace(
        stored, test=stored.test[images], test_labels=stored.test_labels[images]
    )
    return dataclasses.replace(bundle, card=card, predictions=stored)


def turned(bundle: Bundle) -> Bundle:
    """Return `bundle` with every fifth answer turned round."""
    test = bundle.predictions.test.copy()
    test[::5] = test[::5, ::-1]
    return dataclasses.replace(
        bundle, predictions=dataclasses.replace(bundle.predictions, test=test)
    )


def test_a_quick_try_is_reported_and_not_compared_image_by_image(
    site_with: Site, sprout: Bundle
) -> None:
    client = site_with(of(sprout, "quick", slice(50)), turned(of(sprout, "third")))
    report = client.get("/models/quick")
    assert "was tested on 50 of the 161 test images of Garden finds" in report.text
    assert "of 50 test images" in report.text and "leads to its images" not in report.text
    table = client.get("/models/")
    assert "Quick on 50 test images only" in table.text
    points = re.findall(r'class="point-link" href="/models/(\w+)"', table.html)
    assert "quick" not in points and "third" in points
    assert 'value="quick"' not in client.get("/gallery/").html
    assert 'value="quick"' not in client.get("/models/compare").html
    for address in ("/gallery/?model=quick", "/models/compare?left=third&right=quick"):
        page = client.get(address)
        assert (page.status, "on 50 of the 161 test images" in page.text) == (404, True), address


def test_a_run_that_the_clock_ended_is_not_called_reproducible(
    site_with: Site, sprout: Bundle
) -> None:
    epochs = sprout.card.training.epochs
    client = site_with(of(sprout, "brief", minutes=5.0, planned_epochs=60))
    brief, whole = client.get("/models/brief").text, client.get("/models/sprout").text
    assert f"{epochs} of 60 epochs" in brief and "of 60 epochs" not in whole
    assert "The clock ended it" in brief and "The clock ended it" not in whole
    assert "reproduces this model" in whole and "reproduces this model" not in brief


def test_a_run_on_as_many_images_of_each_class_says_how_many(
    site_with: Site, sprout: Bundle
) -> None:
    few, equal = (of(sprout, name, changes={"balance": value}) for name, value in BALANCES)
    client = site_with(few, equal)
    title = sprout.card.training.data_set
    assert f"{title}, 1,000 images of each class: " in client.get("/models/few").text
    said = f"{title}, of each class as many images as the smallest has: "
    assert said in client.get("/models/equal").text
    assert f"{title}: " in client.get("/models/sprout").text


def test_results_of_another_version_of_a_data_set_are_kept_apart(
    site_with: Site, sprout: Bundle
) -> None:
    grown: dict[str, Any] = {"data_digest": OTHER_DIGEST}
    client = site_with(of(sprout, "older", **grown), turned(of(sprout, "oldest", **grown)))
    name, title = "garden-finds", "Garden finds (another version, 01234567)"
    index = client.get("/dataset/")
    assert title in index.text and "Only results are here" in index.text
    page = client.get(f"/dataset/{name}")
    assert title in page.text and "Only results of this data set are here" in page.text
    assert client.fetch(f"/dataset/{name}.json").get_json()["models"] == ["older", "oldest"]
    groups = client.get("/models/").html.split("<tbody")[1:]
    names = [re.findall(r'<a href="/models/(\w+)"', group) for group in groups]
    assert names == [["sprout"], ["oldest", "older"]] or names == [["sprout"], ["older", "oldest"]]
    assert "Garden finds, from scratch" in groups[0] and f"{title}, from scratch" in groups[1]
    table = client.get(f"/models/?data={name}").text
    assert "Older" in table and "Oldest" in table and "Sprout" not in table
    report = client.get("/models/older")
    assert f"The test images of {title} are not here" in report.text
    assert "/gallery/?" not in report.html.split("<main")[1]
    versus = client.get("/models/compare?left=older")
    assert versus.status == 200 and 'value="oldest" selected' in versus.html
    assert "/gallery/?" not in versus.html.split("<main")[1]
    for address in (f"/gallery/?data={name}", "/gallery/?model=older"):
        gone = client.get(address)
        assert (gone.status, "are not here" in gone.text) == (404, True), address


def test_a_data_set_of_the_catalogue_is_described_without_its_images_too(
    site_with: Site, sprout: Bundle
) -> None:
    animals = find_known("animals7")
    learned = of(sprout, "keeper", data_digest=animals.digest, data_set=animals.title)
    card = learned.card.model_copy(update={"classes": list(animals.classes)})
    client = site_with(dataclasses.replace(learned, card=card))
    page = client.get("/dataset/animals7").text
    assert animals.about.lead in page and animals.about.notes[0].text in page
    assert "flask data pack --dataset animals7 --data PATH" in page
    assert client.get("/models/?data=animals7").text.count("Keeper") >= 1


def test_a_model_whose_classes_are_not_those_of_its_data_set_is_left_out(
    site_with: Site, sprout: Bundle
) -> None:
    swapped = of(sprout, "swapped")
    card = swapped.card.model_copy(update={"classes": swapped.card.classes[::-1]})
    client = site_with(dataclasses.replace(swapped, card=card))
    page = client.get("/models/")
    assert "swapped : its classes are not those of its data set, Garden finds" in page.text
    assert client.get("/models/swapped").status == 404
    assert client.get("/models/sprout").status == 200


@pytest.mark.parametrize(
    ("part", "named", "gone"),
    [
        ("test/01.webp", "the test images", ["/gallery/", "/gallery/3", "/gallery.json"]),
        ("statistics.npz", "the figures", []),
        ("audit.npz", "the audit", ["/gallery/?suspect=yes"]),
    ],
)
def test_a_damaged_part_is_named_and_the_rest_serves(
    part: str,
    named: str,
    gone: list[str],
    site_with: Site,
    garden_home: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shutil.copytree(garden_home / "data", tmp_path / "data")
    (tmp_path / "data" / "garden" / part).write_bytes(b"nothing whole")
    with caplog.at_level(logging.ERROR):
        client = site_with()
        page = client.get("/dataset/")
    assert page.status == 200 and f"missing or damaged: {named}." in page.text
    assert str(tmp_path) not in page.html, "paths are for the log"
    assert any(part.split("/")[0] in record.getMessage() for record in caplog.records)
    for address in gone:
        assert client.fetch(address).status_code in (404, 503), address
    for address in ("/", "/models/", "/models/sprout", "/dataset/garden", "/gallery/", "/about"):
        if address not in gone:
            assert client.get(address).status == 200, address
    assert client.fetch("/readyz").get_json()["data_sets"]["garden"].startswith("left out: ")


def test_a_damaged_description_leaves_its_results(
    site_with: Site, garden_home: Path, tmp_path: Path
) -> None:
    shutil.copytree(garden_home / "data", tmp_path / "data")
    (tmp_path / "data" / "garden" / "dataset.json").write_text('{"name": "garden"}')
    client = site_with()
    assert "Left out because it is damaged: garden." in client.get("/dataset/").text
    page = client.get("/dataset/garden")
    assert (page.status, "damaged and left out" in page.text) == (404, True)
    report = client.get("/models/sprout")
    assert report.status == 200 and "The test images of Garden finds are not here" in report.text


def test_a_recipe_for_a_data_set_that_is_not_known_breaks_no_page(
    site_with: Site, sprout: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = dataclasses.replace(garden.SPROUT, name="lost", data_set="nowhere")
    monkeypatch.setitem(RECIPES, "lost", lost)
    monkeypatch.setitem(RECIPES, "sprout", dataclasses.replace(lost, name="sprout"))
    client = site_with()
    for address in ("/models/", "/models.csv", "/models/sprout", "/models/?data=cifar10"):
        assert client.fetch(address).status_code == 200, address


def test_a_wrong_filter_offers_the_page_without_it(site_with: Site) -> None:
    client = site_with()
    for wrong, left in (
        ("/gallery/?true=nothing&said=moss&sort=margin", "/gallery/?said=moss&sort=margin"),
        ("/gallery/?low=90&high=10&true=moss", "/gallery/?true=moss"),
        ("/gallery/?suspect=yes&true=fern", "/gallery/?true=fern"),
        ("/gallery/17?outcome=perhaps&true=moss", "/gallery/17?true=moss"),
        ("/models/?sort=beauty&order=up", "/models/?order=up"),
        ("/models/compare?left=nobody", "/models/compare"),
    ):
        page = client.get(wrong)
        links = re.findall(r'<a class="button" href="([^"]+)"', page.html)
        assert [one.replace("&amp;", "&") for one in links] == [left, "/"], wrong
        assert client.get(left).status == 200
    assert "without that" not in client.get("/nowhere").text


def test_a_report_says_how_often_the_test_images_were_read(sprout: Bundle) -> None:
    for reads, words in ((None, None), (1, "read once"), (3, "read 3 times")):
        card = sprout.card.model_copy(update={"test_reads": reads})
        report = make_report(Result(dataclasses.replace(sprout, card=card)), None)
        sentence = f"For this model, the test images were {words}."
        told = " ".join(report.model_card.trained_on)
        assert sentence in told if words else "were read" not in told
        assert as_json(report)["test_reads"] == reads


def test_the_page_says_how_often_the_test_images_were_read(site_with: Site, sprout: Bundle) -> None:
    card = of(sprout, "often").card.model_copy(update={"test_reads": 4})
    client = site_with(dataclasses.replace(sprout, card=card))
    assert "of 161 test images, read 4 times for this model" in client.get("/models/often").text
    assert "of 161 test images, read once for this model" in client.get("/models/sprout").text


def test_what_another_networks_validation_says_is_labelled(site_with: Site, sprout: Bundle) -> None:
    command = "flask train sprout --seed 0"
    client = site_with(of(sprout, "final", all_data=True, calibrated_by=command))
    page, twin = client.get("/models/final"), client.fetch("/models/final.json").get_json()
    share = sprout.card.metrics["validation"].accuracy
    assert f"validation {share:.2%} (of another network, that of {command} )" in page.text
    assert "fitted to another network" in page.text
    assert "are another network's: that of “flask train sprout --seed 0”" in page.text
    assert twin["validation_of"] == command
    own = client.get("/models/sprout")
    assert "another network" not in own.text and "fitted on the validation images" in own.text
    assert client.fetch("/models/sprout.json").get_json()["validation_of"] is None


def test_the_words_on_two_models_fit_their_difference(site_with: Site, sprout: Bundle) -> None:
    one_worse = of(sprout, "twin")
    test = one_worse.predictions.test.copy()
    labels = one_worse.predictions.test_labels
    right = np.flatnonzero(test.argmax(axis=1) == labels)
    test[right[0]] = np.roll(test[right[0]], 1)
    nearly = dataclasses.replace(
        one_worse, predictions=dataclasses.replace(one_worse.predictions, test=test)
    )
    client = site_with(nearly, of(sprout, "same"), turned(of(sprout, "turned")))
    words = {
        name: client.get(f"/models/compare?left=sprout&right={name}").text
        for name in ("sprout", "same", "twin", "turned")
    }
    assert "A model against itself: choose another" in words["sprout"]
    assert "On these 161 images both are right equally often" in words["same"]
    assert "Sprout is right 0.62 percentage points more often: it gets" in words["twin"]
    assert "The difference may be due to chance" in words["twin"]
    assert "A difference this large is unlikely to be due to chance" in words["turned"]
    assert "drawing 161 of these images" in words["turned"]


def test_a_review_of_a_data_set_that_was_trained_on_is_linked_from_its_page(
    site_with: Site, empty_site: Flask
) -> None:
    client = site_with()
    assert "/dataset/garden/review" not in client.get("/dataset/garden").html
    folder: Path = empty_site.config["DATA_FOLDER"]
    for label in ("moss", "fern"):
        (folder / "photos" / label).mkdir(parents=True)
    runner = empty_site.test_cli_runner()
    done = runner.invoke(args=["data", "review", str(folder / "photos"), "--name", "garden"])
    assert done.exit_code == 0, done.output
    found = load_library(client.plain.application)
    assert found.data_sets["garden"].kept is not None
    page = client.get("/dataset/garden")
    assert 'href="/dataset/garden/review"' in page.html
    review = client.get("/dataset/garden/review")
    assert "No picture of fern" in review.text
    assert f"<h1>{found.data_sets['garden'].title}</h1>" in review.html
    assert 'href="/dataset/garden"' in review.html
    assert client.fetch("/dataset/garden/review.json").get_json()["name"] == "garden"


def test_a_file_that_cannot_be_looked_at_keeps_no_site_from_starting(tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "images.npz").symlink_to("/nowhere/images.npz")
    (tmp_path / ".some-being-written").mkdir()
    (tmp_path / ".some-being-written" / "00.webp").write_bytes(b"half")
    (tmp_path / "some" / "description.json").write_text("{}")
    assert [Path(name).name for name, _time, _size in _stamps(tmp_path)] == ["description.json"]
