"""The page of an answer: the verdict first, then the picture, then bars that agree with it."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from flask import Flask
from PIL import Image

from model_training.datasets.dataset import ImageSet
from model_training.judging.judge import Judge
from model_training.judging.parts.verdicts import Familiarity, VerdictRates
from tests import pictures
from tests.page_client import Page, PageClient
from tests.test_feedback import form_of
from tests.test_upload import png, send, shares
from webapp.answering import answers, wording
from webapp.answering.answers import Opinion
from webapp.filters import a
from webapp.library import load_library
from webapp.serving.classifier import Classifier

RATES = VerdictRates(
    measured_on="the other half of some photos",
    photos=313,
    strangers=1309,
    of_photos=(0.91, 0.05, 0.04),
    of_strangers=(0.04, 0.03, 0.93),
    right=(0.98, 0.84, 0.61),
)
EVEN = Familiarity(centre=0.0, slope=1e-9)
"""Of every photo, as likely as not that it shows one of the classes."""
VERDICTS: dict[str, dict[str, Any]] = {
    "known": {"novelty": 2e6, "unsure": 1e6, "familiarity": EVEN, "rates": RATES},
    "unsure": {"novelty": 1e6, "unsure": -1e6, "familiarity": EVEN, "rates": RATES},
    "stranger": {"novelty": -1e6, "unsure": -2e6, "familiarity": EVEN, "rates": RATES},
    "known, by a judge that saw no photos": {"novelty": 1e6},
    "unsure, by a judge that saw no photos": {"novelty": 1e6, "unsure": -1e6},
    "stranger, by a judge that saw no photos": {"novelty": -1e6},
}


@pytest.fixture
def classifier(site: Flask) -> Classifier:
    return load_library(site).classifiers["tiny"]


@pytest.fixture
def say(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the model give every photo the verdict that it is called with."""
    judge = classifier.judge

    def say(verdict: str) -> None:
        threshold = judge.threshold.model_copy(update=VERDICTS[verdict])
        monkeypatch.setattr(classifier, "judge", dataclasses.replace(judge, threshold=threshold))

    return say


def heading(page: Page) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", page.html, re.S)
    assert found
    return " ".join(re.sub("<[^>]+>", "", found[1]).split())


def bars(page: Page) -> list[tuple[str, float]]:
    """Name and length of each bar."""
    found = re.findall(r'bars-name">([\w ]+?)(?: <span|<).*?width="([\d.]+)"', page.html, re.S)
    return [(name, float(width)) for name, width in found]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("known", r"An? \w+\."),
        ("unsure", r"Perhaps an? \w+, but unlike what I learned from\."),
        ("stranger", r"None of my ten\."),
    ],
)
def test_a_verdict_is_said_first_and_its_bars_say_the_same(
    verdict: str, words: str, say: Callable[..., None], client: PageClient
) -> None:
    say(verdict)
    page = send(client, pictures.jpeg())
    assert re.fullmatch(words, heading(page))
    drawn = dict(bars(page))
    assert len(drawn) == 11 and sum(drawn.values()) == pytest.approx(100, abs=0.1)
    assert drawn["something else"] == pytest.approx(50, abs=0.01)
    label, largest = max(((n, v) for n, v in drawn.items() if n != "something else"), key=_second)
    stated = re.search(r'<p class="lead"><b class="number">([\d.]+)%</b>', page.html)
    assert stated
    if verdict == "stranger":
        assert float(stated[1]) == 50 and "sure that it is none of the ten" in page.text
        assert re.search(rf"If I had to pick one of the ten: an? {label}", page.text)
        assert 'class="first"' not in page.html.split("portions-grey")[1].split("</ol>")[0]
    else:
        assert label in heading(page)
        assert float(stated[1]) == pytest.approx(largest, abs=0.06)
        assert "so take it as a guess" in page.text or "not sure at all" in page.text


def test_a_form_that_comes_back_states_what_the_answer_did(
    say: Callable[..., None], client: PageClient
) -> None:
    say("known")
    page = send(client, pictures.jpeg())
    back = client.post("/feedback/", data=form_of(page), content_type="multipart/form-data")
    assert (back.status, heading(back)) == (400, "Not sent yet")
    assert bars(back) == bars(page)


def _second(pair: tuple[str, float]) -> float:
    return pair[1]


@pytest.mark.parametrize("verdict", ["known", "unsure", "stranger"])
def test_a_judge_that_saw_no_photos_makes_a_page_too(
    verdict: str, say: Callable[..., None], client: PageClient
) -> None:
    say(f"{verdict}, by a judge that saw no photos")
    page = send(client, pictures.jpeg())
    assert page.status == 200
    assert "something else" not in page.html.split("How far to trust that")[0]
    assert sum(shares(page).values()) == pytest.approx(100, abs=0.1)
    assert "has not been measured" in page.text
    if verdict == "stranger":
        assert "It resembles nothing that I learned from." in page.text
    if verdict == "unsure":
        # Without photos nobody knows how likely it is one of the ten: its share alone is too much.
        assert "sure, if it is one of the ten at all" in page.text


def test_a_scale_shows_where_the_photo_stands_and_no_bare_novelty(
    say: Callable[..., None], client: PageClient, classifier: Classifier
) -> None:
    places = []
    for verdict in ("known", "unsure", "stranger"):
        say(verdict)
        page = send(client, pictures.jpeg())
        assert "Novelty" not in page.text
        found = re.search(r'class="scale-dot" cx="([\d.]+)"', page.html)
        assert found
        places.append(float(found[1]))
        assert page.html.count('class="scale-part') == 3
        here = re.findall(r'<li class="scale-here">(\w+)</li>', page.html)
        assert here == [wording.on_scale(verdict)]
    assert places[0] <= 100 <= places[1] <= 200 <= places[2]
    say("known, by a judge that saw no photos")
    assert send(client, pictures.jpeg()).html.count('class="scale-part') == 2, "never unsure"


def test_the_page_says_on_what_limits_were_set_and_how_often_each_verdict_is_right(
    say: Callable[..., None], client: PageClient, classifier: Classifier
) -> None:
    say("unsure")
    page = send(client, pictures.jpeg())
    told = page.text.split("How far to trust that")[1]
    assert RATES.measured_on in told and "313 photos" in told and "1,309 of other things" in told
    assert classifier.judge.threshold.set_on.replace("`", "") in told
    rows = re.findall(r'<th scope="row">(\w+)</th>((?:<td class="n">[^<]+</td>)+)', page.html)
    cells = {name: re.findall(r">([^<]+)</td>", row) for name, row in rows}
    assert cells["familiar"] == ["91.0%", "98.0%", "4.0%"]
    assert cells["borderline"] == ["5.0%", "84.0%", "3.0%"]
    assert cells["strange"] == ["4.0%", "–", "93.0%"]


def test_what_a_stranger_resembles_is_said_everywhere(
    say: Callable[..., None], client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    say("stranger")
    judge = Judge.judge_features

    def seen_as_a_teapot(self: Judge, features: np.ndarray) -> list[Any]:
        found = judge(self, features)
        return [dataclasses.replace(one, resembles="teapot") for one in found]

    monkeypatch.setattr(Judge, "judge_features", seen_as_a_teapot)
    words = "None of my ten: it looks more like a teapot."
    assert heading(send(client, pictures.jpeg())) == words
    two = [(io.BytesIO(pictures.jpeg()), f"{name}.jpg") for name in "ab"]
    assert client.post("/", data={"image": two}).text.count(words) == 2


def test_few_bars_stand_open_and_the_others_together_in_one_line(client: PageClient) -> None:
    page = send(client, pictures.jpeg())
    shown, folded = page.html.split('class="bars"')[1:3]
    assert shown.count("<li") == 3 and folded.split("</ol>")[0].count("<li") == 7
    line = re.search(r"<summary>Seven others, together (under )?([\d.]+)%</summary>", page.html)
    assert line
    together = sum(value for _, value in bars(page)[3:])
    assert together < 0.05 if line[1] else float(line[2]) == pytest.approx(together, abs=0.06)


@pytest.mark.parametrize(
    ("votes", "words"),
    [
        (["dog"] * 6, "All six models say dog."),
        (["dog", "dog"], "Both models say dog."),
        (["cat", "dog", "dog", "dog"], "3 of 4 models say dog."),
        (["dog", None, None], "2 of 3 models say none of the ten."),
        (["dog", "perhaps dog", "perhaps dog"], "All three models say dog, 2 of them perhaps."),
        (["perhaps dog", "cat", "perhaps dog"], "2 of 3 models say perhaps dog."),
        (["cat", "dog"], "1 of 2 models says cat."),
    ],
)
def test_models_are_counted_by_what_they_say(
    votes: list[str | None], words: str, site: Flask, classifier: Classifier
) -> None:
    image = Image.open(io.BytesIO(pictures.jpeg()))
    (judged,) = answers.ask(classifier, [classifier.judge.views(image.convert("RGB"))])
    views = classifier.judge.views(image.convert("RGB"))
    opinions = [
        Opinion(
            "m",
            (vote or "dog").removeprefix("perhaps "),
            "stranger" if vote is None else "unsure" if vote.startswith("perhaps") else "known",
            0.9,
            1.0,
        )
        for vote in votes
    ]
    first, *rest = opinions
    answer = answers.make_answer(classifier, views, *judged, opinions=tuple(rest))
    said = dataclasses.replace(
        answer,
        verdict=first.verdict,
        shares=[(first.label, 0.9), *((f"other {n}", 0.01) for n in range(9))],
    )
    assert wording.tally(said) == words


@pytest.mark.parametrize(
    "words",
    [
        "a pear",
        "an apple",
        "an umbrella",
        "an upright",
        "a unicycle",
        "a European gallinule",
        "an Egyptian cat",
        "an hourglass",
        "a house finch",
        "an onion",
    ],
)
def test_an_article_is_chosen_by_the_sound(words: str) -> None:
    assert a(words.split(" ", 1)[1]) == words


@pytest.mark.parametrize("words", ["binoculars", "swimming trunks", "red wine", "wool"])
def test_what_is_not_counted_has_no_article(words: str) -> None:
    assert a(words) == words


def test_two_classes_are_neither_and_one_left_over_is_one_other() -> None:
    assert wording.none_of(2) == "neither of the two"
    assert str(wording.remainder([("a", 0.5), ("b", 0.3), ("c", 0.1), ("d", 0.1)])) == (
        "one other, 10.0%"
    )
    assert wording.remainder([("a", 0.5), ("b", 0.5)]) is None


def test_the_other_pictures_are_a_radio_button_away_without_a_script(client: PageClient) -> None:
    for page in (send(client, pictures.jpeg()), client.get("/?example=3")):
        names = re.findall(r'type="radio" name="look" id="(look-\w+)"( checked)?', page.html)
        assert names == [("look-photo", " checked"), ("look-where", ""), ("look-saw", "")]
        assert re.search(r"Looking for an? \w+, it looked (mostly|all|nowhere)", page.text)
        for name, _ in names:
            assert f'<figure class="{name}">' in page.html and f'<label for="{name}">' in page.html


def test_a_network_without_feature_maps_has_no_such_picture(
    client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.answering.one_photo.explaining.explain", lambda *_a, **_k: None)
    page = send(client, pictures.jpeg())
    assert page.status == 200 and "look-where" not in page.html and "Why not" not in page.text


def test_one_form_visit_runs_one_network(pair: PageClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    features = Classifier.features

    def count(self: Classifier, images: Any) -> Any:
        asked.append(self.name)
        return features(self, images)

    monkeypatch.setattr(Classifier, "features", count)
    monkeypatch.setattr(Classifier, "judge_views", None)
    page = send(pair, pictures.jpeg())
    assert asked == ["tiny"]
    assert "not asked yet" in page.text


@pytest.fixture
def pair(tiny_site: Callable[..., Flask], classifier: Classifier) -> Iterator[PageClient]:
    """A site with two models for the same classes: the second is the first by another name."""
    app = tiny_site()
    library = load_library(app)
    card = classifier.bundle.card.model_copy(update={"name": "other", "title": "Other network"})
    other = Classifier.__new__(Classifier)
    other.__dict__ |= classifier.__dict__
    other.bundle = dataclasses.replace(classifier.bundle, card=card)
    app.extensions["library"] = type(
        "Shelf",
        (),
        {
            "library": dataclasses.replace(
                library, classifiers=library.classifiers | {"other": other}
            )
        },
    )()
    with app.test_client() as plain:
        yield PageClient(plain)


def carried(page: Page) -> dict[str, str]:
    """What the page of an answer carries."""
    found = re.findall(r'name="(photo|seal)" value="([^"]+)"', page.html)
    return dict(found[:2])


def said(page: Page) -> dict[str, str]:
    rows = re.findall(
        r'opinions-model" href="/models/([\w-]+)".*?<p class="opinions-says">(.*?)</p>',
        page.html,
        re.S,
    )
    return {name: re.sub("<[^>]+>", "", words) for name, words in rows}


def test_another_model_looks_at_the_photo_that_the_page_carries(pair: PageClient) -> None:
    page = send(pair, pictures.jpeg())
    again = pair.post("/again", data=carried(page) | {"model": "other"})
    assert again.status == 200
    assert "seen by Other network" in again.text
    assert set(said(again)) == {"tiny", "other"}
    assert "not asked yet" not in again.text, "what the first one said stays"
    assert "Both models say" in again.text
    assert carried(again)["photo"] == carried(page)["photo"], "no copy of a copy"


def test_all_are_asked_at_once_and_what_was_said_stays_said(pair: PageClient) -> None:
    page = send(pair, pictures.jpeg(1600, 1200))
    again = pair.post("/again", data=carried(page) | {"all": "1"})
    assert "Both models say" in again.text
    assert shares(again) == shares(page), "the photo is smaller now, and the answer the same"
    assert "1600×1200" in again.text


def test_a_test_image_is_looked_at_again_by_its_address(
    pair: PageClient, test_images: ImageSet
) -> None:
    page = pair.get("/?example=3")
    (link,) = re.findall(r'href="(/\?example=3&amp;all=1)#opinions-title"', page.html)
    assert "Both models say" in pair.get(link.replace("&amp;", "&")).text
    (link,) = re.findall(r'href="(/\?example=3&amp;model=other)"', page.html)
    assert "seen by Other network" in pair.get(link.replace("&amp;", "&")).text


def test_why_not_the_runner_up_is_a_picture_of_its_own(client: PageClient) -> None:
    page = send(client, pictures.jpeg())
    second = bars(page)[1][0]
    first = re.search(r'name="class" form="carried"><option value="([^"]+)"', page.html)
    assert first and first[1] == second, "the likeliest other class is chosen already"
    again = client.post("/again", data=carried(page) | {"class": second, "why": "1"})
    assert re.search(r'id="look-why" checked', again.html)
    assert re.search(rf"Looking for an? {second}, it looked", again.text)
    assert re.search(rf"The answer gives an? {second} <?[\d.]+%", again.text)
    assert shares(again) == shares(page)


def test_the_map_stays_about_the_class_that_was_said(
    client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = send(client, pictures.jpeg())
    make = answers.make_answer

    def judged_as_another(*made_of: Any) -> Any:
        answer = make(*made_of)
        return dataclasses.replace(answer, shares=answer.shares[::-1])

    monkeypatch.setattr(answers, "make_answer", judged_as_another)
    again = client.post("/again", data=carried(page))
    assert shares(again) == shares(page)
    assert re.findall(r"Looking for an? (\w+), it looked", again.text) == [bars(again)[0][0]]


@pytest.mark.parametrize(
    "fields", [{"why": "1", "class": "unicorn"}, {"method": "magic"}, {"model": "nobody"}], ids=str
)
def test_what_cannot_be_asked_is_said(fields: dict[str, str], client: PageClient) -> None:
    page = client.post("/again", data=carried(send(client, pictures.jpeg())) | fields)
    assert page.status == 400
    assert re.search(r"no such class|no such way|no model called “nobody”", page.text)
    assert 'type="file"' in page.html


def test_a_tiny_photo_is_shown_as_squares(client: PageClient, test_images: ImageSet) -> None:
    page = send(client, png(test_images.images[3]), "image.png")
    assert re.search(r'<img class="pixels" src="data:image/png[^>]* alt="Your photo"', page.html)


def test_each_of_several_photos_can_be_looked_at_closer(client: PageClient) -> None:
    two = [(io.BytesIO(pictures.jpeg()), f"{name}.jpg") for name in "ab"]
    page = client.post("/", data={"image": two})
    assert page.html.count(">Look closer<span") == 2
    closer = client.post("/again", data=carried(page))
    assert closer.status == 200 and "look-where" in closer.html
