"""`/api/classify`: one photo in, JSON out, and one shape for whatever goes wrong."""

from __future__ import annotations

import io
import re
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
        shape = {"model", "label", "known", "verdict", "familiarity", "resembles"}
        shape |= {"novelty", "threshold", "probabilities"}
        assert set(body) == shape
        assert body["model"] == "tiny"
        assert body["label"] == CLASSES[int(tiny_bundle.predictions.test[number].argmax())]
        assert set(body["probabilities"]) == set(CLASSES)
        assert sum(body["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert tiny_bundle.judge is not None
        assert body["threshold"] == tiny_bundle.judge.threshold.novelty
        assert body["known"] is (body["novelty"] <= body["threshold"])


def test_classes_come_by_their_probability(api: FlaskClient) -> None:
    # `get_json` keeps the order in which the text has them.
    body = ask(api, pictures.jpeg()).get_json()
    shares = list(body["probabilities"].values())
    assert shares == sorted(shares, reverse=True)
    assert next(iter(body["probabilities"])) == body["label"]


def test_no_cookie_and_no_token_is_needed_or_given(tiny_site: Callable[..., Flask]) -> None:
    answer = ask(tiny_site(WTF_CSRF_ENABLED=True).test_client(), pictures.jpeg())
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


BAD = {
    "nothing": ((), {}, 400, "no-photo"),
    "an empty file": ((b"",), {}, 400, "empty-file"),
    "an unknown field": ((pictures.jpeg(),), {"modell": "tiny"}, 400, "unknown-parameter"),
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


EXAMPLE = "curl -F image=@photo.jpg http://localhost/api/classify"


def test_what_is_no_form_is_told_how_to_send_one(api: FlaskClient) -> None:
    for options in ({"data": {"image": "x"}}, {}, {"json": {"image": "x"}}):
        error = error_of(api.post("/api/classify", **options))
        assert (error["status"], error["code"]) == (415, "not-a-form")
        assert EXAMPLE in error["detail"]
    assert "The body is of type application/json." in error["detail"]


@pytest.mark.parametrize("kind", ["image/jpeg", "image/x-whatever", "application/octet-stream"])
def test_a_photo_may_be_the_whole_body(kind: str, api: FlaskClient) -> None:
    raw = api.post("/api/classify?model=tiny", data=pictures.jpeg(), content_type=kind)
    assert raw.status_code == 200
    assert raw.get_json() == ask(api, pictures.jpeg()).get_json()


def test_a_body_that_is_no_photo_or_too_large_is_named(api: FlaskClient) -> None:
    for data, status, code in (
        (b"", 400, "empty-file"),
        (pictures.not_an_image(), 415, "not-an-image"),
        (bytes(20 * 1024 * 1024 + 1), 413, "photo-too-large"),
    ):
        error = error_of(api.post("/api/classify", data=data, content_type="image/jpeg"))
        assert (error["status"], error["code"]) == (status, code)


def test_a_photo_over_the_limit_is_refused_though_no_length_precedes_it(
    tiny_site: Callable[..., Flask],
) -> None:
    photo = pictures.jpeg()
    for most, status in ((len(photo), 200), (len(photo) - 1, 413), (100, 413)):
        answer = (
            tiny_site(MAX_PHOTO_BYTES=most)
            .test_client()
            .post(
                "/api/classify",
                content_type="image/jpeg",
                # As gunicorn hands on what comes in chunks.
                environ_overrides={"wsgi.input": io.BytesIO(photo), "wsgi.input_terminated": True},
            )
        )
        assert answer.status_code == status
        assert status == 200 or error_of(answer)["code"] == "photo-too-large"


def test_several_photos_are_answered_in_order_and_a_bad_one_spoils_no_other(
    api: FlaskClient, test_images: ImageSet
) -> None:
    photos = [png(test_images.images[0]), pictures.truncated_jpeg(), png(test_images.images[1])]
    answer = ask(api, *photos)
    assert answer.status_code == 200
    first, second, third = answer.get_json()["answers"]
    for got, photo in ((first, photos[0]), (third, photos[2])):
        alone = ask(api, photo).get_json()
        assert got["label"] == alone["label"]
        assert got["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-4)
    assert second["error"]["code"] == "damaged-photo" and second["error"]["status"] == 422


def test_the_form_and_the_address_may_name_the_same_model(api: FlaskClient) -> None:
    for named, status in (("tiny", 200), ("nope", 400)):
        form = {"image": (io.BytesIO(pictures.jpeg()), "a.jpg"), "model": "tiny"}
        assert api.post(f"/api/classify?model={named}", data=form).status_code == status


def test_an_unknown_or_repeated_parameter_is_refused_wherever_it_stands(api: FlaskClient) -> None:
    photo = {"data": pictures.jpeg(), "content_type": "image/jpeg"}
    for query, code, words in (
        ("model=nope", "unknown-model", "Available: tiny"),
        ("models=tiny", "unknown-parameter", "“models”"),
        ("model=", "unknown-parameter", "Name a model, or leave it out"),
        ("model=tiny&model=tiny", "unknown-parameter", "more than once"),
    ):
        error = error_of(api.post(f"/api/classify?{query}", **photo))
        assert (error["status"], error["code"]) == (400, code)
        assert words in error["detail"]


def test_pages_of_other_sites_may_ask_only_where_a_setting_says_so(
    tiny_site: Callable[..., Flask], api: FlaskClient
) -> None:
    theirs = {"Origin": "https://one.example"}
    allowed = "Access-Control-Allow-Origin"
    addresses = ("/api/classify", "/v2", "/v2/models", "/v1/models/tiny", "/openapi.json")
    client = tiny_site(CORS_ORIGINS="https://one.example https://two.example").test_client()
    for address in addresses:
        assert allowed not in api.get(address, headers=theirs).headers
        assert client.get(address, headers=theirs).headers[allowed] == "https://one.example"
        others = client.get(address, headers={"Origin": "https://three.example"})
        assert allowed not in others.headers
    assert allowed not in client.get("/", headers=theirs).headers, "pages stay out of reach"


def photo_file() -> tuple[io.BytesIO, str]:
    return io.BytesIO(pictures.jpeg()), "a.jpg"


WITHOUT_IMAGE: dict[str, tuple[dict[str, Any], str]] = {
    "another field": ({"photo": photo_file}, "no field “image”; it has “photo”"),
    "a text": ({"image": "photo.jpg"}, "“image” was sent as text and not as a file"),
    "a file without a name": ({"image": lambda: (io.BytesIO(b""), "")}, "it has no file name"),
    "many other fields": (dict.fromkeys("abcdefgh", "x"), "“a”, “b”, “c”, “d”, “e” and others"),
    "no fields": ({}, "The form has no fields."),
}


@pytest.mark.parametrize(("fields", "words"), WITHOUT_IMAGE.values(), ids=WITHOUT_IMAGE)
def test_a_form_without_the_photo_is_told_which_field_it_belongs_in(
    fields: dict[str, Any], words: str, api: FlaskClient
) -> None:
    data = {name: value() if callable(value) else value for name, value in fields.items()}
    error = error_of(api.post("/api/classify", data=data, content_type="multipart/form-data"))
    assert (error["status"], error["code"]) == (400, "no-photo")
    assert words in error["detail"]
    assert "Send the photo in the file field “image”" in error["detail"]
    assert EXAMPLE in error["detail"]


BROKEN_FORMS = {
    "cut off": (multipart(pictures.jpeg())[:-200], "multipart/form-data; boundary=x"),
    "another boundary": (multipart(pictures.jpeg()), "multipart/form-data; boundary=other"),
    "no boundary": (multipart(pictures.jpeg()), "multipart/form-data"),
}


# Werkzeug leaves a file to the garbage collector in which it began to keep a part.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("body", "kind"), BROKEN_FORMS.values(), ids=BROKEN_FORMS)
def test_a_form_that_arrived_incomplete_is_not_taken_for_an_empty_one(
    body: bytes, kind: str, api: FlaskClient
) -> None:
    error = error_of(api.post("/api/classify", data=body, content_type=kind))
    assert (error["status"], error["code"]) == (400, "incomplete-form")
    assert "cannot be read to its end" in error["detail"] and EXAMPLE in error["detail"]


def test_the_other_errors_have_the_same_shape(api: FlaskClient) -> None:
    assert error_of(api.get("/api/nowhere"))["code"] == "not-found"
    wrong = api.get("/api/classify")
    assert error_of(wrong)["code"] == "method-not-allowed"
    assert "POST" in wrong.headers["Allow"]
    assert "takes POST only" in error_of(wrong)["detail"]
    assert EXAMPLE in error_of(wrong)["detail"]
    elsewhere = api.post("/models/", headers={"Accept": "application/json"})
    assert elsewhere.status_code == 405 and "curl" not in error_of(elsewhere)["detail"]


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
    images = form["properties"]["image"]
    assert (images["minItems"], images["maxItems"]) == (1, 16)
    assert images["items"]["minLength"] == 1
    assert images["items"]["maxLength"] == 20 * 1024 * 1024
    statuses = {str(status) for _, _, status, _ in BAD.values()} | {"200", "405", "408", "503"}
    assert set(operation["responses"]) == statuses


def test_the_description_has_every_address_for_programs(api: FlaskClient, site: Flask) -> None:
    described = api.get("/openapi.json").get_json()["paths"]
    served = {
        re.sub(r"<(model_name:)?name>", "{model}", rule.rule)
        for rule in site.url_map.iter_rules()
        if rule.rule.startswith(("/v1", "/v2", "/api/c")) and "version>" not in rule.rule
    }
    assert set(described) == served - {"/v2/"}
    for address, methods in described.items():
        # Whatever has a body may come too slowly.
        assert "post" not in methods or "408" in methods["post"]["responses"], address


def test_a_text_in_place_of_the_photo_is_against_the_description(api: FlaskClient) -> None:
    document = api.get("/openapi.json").get_json()
    content = document["paths"]["/api/classify"]["post"]["requestBody"]["content"]
    part = content["multipart/form-data"]["encoding"]["image"]
    assert part["contentType"] == "image/*"
    disposition = part["headers"]["Content-Disposition"]
    assert disposition["required"] is True
    named = re.compile(disposition["schema"]["pattern"])
    assert named.search('form-data; name="image"; filename="a.jpg"')
    assert not named.search('form-data; name="image"; filename=""')
    assert not named.search('form-data; name="image"')


def test_every_answer_is_as_it_is_described(api: FlaskClient) -> None:
    schemas = api.get("/openapi.json").get_json()["components"]["schemas"]
    body = ask(api, pictures.jpeg()).get_json()
    assert schemas["Answer"]["required"] == list(body)
    of_classes = schemas["Answer"]["properties"]["probabilities"]
    assert of_classes["type"] == "object" and "required" not in of_classes, "models differ"
    assert of_classes["additionalProperties"] == {"type": "number", "minimum": 0, "maximum": 1}
    assert schemas["Error"]["required"] == ["error"]
    reference = schemas["Error"]["properties"]["error"]["$ref"]
    assert reference == "#/components/schemas/Problem"
    assert set(schemas["Problem"]["required"]) == set(error_of(ask(api)))
