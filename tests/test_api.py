"""`/api/classify`: one photo in, JSON out, and one shape for whatever goes wrong."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from model_training.bundles.bundle import Bundle
from model_training.datasets.catalog.cifar10 import CLASSES
from model_training.datasets.dataset import ImageSet
from tests import pictures
from tests.test_upload import multipart, png


@pytest.fixture
def api(site: Flask) -> FlaskClient:
    return site.test_client()


def ask(api: FlaskClient, *photos: bytes, **fields: str) -> TestResponse:
    files = [(io.BytesIO(photo), "a.jpg") for photo in photos]
    return api.post(
        "/api/classify", data={"image": files} | fields, content_type="multipart/form-data"
    )


def error_of(answer: TestResponse) -> dict[str, Any]:
    assert answer.mimetype == "application/json"
    body = answer.get_json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"status", "code", "title", "detail"}
    assert body["error"]["status"] == answer.status_code
    return dict(body["error"])


def test_a_photo_is_answered_with_label_novelty_and_ten_probabilities(
    api: FlaskClient, tiny_bundle: Bundle, test_images: ImageSet
) -> None:
    for number in range(3):
        answer = ask(api, png(test_images.images[number]), model="tiny")
        assert answer.status_code == 200
        body = answer.get_json()
        assert set(body) == {"model", "label", "known", "novelty", "probabilities"}
        assert body["model"] == "tiny"
        assert body["label"] == CLASSES[int(tiny_bundle.predictions.test[number].argmax())]
        assert set(body["probabilities"]) == set(CLASSES)
        assert sum(body["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert tiny_bundle.judge is not None
        assert body["known"] is (body["novelty"] <= tiny_bundle.judge.threshold.novelty)


def test_no_cookie_and_no_token_is_needed_or_given(tiny_site: Callable[..., Flask]) -> None:
    answer = ask(tiny_site(WTF_CSRF_ENABLED=True).test_client(), pictures.jpeg())
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


BAD = {
    "nothing": ((), {}, 400, "no-photo"),
    "an empty file": ((b"",), {}, 400, "empty-file"),
    "two photos": ((pictures.jpeg(), pictures.jpeg()), {}, 400, "one-photo"),
    "an unknown model": ((pictures.jpeg(),), {"model": "nobody"}, 400, "unknown-model"),
    "seventeen photos": ((pictures.jpeg(),) * 17, {}, 413, "too-many-photos"),
    "a bomb": ((pictures.png_bomb(),), {}, 413, "photo-too-large"),
    "a text": ((pictures.not_an_image(),), {}, 415, "not-an-image"),
    "half a photo": ((pictures.truncated_jpeg(),), {}, 422, "damaged-photo"),
}


@pytest.mark.parametrize(("photos", "fields", "status", "code"), BAD.values(), ids=BAD)
def test_bad_input_is_named_in_one_shape(
    photos: tuple[bytes, ...], fields: dict[str, str], status: int, code: str, api: FlaskClient
) -> None:
    error = error_of(ask(api, *photos, **fields))
    assert (error["status"], error["code"]) == (status, code)
    assert error["detail"].endswith(".")


def test_what_is_no_form_is_told_how_to_send_one(api: FlaskClient) -> None:
    for options in ({"json": {"image": "x"}}, {"data": {"image": "x"}}, {}):
        error = error_of(api.post("/api/classify", **options))
        assert (error["status"], error["code"]) == (415, "not-a-form")
        assert "curl -F image=@photo.jpg" in error["detail"]


def test_the_other_errors_have_the_same_shape(api: FlaskClient) -> None:
    assert error_of(api.get("/api/nowhere"))["code"] == "not-found"
    wrong = api.get("/api/classify")
    assert error_of(wrong)["code"] == "method-not-allowed"
    assert "POST" in wrong.headers["Allow"]


@pytest.mark.parametrize("size", [20 * 1024 * 1024 + 1, 25 * 1024 * 1024])
def test_a_photo_over_the_pages_limit_is_over_this_one_too(size: int, api: FlaskClient) -> None:
    answer = api.post(
        "/api/classify",
        data=multipart(bytes(size)),
        content_type="multipart/form-data; boundary=x",
    )
    error = error_of(answer)
    assert (error["status"], error["code"]) == (413, "photo-too-large")
    assert "the limit is 20 MB" in error["detail"]


def test_without_a_model_it_says_so(empty_site: Flask) -> None:
    error = error_of(ask(empty_site.test_client(), pictures.jpeg()))
    assert (error["status"], error["code"]) == (503, "no-model")


def test_the_description_names_what_is_really_there(api: FlaskClient) -> None:
    document = api.get("/openapi.json").get_json()
    assert document["openapi"].startswith("3.1")
    operation = document["paths"]["/api/classify"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["model"] == {"type": "string", "enum": ["tiny"], "default": "tiny"}
    schemas = document["components"]["schemas"]
    body = ask(api, pictures.jpeg()).get_json()
    assert set(schemas["Answer"]["required"]) == set(body)
    assert set(schemas["Answer"]["properties"]["probabilities"]["required"]) == set(CLASSES)
    error = error_of(ask(api))
    assert set(schemas["Error"]["properties"]["error"]["required"]) == set(error)
    statuses = {str(status) for _, _, status, _ in BAD.values()} | {"200", "405", "503"}
    assert set(operation["responses"]) == statuses
