"""`/v1`, TensorFlow Serving's REST interface: its documented requests, and bad ones."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from model_training.bundles.bundle import Bundle
from model_training.datasets.dataset import ImageSet
from tests import live, pictures
from tests.test_open_inference import error_of
from tests.test_upload import png

ADDRESS = "/v1/models/tiny:predict"
REQUESTS = {
    "row": {"instances": "values"},
    "named row": {"instances": "named"},
    "column": {"inputs": "values"},
    "named column": {"inputs": "named column"},
}


@pytest.fixture
def plain(site: Flask) -> FlaskClient:
    return site.test_client()


def b64(file: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(file).decode()}


# From the documentation: https://www.tensorflow.org/tfx/serving/api_rest


def test_the_model_status(plain: FlaskClient) -> None:
    body = plain.get("/v1/models/tiny").get_json()
    (state,) = body["model_version_status"]
    assert state["state"] == "AVAILABLE"
    assert state["status"] == {"error_code": "OK", "error_message": ""}
    version = state["version"]
    assert plain.get(f"/v1/models/tiny/versions/{version}").get_json() == body
    assert error_of(plain.get("/v1/models/tiny/versions/1"))[0] == 404


def test_the_model_metadata(plain: FlaskClient) -> None:
    body = plain.get("/v1/models/tiny/metadata").get_json()
    assert body["model_spec"]["name"] == "tiny"
    signatures = body["metadata"]["signature_def"]["signature_def"]
    default = signatures["serving_default"]
    assert default["method_name"] == "tensorflow/serving/predict"
    assert default["outputs"]["probabilities"]["tensor_shape"]["dim"][1]["size"] == "10"
    assert "label" in signatures["answer"]["outputs"]


@pytest.mark.parametrize("form", REQUESTS)
@pytest.mark.parametrize("encoded", [True, False], ids=["b64", "arrays"])
def test_rows_and_columns(
    form: str, encoded: bool, plain: FlaskClient, tiny_bundle: Bundle, test_images: ImageSet
) -> None:
    images = test_images.images[:3]
    values: list[Any] = [b64(png(image)) for image in images] if encoded else images.tolist()
    name = "pictures" if encoded else "pixels"
    forms = {
        "values": values,
        "named": [{name: value} for value in values],
        "named column": {name: values},
    }
    ((key, kind),) = REQUESTS[form].items()
    answer = plain.post(ADDRESS, json={key: forms[kind]})
    assert answer.status_code == 200
    shares = np.array(answer.get_json()["predictions" if key == "instances" else "outputs"])
    assert shares.shape == (3, 10)
    expected = tiny_bundle.predictions.test[:3].argmax(axis=1)
    assert np.array_equal(shares.argmax(axis=1), expected)


def test_a_signature_chooses_what_is_answered(plain: FlaskClient, test_images: ImageSet) -> None:
    sent = {"instances": test_images.images[:2].tolist(), "signature_name": "answer"}
    first, _second = plain.post(ADDRESS, json=sent).get_json()["predictions"]
    told = plain.post(
        "/api/classify", data=png(test_images.images[0]), content_type="image/png"
    ).get_json()
    assert {"label", "known", "verdict", "novelty", "probabilities"} <= set(first)
    assert (first["label"], first["known"]) == (told["label"], told["known"])
    features = plain.post(ADDRESS, json=sent | {"signature_name": "features"}).get_json()
    assert np.array(features["predictions"]).shape == (2, 8)


def test_the_client_of_their_resnet_example(site: Flask, test_images: ImageSet) -> None:
    """What `tensorflow_serving/example/resnet_client.py` does, line for line but for its address
    and its picture (Apache License 2.0, the TensorFlow Serving authors).
    """
    import requests

    jpeg = png(test_images.images[0])
    with live.serving(site) as host:
        SERVER_URL = f"http://{host}/v1/models/tiny:predict"
        # Compose a JSON Predict request (send JPEG image in base64).
        jpeg_bytes = base64.b64encode(jpeg).decode("utf-8")
        predict_request = '{"instances" : [{"b64": "%s"}]}' % jpeg_bytes  # noqa: UP031
        response = requests.post(SERVER_URL, data=predict_request)
        response.raise_for_status()
        prediction = response.json()["predictions"][0]
        assert 0 <= np.argmax(prediction) < 10


BAD: dict[str, tuple[Any, int, str]] = {
    "no object": ([], 400, "must be an object"),
    "neither form": ({}, 400, "either “instances”"),
    "both forms": ({"instances": [], "inputs": []}, 400, "either “instances”"),
    "another key": ({"instances": [], "model": "x"}, 400, "no “model”"),
    "no instances": ({"instances": []}, 400, "at least one"),
    "no inputs": ({"inputs": []}, 400, "[number, height, width, 3]"),
    "a number": ({"instances": 7}, 400, "must be a list"),
    "numbers": ({"instances": [1.0, 2.0, 5.0]}, 400, "[number, height, width, 3]"),
    "another input": ({"instances": [{"tag": "foo"}]}, 400, "“pictures”, “pixels” or “views”"),
    "inputs that differ": ({"instances": [{"pixels": []}, {"tag": 1}]}, 400, "the same input"),
    "mixed sizes": (
        {"instances": [[[[1, 2, 3]]], [[[1, 2, 3], [1, 2, 3]]]]},
        400,
        "All images of a request have one size",
    ),
    "scaled pixels": ({"instances": [[[[0.1, 0.2, 0.3]]]]}, 400, "not scaled to 0 to 1"),
    "a plain text": ({"instances": ["abc"]}, 400, '{"b64": "..."}'),
    "b64 beside more": ({"instances": [{"b64": "", "x": 1}]}, 400, '{"b64": "..."}'),
    "b64 that is none": ({"instances": [{"b64": "%"}]}, 400, "no picture in base64"),
    "b64 that is a list": ({"instances": [{"b64": [1]}]}, 400, "no picture in base64"),
    "a bomb": ({"instances": [b64(pictures.png_bomb())]}, 413, "megapixels"),
    "half a photo": ({"instances": [b64(pictures.truncated_jpeg())]}, 422, "damaged"),
    "seventeen files": ({"instances": [{"b64": "eA=="}] * 17}, 413, "the most at a time is 16"),
    "too many": ({"instances": [[[[1, 2, 3]]]] * 257}, 413, "the most at a time is 256"),
    "an unknown signature": ({"instances": [1], "signature_name": "x"}, 400, "serving_default"),
    "a signature of another kind": ({"instances": [1], "signature_name": []}, 400, "no signature"),
}


@pytest.mark.parametrize(("body", "status", "words"), BAD.values(), ids=BAD)
def test_a_bad_request_is_named(body: Any, status: int, words: str, plain: FlaskClient) -> None:
    found, sentence = error_of(plain.post(ADDRESS, data=json.dumps(body)))
    assert found == status and words in sentence


def test_an_unknown_model_is_named(plain: FlaskClient) -> None:
    for answer in (plain.get("/v1/models/x"), plain.post("/v1/models/x:predict", json={})):
        status, sentence = error_of(answer)
        assert status == 404 and "Available: tiny" in sentence
