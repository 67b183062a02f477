"""`/v2`, the Open Inference Protocol: asked by Triton's own client, and by hands that err."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from flask import Flask
from flask.testing import FlaskClient
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException
from werkzeug.test import TestResponse

from model_training.datasets.dataset import ImageSet
from tests import live, pictures
from tests.test_upload import png
from webapp.api.inference import bodies
from webapp.library import load_library

LENGTH = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def server(site: Flask) -> Iterator[str]:
    with live.serving(site) as address:
        yield address


@pytest.fixture
def client(server: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server) as client:
        yield client


@pytest.fixture
def plain(site: Flask) -> FlaskClient:
    return site.test_client()


def sent_pixels(array: NDArray[np.uint8], *, binary: bool = True) -> triton.InferInput:
    sent = triton.InferInput("pixels", list(array.shape), "UINT8")
    sent.set_data_from_numpy(array, binary_data=binary)
    return sent


def sent_pictures(*files: bytes) -> triton.InferInput:
    sent = triton.InferInput("pictures", [len(files)], "BYTES")
    sent.set_data_from_numpy(np.array(files, dtype=np.object_))
    return sent


def answers_of_api(plain: FlaskClient, file: bytes) -> dict[str, Any]:
    answer = plain.post("/api/classify", data=file, content_type="image/png").get_json()
    return dict(answer)


# What Triton's client sees.


def test_the_server_and_its_models_are_described(
    client: triton.InferenceServerClient, site: Flask
) -> None:
    judge = load_library(site).classifiers["tiny"].judge
    assert client.is_server_live() and client.is_server_ready()
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    described = client.get_model_metadata("tiny")
    assert described["name"] == "tiny"
    assert described["parameters"]["classes"] == list(judge.classes)
    assert described["parameters"]["threshold"] == judge.threshold.novelty
    (version,) = described["versions"]
    assert re.fullmatch(r"20\d{12}", version)
    assert client.is_model_ready("tiny") and client.is_model_ready("tiny", version)
    assert not client.is_model_ready("tiny", "1") and not client.is_model_ready("nobody")
    shapes = {one["name"]: one["shape"] for one in described["outputs"]}
    assert shapes["probabilities"] == [-1, 10] and shapes["features"] == [-1, judge.width]


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])
def test_pixels_and_files_are_answered_as_the_api_answers_them(
    binary: bool, client: triton.InferenceServerClient, plain: FlaskClient, test_images: ImageSet
) -> None:
    images = test_images.images[:3]
    files = [png(image) for image in images]
    for sent in (sent_pixels(images, binary=binary), sent_pictures(*files)):
        wanted = [
            triton.InferRequestedOutput(name, binary_data=binary)
            for name in ("label", "probabilities", "known", "novelty", "verdict")
        ]
        answer = client.infer("tiny", [sent], outputs=wanted, request_id="17")
        assert answer.get_response()["id"] == "17"
        for number, file in enumerate(files):
            told = answers_of_api(plain, file)
            label = answer.as_numpy("label")[number]
            assert (label.decode() if binary else label) == told["label"]
            assert bool(answer.as_numpy("known")[number]) is told["known"]
            assert answer.as_numpy("novelty")[number] == pytest.approx(told["novelty"], rel=1e-4)
            highest = max(told["probabilities"].values())
            found = answer.as_numpy("probabilities")[number].max()
            assert found == pytest.approx(highest, abs=1e-4)


def test_without_a_wish_every_output_comes(
    client: triton.InferenceServerClient, test_images: ImageSet, site: Flask
) -> None:
    answer = client.infer("tiny", [sent_pixels(test_images.images[:2])])
    described = client.get_model_metadata("tiny")["outputs"]
    assert [one["name"] for one in answer.get_response()["outputs"]] == [
        one["name"] for one in described
    ]
    backend = load_library(site).classifiers["tiny"].backend
    expected = backend.features(test_images.images[:2])
    assert answer.as_numpy("features") == pytest.approx(expected, abs=1e-4)


def test_the_most_probable_classes_come_as_texts(
    client: triton.InferenceServerClient, test_images: ImageSet
) -> None:
    wanted = [triton.InferRequestedOutput("probabilities", class_count=3)]
    answer = client.infer("tiny", [sent_pixels(test_images.images[:2])], outputs=wanted)
    texts = answer.as_numpy("probabilities")
    assert texts.shape == (2, 3)
    shares = [float(text.decode().split(":")[0]) for text in texts[0]]
    assert shares == sorted(shares, reverse=True)
    _share, number, name = texts[0][0].decode().split(":")
    assert client.get_model_metadata("tiny")["parameters"]["classes"][int(number)] == name


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
def test_packed_requests_are_unpacked(
    packing: str, client: triton.InferenceServerClient, test_images: ImageSet
) -> None:
    sent = sent_pixels(test_images.images[:2])
    packed = client.infer("tiny", [sent], request_compression_algorithm=packing)
    expected = client.infer("tiny", [sent]).as_numpy("probabilities")
    assert np.array_equal(packed.as_numpy("probabilities"), expected)


def test_a_hostile_picture_is_refused_with_the_openers_words(
    client: triton.InferenceServerClient,
) -> None:
    for number, bad in enumerate([pictures.png_bomb(), pictures.svg(), pictures.truncated_jpeg()]):
        with pytest.raises(InferenceServerException) as caught:
            client.infer("tiny", [sent_pictures(pictures.jpeg(), bad)])
        assert caught.value.status() == ("413", "415", "422")[number]
        assert caught.value.message().startswith("Picture 2 of 2: That ")


# What no client of good will sends.


def ask(plain: FlaskClient, binary: bytes = b"", **changes: Any) -> TestResponse:
    """Send one 2x2 picture as pixels, with `changes` to the tensor or to the request."""
    tensor: dict[str, Any] = {"name": "pixels", "datatype": "UINT8", "shape": [1, 2, 2, 3]}
    if binary:
        tensor["parameters"] = {"binary_data_size": len(binary)}
    else:
        tensor["data"] = [7] * 12
    for name in tuple(changes):
        if name in ("name", "datatype", "shape", "data", "parameters"):
            tensor[name] = changes.pop(name)
    headers = changes.pop("headers", None)
    header = json.dumps({"inputs": [tensor]} | changes).encode()
    return plain.post(
        "/v2/models/tiny/infer",
        data=header + binary,
        headers={LENGTH: str(len(header))} if headers is None else headers,
    )


def error_of(answer: TestResponse) -> tuple[int, str]:
    body = answer.get_json()
    assert set(body) == {"error"} and body["error"].endswith(".")
    return answer.status_code, body["error"]


def b64(*files: bytes) -> dict[str, Any]:
    data = [base64.b64encode(file).decode() for file in files]
    return {"name": "pictures", "datatype": "BYTES", "shape": [len(files)], "data": data}


HUGE = 10**18
BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "a huge shape of JSON": ({"shape": [1, 4000, 4000, 3]}, 400, "has 12 values"),
    "more pictures than are taken": ({"shape": [HUGE, 1, 1, 3]}, 413, "the most at a time is 256"),
    "more pixels than are taken": ({"shape": [1, HUGE, HUGE, 3]}, 413, "megapixels"),
    "a longer side than is taken": ({"shape": [1, 1, 40_000, 3]}, 413, "on one side"),
    "a negative side": ({"shape": [1, -2, -2, 3]}, 400, "inputs.0.shape.1"),
    "a side that is text": ({"shape": [1, "2", 2, 3]}, 400, "inputs.0.shape.1"),
    "a side beyond all bounds": ({"shape": [1, 1e308, 10, 3]}, 400, "inputs.0.shape.1"),
    "no axis for colour": ({"shape": [2, 2, 3]}, 400, "[number, height, width, 3]"),
    "four channels": ({"shape": [1, 2, 2, 4]}, 400, "[number, height, width, 3]"),
    "no picture": ({"shape": [0, 2, 2, 3], "data": []}, 400, "there is at least one"),
    "another datatype": ({"datatype": "FP32"}, 400, "UINT8, not “FP32”"),
    "another input": ({"name": "image"}, 400, "“pictures” (BYTES"),
    "no data": ({"data": None}, 400, "neither “data” nor “binary_data_size”"),
    "too few values": ({"data": [7] * 11}, 400, "has 11 values"),
    "an object": ({"data": {"7": 7}}, 400, "not of the shape"),
    "ragged lists": ({"data": [[[[1, 2, 3], [1, 2]], [[1, 2, 3]] * 2]]}, 400, "not of the shape"),
    "lists in lists": ({"data": [[[[[1]] * 3] * 2] * 2]}, 400, "is no number"),
    "texts": ({"data": ["7"] * 12}, 400, "is no number"),
    "true and false": ({"data": [True] * 12}, 400, "is no number"),
    "numbers over 255": ({"data": [256] * 12}, 400, "above 255"),
    "numbers below 0": ({"data": [-1] * 12}, 400, "below 0"),
    "numbers beyond all bounds": ({"data": [10**400] * 12}, 400, "above 255"),
    "scaled pixels": ({"data": [0.5] * 12}, 400, "not scaled to 0 to 1"),
    "an unknown output": ({"outputs": [{"name": "logits"}]}, 400, "no output called “logits”"),
    "no output": ({"outputs": []}, 400, "outputs"),
    "an output twice": ({"outputs": [{"name": "label"}] * 2}, 400, "wanted twice"),
    "a million outputs": ({"outputs": [1] * 1_000_000}, 400, "at most 64"),
    "a million parameters": ({"parameters": dict.fromkeys(map(str, range(10**6)))}, 400, "most 64"),
    "no inputs": ({"inputs": []}, 400, "inputs"),
    "inputs of another kind": ({"inputs": "pixels"}, 400, "inputs"),
    "two inputs": ({"inputs": [b64(b"x"), b64(b"x")]}, 400, "one input"),
    "classes without number": (
        {"outputs": [{"name": "probabilities", "parameters": {"classification": 0}}]},
        400,
        "whole number from 1",
    ),
    "a flag that is text": (
        {"outputs": [{"name": "label", "parameters": {"binary_data": "yes"}}]},
        400,
        "“binary_data” is true or false",
    ),
    "no files": (b64(), 400, "has no pictures"),
    "seventeen files": (b64(*[b"x"] * 17), 413, "the most at a time is 16"),
    "a shape of other length": (b64(b"x") | {"shape": [2]}, 400, "has 1 values"),
    "a file that is not base64": (b64(b"x") | {"data": ["%"]}, 400, "no picture in base64"),
    "a number for a file": (b64(b"x") | {"data": [7]}, 400, "no picture in base64"),
    "a text for a file": (b64(b"Dear diary"), 415, "not a picture"),
    "an empty file": (b64(b""), 400, "is empty"),
    "an iPhone's photo": (b64(pictures.heic()), 415, "HEIC"),
}


@pytest.mark.parametrize(("changes", "status", "words"), BAD.values(), ids=BAD)
def test_a_bad_request_is_named(
    changes: dict[str, Any], status: int, words: str, plain: FlaskClient
) -> None:
    assert ask(plain).status_code == 200
    found, sentence = error_of(ask(plain, **changes))
    assert found == status and words in sentence


def test_binary_data_is_as_long_as_it_says(plain: FlaskClient) -> None:
    assert ask(plain, bytes(12)).status_code == 200
    sizes = {LENGTH: "9999"}
    for answer, words in (
        (ask(plain, bytes(11)), "has 11 bytes of binary data, and its shape [1, 2, 2, 3] needs 12"),
        (ask(plain, bytes(12), shape=[1, 4000, 4000, 3]), "needs 48,000,000"),
        (ask(plain, bytes(12), parameters={"binary_data_size": 13}), "announces 13"),
        (ask(plain, bytes(12), parameters={"binary_data_size": -12}), "announces -12"),
        (ask(plain, bytes(12), parameters={}, data=[7] * 12), "announces 0"),
        (ask(plain, bytes(12), headers=sizes), "Inference-Header-Content-Length is “9999”"),
        (ask(plain, bytes(12), headers={LENGTH: "-1"}), "Inference-Header-Content-Length is “-1”"),
        (ask(plain, bytes(12), headers={LENGTH: "0" * 5000}), f"{LENGTH} is “00000"),
        (ask(plain, bytes(12), headers={}), "not JSON"),
    ):
        status, sentence = error_of(answer)
        assert status == 400 and words in sentence


@pytest.mark.parametrize(
    "binary",
    [
        struct.pack("<I", 4_000_000_000) + b"x",
        struct.pack("<I", 1) + b"x" + b"\1\0",
        struct.pack("<I", 1) + b"x" * 2,
        (struct.pack("<I", 1) + b"x") * 2,
    ],
    ids=["a huge element", "a cut length", "a rest", "two for one"],
)
def test_a_truncated_list_of_files_is_refused(binary: bytes, plain: FlaskClient) -> None:
    answer = ask(plain, binary, name="pictures", datatype="BYTES", shape=[1])
    status, sentence = error_of(answer)
    assert status == 400 and "is not 1 elements of BYTES" in sentence


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"inputs": NaN}', b"[" * 100_000, b"\xff\xfe", b'{"id": 7}'],
)
def test_what_is_not_json_is_named(body: bytes, plain: FlaskClient) -> None:
    for address in ("/v2/models/tiny/infer", "/v1/models/tiny:predict"):
        assert error_of(plain.post(address, data=body))[0] == 400


def test_json_of_millions_of_values_is_refused_before_it_is_parsed(plain: FlaskClient) -> None:
    body = b'{"inputs": [' + b"[]," * 2_000_000 + b"[]]}"
    for address in ("/v2/models/tiny/infer", "/v1/models/tiny:predict"):
        status, sentence = error_of(plain.post(address, data=body))
        assert status == 413 and "Send fewer images at a time" in sentence


def test_a_packed_body_is_unpacked_up_to_the_limit(plain: FlaskClient) -> None:
    packed = {"Content-Encoding": "gzip"}
    bomb = gzip.compress(bytes(101 * 1024 * 1024), 9)
    twice = gzip.compress(b"{}") * 2
    cut = gzip.compress(b"{}")[:-9]
    for body, status in ((bomb, 413), (b"not gzip", 400), (cut, 400), (twice, 400)):
        answer = plain.post("/v2/models/tiny/infer", data=body, headers=packed)
        assert error_of(answer)[0] == status
    answer = plain.post("/v2/models/tiny/infer", headers={"Content-Encoding": "br"})
    assert error_of(answer)[0] == 415


def test_a_body_over_the_limit_is_refused(plain: FlaskClient) -> None:
    answer = plain.post("/v2/models/tiny/infer", data=bytes(101 * 1024 * 1024))
    assert error_of(answer)[0] == 413


@pytest.mark.parametrize("address", ["/v2/models/tiny/infer", "/v1/models/tiny:predict"])
def test_a_body_may_be_as_long_as_the_limit_and_not_a_byte_longer(
    address: str, tiny_site: Callable[..., Flask]
) -> None:
    client = tiny_site(MAX_CONTENT_LENGTH=1000).test_client()
    for length, status in ((1000, 400), (1001, 413)):
        announced, in_chunks = {"CONTENT_LENGTH": str(length)}, {"wsgi.input_terminated": True}
        for environ in (announced, in_chunks, announced | in_chunks):
            body = {"wsgi.input": io.BytesIO(b"x" * length)}
            answer = client.post(address, environ_overrides=environ | body)
            assert error_of(answer)[0] == status


def test_who_comes_when_too_many_are_asking_is_told_when_to_come_again(
    plain: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain.application.extensions["admission"], "seconds", 0.01)
    with bodies._AT_WORK.turn("a", 0), bodies._AT_WORK.turn("b", 0):
        answer = ask(plain)
    assert error_of(answer)[0] == 503
    assert answer.headers["Retry-After"] == "5"
    assert ask(plain).status_code == 200


def test_who_has_had_their_time_gives_way_to_another_client_between_two_pictures(
    plain: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = b64(pictures.jpeg(), pictures.jpeg())
    monkeypatch.setattr(plain.application.extensions["admission"], "seconds", 0.0)
    assert ask(plain, **two).status_code == 200, "as long as nobody else waits"
    monkeypatch.setattr(bodies._AT_WORK, "is_wanted_beside", lambda _client: True)
    status, sentence = error_of(ask(plain, **two))
    assert status == 503 and "too busy" in sentence


def test_what_is_not_there_is_named_in_the_protocols_form(plain: FlaskClient) -> None:
    assert error_of(plain.get("/v2/nothing"))[0] == 404
    assert error_of(plain.get("/v2/models/tiny/infer"))[0] == 405
    status, sentence = error_of(plain.get("/v2/models/tiny/versions/1"))
    assert status == 404 and "has the version 20" in sentence
    assert "Available: tiny" in error_of(plain.get("/v2/models/nobody"))[1]


def test_without_models_it_is_alive_and_not_ready(empty_site: Flask) -> None:
    plain = empty_site.test_client()
    assert plain.get("/v2/health/live").status_code == 200
    for address in ("/v2/health/ready", "/v2/models/tiny", "/v2/models/tiny/ready"):
        assert error_of(plain.get(address))[0] == 503
