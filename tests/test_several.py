"""Several photos at once: a page of answers, and beside each bad file what is wrong with it."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from flask import Flask

from model_training.datasets.catalog.cifar10 import CLASSES
from model_training.datasets.dataset import ImageSet
from model_training.datasets.pictures import opener as photos
from tests import pictures
from tests.page_client import Page, PageClient
from tests.test_upload import png
from webapp.answering import answers
from webapp.library import load_library
from webapp.serving.tensorflow_backend import TensorFlowBackend


def send(client: PageClient, files: Sequence[tuple[str, bytes]], **fields: str) -> Page:
    return client.post("/", data={"image": [(io.BytesIO(d), n) for n, d in files]} | fields)


def labels(page: Page) -> list[str]:
    return re.findall(r"<h2>An? (\w+)\.</h2>", page.html)


def test_several_photos_get_a_page_of_answers_in_their_order(
    client: PageClient, test_images: ImageSet
) -> None:
    files = [(f"{number}.png", png(test_images.images[number])) for number in range(16)]
    page = send(client, files)
    alone = [client.post("/", data={"image": (io.BytesIO(data), name)}) for name, data in files]
    one_by_one = [re.findall(r"<h1[^>]*>An? (\w+)\.</h1>", answer.html)[0] for answer in alone]
    assert page.status == 200
    assert labels(page) == one_by_one
    assert re.findall(r'answers-name">([^<]+)<', page.html) == [name for name, _ in files]
    assert len(set(one_by_one)) > 1, "or the order would not show"


def test_one_call_answers_all_of_them_as_one_call_each_would(
    site: Flask, test_images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = load_library(site).classifiers["tiny"]
    opened = [
        photos.open_photo(png(test_images.images[number]), max_pixels=10**6) for number in range(9)
    ]
    ready = [answers.prepare(photo, classifier) for photo in opened]
    alone = [answers.answer_photos([one], classifier)[0] for one in ready]
    calls = []
    features = TensorFlowBackend.features

    def count(self: TensorFlowBackend, pixels: np.ndarray) -> np.ndarray:
        calls.append(len(pixels))
        return features(self, pixels)

    monkeypatch.setattr(TensorFlowBackend, "features", count)
    together = answers.answer_photos(ready, classifier)
    assert calls == [9]
    for one, other in zip(alone, together, strict=True):
        assert dict(one.shares) == pytest.approx(dict(other.shares), abs=1e-5)


def test_bad_files_are_named_with_their_problem_and_the_good_ones_answered(
    client: PageClient,
) -> None:
    page = send(
        client,
        [
            ("cat.jpg", pictures.jpeg()),
            ("diary.txt", pictures.not_an_image()),
            ("half.jpg", pictures.truncated_jpeg()),
            ("dog.png", pictures.png()),
        ],
    )
    assert page.status == 200
    assert len(labels(page)) == 2
    assert "2 photos answered, 2 could not be used" in page.text
    assert re.search(r"diary\.txt\s+That file is not a picture", page.text)
    assert re.search(r"half\.jpg\s+That picture is damaged", page.text)


@pytest.mark.parametrize(
    ("second", "status"), [(pictures.not_an_image, 415), (pictures.truncated_jpeg, 400)]
)
def test_only_bad_files_bring_the_form_back_with_each_problem(
    second: Callable[[], bytes], status: int, client: PageClient
) -> None:
    page = send(client, [("a.txt", pictures.not_an_image()), ("<b>.jpg", second())])
    assert page.status == status, "the status they share, or that of a bad request"
    assert "None of these files can be used" in page.text
    assert "a.txt" in page.text and "<b>.jpg" in page.text
    assert 'type="file"' in page.html


def test_sixteen_are_answered_and_seventeen_refused_before_any_is_looked_at(
    client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(labels(send(client, [("a.png", pictures.png())] * 16))) == 16

    def opened(*_arguments: object, **_options: object) -> None:
        raise AssertionError("looked at")

    monkeypatch.setattr(photos, "open_photo", opened)
    page = send(client, [("a.png", pictures.png())] * 17)
    assert page.status == 413
    assert "You chose 17 photos; the most at a time is 16. None of them" in page.text


def test_one_file_too_large_does_not_cost_the_others(tiny_site: Callable[..., Flask]) -> None:
    client = PageClient(tiny_site(MAX_PHOTO_BYTES=100_000).test_client())
    page = send(client, [("big.jpg", bytes(100_001)), ("a.jpg", pictures.jpeg())])
    assert page.status == 200
    assert len(labels(page)) == 1
    assert re.search(r"big\.jpg\s+That file is too large", page.text)


def test_the_camera_field_left_empty_is_no_photo(client: PageClient) -> None:
    page = send(client, [("a.jpg", pictures.jpeg()), ("", b"")])
    assert page.status == 200
    assert page.html.count("answer-label") == 1


def test_a_photo_is_read_into_memory_one_at_a_time_and_made_small(site: Flask) -> None:
    classifier = load_library(site).classifiers["tiny"]
    photo = photos.open_photo(pictures.jpeg(4000, 3000), max_pixels=12_000_000)
    ready = answers.prepare(photo, classifier, shown_side=answers.SHOWN_SIDE_AMONG_MANY)
    seen = sum(view.pixels.nbytes for view in ready.views)
    assert seen + len(ready.photo_uri or "") < 100_000


def test_a_stranger_is_called_one_and_its_bars_stay(
    site: Flask, client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = load_library(site).classifiers["tiny"]
    nothing = classifier.judge.threshold.model_copy(update={"novelty": -1e6})
    monkeypatch.setattr(
        classifier, "judge", dataclasses.replace(classifier.judge, threshold=nothing)
    )
    page = client.post("/", data={"image": (io.BytesIO(pictures.jpeg()), "a.jpg")})
    words = r"None of my ten\."
    assert re.search(rf"<h1[^>]*>{words}</h1>", page.html)
    assert page.html.count('class="bars-value"') == len(CLASSES)
    several = send(client, [("a.jpg", pictures.jpeg()), ("b.jpg", pictures.jpeg())])
    assert len(re.findall(words, several.text)) == 2
