"""Networks on a model server: another of our sites, or one that serves an export; real sockets.

`tests/test_independent_server.py` asks a server that somebody else wrote.
"""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask, Response, jsonify, request
from flask.testing import FlaskClient
from scipy.special import softmax

from model_training.bundles.bundle import Bundle
from model_training.datasets.dataset import DataSet, ImageSet
from model_training.judging.judge import Judge
from tests import live
from tests.conftest import PROJECT, SHIPPED_DATA, make_site
from tests.exports import like_a_photo, make_enlarging
from tests.page_client import PageClient
from tests.test_upload import png
from webapp.library import load_library
from webapp.serving.elsewhere import server as model_server
from webapp.serving.elsewhere.backend import ServedBackend
from webapp.serving.elsewhere.circuit import Circuit, Failed, Open
from webapp.serving.elsewhere.endpoints import NotServed
from webapp.serving.elsewhere.server import ModelServer, ModelServerBusy, ModelServerDown


@pytest.fixture(scope="module")
def models(
    tiny_bundle: Bundle, small_data: DataSet, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two bundles: a network of 32 pixels, and one that takes any size and enlarges to 48."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(tiny_bundle.path, folder / "tiny")
    make_enlarging(tiny_bundle, small_data, folder / "enlarging")
    return folder


@pytest.fixture(scope="module")
def here(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """The site that has the networks itself."""
    instance = tmp_path_factory.mktemp("instance")
    return make_site(instance, MODELS_FOLDER=models, DATA_FOLDER=SHIPPED_DATA)


class Moody:
    """A site as a model server with moods, each a function that answers instead of it."""

    def __init__(self, app: Flask) -> None:
        self._well = app.wsgi_app
        self.mood: Callable[[dict[str, Any], Any], Iterable[bytes] | None] = lambda *_request: None
        self.asked: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.asked.append(environ["PATH_INFO"])
        told = self.mood(environ, start_response)
        return self._well(environ, start_response) if told is None else told

    def says(self, status: str, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()) -> None:
        """Answer everything so from now on."""

        def mood(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            start_response(status, [("Content-Length", str(len(body))), *headers])
            return [body]

        self.mood = mood

    def is_well(self) -> None:
        self.mood = lambda *_request: None


@pytest.fixture(scope="module")
def served(here: Flask) -> Iterator[tuple[str, Moody]]:
    moody = Moody(here)
    here.wsgi_app = moody  # type: ignore[method-assign]
    load_library(here)
    with live.serving(here) as address:
        yield f"http://{address}", moody


@pytest.fixture
def moody(served: tuple[str, Moody]) -> Iterator[Moody]:
    served[1].asked.clear()
    yield served[1]
    served[1].is_well()


@pytest.fixture
def url(served: tuple[str, Moody], moody: Moody) -> str:
    return served[0]


@pytest.fixture
def elsewhere(models: Path, url: str, tmp_path: Path) -> Callable[..., Flask]:
    """Makes a site that asks the other one."""

    def make(**config: object) -> Flask:
        config = {"MODEL_SERVER_URL": url, "MODELS_FOLDER": models} | config
        return make_site(tmp_path, DATA_FOLDER=SHIPPED_DATA, **config)

    return make


def told_of(client: FlaskClient, file: bytes, model: str) -> dict[str, Any]:
    answer = client.post(f"/api/classify?model={model}", data=file, content_type="image/png")
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


@pytest.mark.parametrize("protocol", ["", "/v2", "/v1"], ids=["found out", "V2", "V1"])
def test_its_answers_are_those_of_the_networks_in_the_process(
    protocol: str,
    here: Flask,
    elsewhere: Callable[..., Flask],
    url: str,
    moody: Moody,
    test_images: ImageSet,
) -> None:
    there = elsewhere(MODEL_SERVER_URL=url + protocol)
    asked, mine = there.test_client(), here.test_client()
    photo = io.BytesIO()
    like_a_photo(test_images, 90, 60).save(photo, "PNG")
    for model in ("tiny", "enlarging"):
        for file in (photo.getvalue(), png(test_images.images[3])):
            far, near = told_of(asked, file, model), told_of(mine, file, model)
            assert far["novelty"] == pytest.approx(near["novelty"], abs=1e-4)
            assert far["probabilities"] == pytest.approx(near["probabilities"], abs=1e-4)
        pixels = test_images.images[:40]
        libraries = (load_library(there), load_library(here))
        features = [one.classifiers[model].backend.features(pixels) for one in libraries]
        assert features[0] == pytest.approx(features[1], abs=1e-4)
    asks = {path for path in moody.asked if path.endswith((":predict", "/infer"))}
    assert asks and all(path.startswith(protocol or "/v2") for path in asks)


WORKER = """
import json, sys
from pathlib import Path
from webapp import create_app
from webapp.library import load_library

config, instance, photo = json.loads(sys.argv[1])
app = create_app(config, Path(instance))
load_library(app)
client = app.test_client()
photo = Path(photo).read_bytes()
answers = [
    client.post("/api/classify", data=photo, content_type="image/png"),
    client.get("/?example=3"),
    client.get("/models/tiny"),
    client.get("/readyz"),
]
assert {one.status_code for one in answers} == {200}, [one.status for one in answers]
heavy = {"tensorflow", "keras", "jax", "torch"} & set(sys.modules)
assert not heavy, heavy
"""


def test_a_worker_needs_no_tensorflow(
    models: Path, url: str, tmp_path: Path, test_images: ImageSet
) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(png(test_images.images[3]))
    config = {
        "MODEL_SERVER_URL": url,
        "MODELS_FOLDER": str(models),
        "DATA_FOLDER": str(SHIPPED_DATA),
        "DECODE_APART": False,
    }
    done = subprocess.run(
        [sys.executable, "-c", WORKER, json.dumps([config, str(tmp_path), str(photo)])],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def test_maps_are_said_to_be_unavailable(
    elsewhere: Callable[..., Flask], here: Flask, test_images: ImageSet
) -> None:
    words = "Where it looked cannot be shown here"
    asked = PageClient(elsewhere().test_client())
    for address in ("/?example=3", "/?example=3&why=cat", "/?example=3&method=grad-cam"):
        page = asked.get(address)
        assert words in page.text and "The brighter a place" not in page.text
    assert words not in PageClient(here.test_client()).get("/?example=3").text


def test_when_it_is_down_pages_say_so_and_when_it_is_back_they_answer(
    elsewhere: Callable[..., Flask],
    moody: Moody,
    test_images: ImageSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(
        "webapp.serving.elsewhere.backend.Circuit", lambda: Circuit(clock=lambda: now[0])
    )
    monkeypatch.setattr("webapp.serving.elsewhere.classifier.CHECKED_SECONDS", 0.0)
    client = elsewhere().test_client()
    photo = png(test_images.images[3])
    assert client.get("/readyz").status_code == 200
    moody.says("500 Broken")
    for _ in range(4):
        page = client.post("/", data={"image": (io.BytesIO(photo), "photo.png")})
        assert page.status_code == 503 and 1 <= int(page.headers["Retry-After"]) <= 5
        assert "The model server, which this site asks for every answer" in page.text
        assert "please try again in a few seconds" in page.text
    ready = client.get("/readyz")
    assert ready.status_code == 503 and "model server" in ready.get_json()["not_answering"]["tiny"]
    assert client.get("/v2/health/ready").status_code == 503
    assert client.get("/models/tiny").status_code == client.get("/").status_code == 200
    # It is left alone, until it is tried again.
    moody.asked.clear()
    assert client.post("/api/classify", data=photo, content_type="image/png").status_code == 503
    assert moody.asked == []
    moody.is_well()
    now[0] += 5.1
    assert client.get("/readyz").status_code == 200
    told_of(client, photo, "tiny")


def test_a_site_starts_without_its_model_server_and_finds_it_later(
    elsewhere: Callable[..., Flask],
    moody: Moody,
    test_images: ImageSet,
) -> None:
    moody.says("500 Broken")
    app = elsewhere()
    assert set(load_library(app).classifiers) == {"tiny", "enlarging"}
    client = app.test_client()
    assert (
        client.get("/models/?show=cost").status_code == 200
    )  # Nobody knows yet how long it takes.
    moody.is_well()
    told_of(client, png(test_images.images[0]), "tiny")


def backend_of(url: str, bundle: Bundle, seconds: float = 5.0, **more: Any) -> ServedBackend:
    assert bundle.judge is not None
    network = bundle.card.files["model.keras"]
    return ServedBackend(bundle.judge, "tiny", network, ModelServer(url, seconds), **more)


PIXELS = np.random.default_rng(3).integers(0, 256, (2, 32, 32, 3), np.uint8)


def test_what_passes_is_tried_once_more_and_what_does_not_is_not(
    url: str, moody: Moody, tiny_bundle: Bundle
) -> None:
    backend = backend_of(url, tiny_bundle)
    expected = backend.features(PIXELS)

    def once(status: str) -> Callable[..., Iterable[bytes] | None]:
        left = [status]

        def mood(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes] | None:
            if not left:
                return None
            start_response(left.pop(), [("Content-Length", "0")])
            return []

        return mood

    moody.asked.clear()
    moody.mood = once("502 Bad Gateway")
    assert np.array_equal(backend.features(PIXELS), expected)
    assert len(moody.asked) == 2
    moody.mood = once("500 Broken")
    with pytest.raises(ModelServerDown, match=r"broken \(status 500\)"):
        backend.features(PIXELS)
    assert len(moody.asked) == 3


def test_a_busy_server_is_not_taken_for_a_broken_one(
    url: str, moody: Moody, tiny_bundle: Bundle
) -> None:
    backend = backend_of(url, tiny_bundle)
    backend.features(PIXELS)
    moody.says("503 Busy", headers=[("Retry-After", "7")])
    for _ in range(5):
        with pytest.raises(ModelServerBusy) as caught:
            backend.features(PIXELS)
        assert caught.value.retry_after == 7
    moody.is_well()
    assert len(backend.features(PIXELS)) == 2


def test_a_server_that_hangs_costs_its_deadline_and_no_more(
    url: str, moody: Moody, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = backend_of(url, tiny_bundle, seconds=0.4)
    backend.features(PIXELS)
    free = threading.Event()

    def hang(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        free.wait(60)
        start_response("500 Late", [])
        return []

    moody.mood = hang
    try:
        for _ in range(3):
            with pytest.raises(ModelServerDown, match="in time"):
                backend.features(PIXELS)
        started = time.monotonic()
        for _ in range(50):
            with pytest.raises(ModelServerDown) as caught:
                backend.features(PIXELS)
            assert caught.value.retry_after is not None and caught.value.retry_after >= 1
        assert time.monotonic() - started < 20  # 50 deadlines would be as long
        # While some wait for it, others are told at once that they have to.
        monkeypatch.setattr(model_server, "_TURNS", threading.BoundedSemaphore(1))
        monkeypatch.setattr(model_server, "LONGEST_WAIT", 0.01)
        with model_server._TURNS, pytest.raises(ModelServerBusy):
            ModelServer(url, 5).ask("/v2")
    finally:
        free.set()


def test_an_address_where_nothing_listens(tiny_bundle: Bundle) -> None:
    backend = backend_of("http://127.0.0.1:9", tiny_bundle)
    with pytest.raises(ModelServerDown, match="cannot be reached"):
        backend.features(PIXELS)


NONSENSE = {
    "no JSON": b"<html>Welcome</html>",
    "another shape of JSON": b"[1, 2]",
    "no outputs": b"{}",
    "outputs that are none": b'{"outputs": [7], "predictions": 3}',
    "too few": b'{"outputs": [{"name": "features", "datatype": "FP32", "data": [1.0]}]}',
    "no numbers": b'{"outputs": [{"name": "features", "datatype": "FP32", "data": ["a", "b"]}]}',
    "not finite": b'{"outputs": [{"name": "features", "datatype": "FP32", "data": [NaN, NaN]}]}',
    "another width": b'{"outputs": [{"name": "features", "datatype": "FP32", "data": [1, 2]}]}',
    "a size that lies": b'{"outputs": [{"name": "features", "datatype": "FP32", "parameters": '
    b'{"binary_data_size": 999}}]}',
}


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
@pytest.mark.parametrize("protocol", ["/v2", "/v1"])
def test_what_cannot_be_an_answer_is_refused_and_never_judged(
    protocol: str,
    body: bytes,
    url: str,
    moody: Moody,
    elsewhere: Callable[..., Flask],
    test_images: ImageSet,
) -> None:
    client = elsewhere(MODEL_SERVER_URL=url + protocol).test_client()
    file = png(test_images.images[0])
    told_of(client, file, "tiny")
    moody.says("200 OK", body)
    answer = client.post("/api/classify", data=file, content_type="image/png")
    assert answer.status_code == 503 and "model server" in answer.get_json()["error"]["detail"]
    moody.is_well()
    told_of(client, file, "tiny")


def test_another_network_of_the_same_name_is_not_believed(url: str, tiny_bundle: Bundle) -> None:
    assert tiny_bundle.judge is not None
    backend = ServedBackend(tiny_bundle.judge, "tiny", "0" * 64, ModelServer(url, 5))
    with pytest.raises(NotServed, match="another network"):
        backend.features(PIXELS)


def test_a_model_that_is_not_there_is_a_report(
    models: Path, elsewhere: Callable[..., Flask], tmp_path: Path
) -> None:
    # The server knows the bundle by another name.
    folder = tmp_path / "others"
    shutil.copytree(models / "tiny", folder / "renamed")
    card = json.loads((folder / "renamed" / "card.json").read_text())
    (folder / "renamed" / "card.json").write_text(json.dumps(card | {"name": "renamed"}))
    shutil.copytree(models / "tiny", folder / "tiny")
    app = elsewhere(MODELS_FOLDER=folder)
    library = load_library(app)
    assert set(library.classifiers) == {"tiny"} and set(library.results) == {"renamed", "tiny"}
    assert app.test_client().get("/models/renamed").status_code == 200


class ExportServer:
    """A server of exports as simple as one can be: JSON only, and an input called `image`."""

    def __init__(self, judge: Judge, features: Callable[..., Any]) -> None:
        self.judge, self.features, self.version = judge, features, "1"
        self.described = True
        self.app = Flask("export")
        self.app.get("/v2/models/tiny")(self.model)
        self.app.get("/v2/models/tiny/ready")(self.ready)
        self.app.post("/v2/models/tiny/infer")(self.infer)
        self.app.get("/v1/models/tiny")(self.ready)
        self.app.post("/v1/models/tiny:predict")(self.predict)

    def model(self) -> Response:
        tensor = {"datatype": "FP32", "shape": [-1, 32, 32, 3]}
        names = ("features", "probabilities")
        inputs = [tensor | {"name": "image"}] if self.described else []
        outputs = [{"name": name, "datatype": "FP32", "shape": [-1, -1]} for name in names]
        return jsonify(name="tiny", versions=[self.version], inputs=inputs, outputs=outputs)

    def ready(self) -> Response:
        return jsonify(name="tiny", ready=True)

    def outputs(self, pixels: Any) -> dict[str, Any]:
        features = self.features(np.asarray(pixels).astype(np.uint8))
        shares = softmax(self.judge.own_logits(features), axis=1)
        return {"features": features, "probabilities": shares}

    def infer(self) -> Response:
        sent = json.loads(request.data)
        (tensor,) = sent["inputs"]
        assert tensor["name"] == "image" and tensor["datatype"] == "FP32"
        found = self.outputs(np.reshape(tensor["data"], tensor["shape"]))
        outputs = [
            {"name": name, "datatype": "FP32", "shape": one.shape, "data": one.ravel().tolist()}
            for name, one in found.items()
            if {"name": name} in sent["outputs"]
        ]
        return jsonify(model_name="tiny", model_version=self.version, outputs=outputs)

    def predict(self) -> Response:
        found = self.outputs(json.loads(request.data)["instances"])
        columns = {name: one.tolist() for name, one in found.items()}
        rows = zip(*columns.values(), strict=True)
        return jsonify(predictions=[dict(zip(columns, row, strict=True)) for row in rows])


@pytest.fixture
def export_server(here: Flask, tiny_bundle: Bundle) -> Iterator[tuple[str, ExportServer]]:
    assert tiny_bundle.judge is not None
    backend = load_library(here).classifiers["tiny"].backend
    export = ExportServer(tiny_bundle.judge, backend.features)
    with live.serving(export.app) as address:
        yield f"http://{address}", export


def test_a_server_of_exports_is_asked_for_what_it_has(
    export_server: tuple[str, ExportServer], tiny_bundle: Bundle
) -> None:
    from webapp.serving.elsewhere.v1 import TensorFlowServing

    address, export = export_server
    expected = export.features(PIXELS)
    assert backend_of(address, tiny_bundle).features(PIXELS) == pytest.approx(expected, abs=1e-4)
    rows = backend_of(address, tiny_bundle, protocols=[TensorFlowServing])
    assert rows.features(PIXELS) == pytest.approx(expected, abs=1e-4)
    rows.check()
    export.described = False  # MLServer and KServe let a model say nothing of itself.
    assert backend_of(address, tiny_bundle).features(PIXELS) == pytest.approx(expected, abs=1e-4)
    with pytest.raises(NotServed, match="takes squares of 32 pixels only"):
        export.described = True
        backend_of(address, tiny_bundle).features(PIXELS[:, :16, :16])


def test_an_export_of_another_training_is_not_believed_not_even_later(
    export_server: tuple[str, ExportServer], tiny_bundle: Bundle
) -> None:
    address, export = export_server
    backend = backend_of(address, tiny_bundle)
    backend.features(PIXELS)
    # A new network is put in place while the server runs: its version tells.
    right = export.judge
    export.judge = dataclasses.replace(right, kernel=right.kernel[:, ::-1])
    export.version = "2"
    with pytest.raises(NotServed, match="another network"):
        backend.features(PIXELS)
    export.judge, export.version = right, "3"
    assert len(backend.features(PIXELS)) == 2


def test_a_circuit_opens_lets_one_through_and_closes() -> None:
    now = [0.0]
    circuit = Circuit(most=2, seconds=5, clock=lambda: now[0])

    def attempt(error: type[Exception] | None = None) -> None:
        with circuit.attempt():
            if error is not None:
                raise error

    for error in (Failed, ValueError, Failed):  # Another error is an answer: it counts from new.
        with pytest.raises(error):
            attempt(error)
    attempt()
    for _ in range(2):
        with pytest.raises(Failed):
            attempt(Failed)
    with pytest.raises(Open) as caught:
        attempt()
    assert caught.value.seconds == 5
    now[0] = 5.0
    with circuit.attempt(), pytest.raises(Open):
        attempt()  # One at a time, until it is known how that one ends.
    attempt()
    for _ in range(2):
        with pytest.raises(Failed):
            attempt(Failed)
    now[0] = 10.0
    with pytest.raises(Failed):
        attempt(Failed)  # A single failure opens it again at once.
    with pytest.raises(Open):
        attempt()


def test_who_finds_no_turn_to_ask_says_nothing_of_how_the_server_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    circuit = Circuit(most=1, seconds=0)
    with pytest.raises(Failed), circuit.attempt():
        raise Failed
    monkeypatch.setattr(model_server, "_TURNS", threading.BoundedSemaphore(1))
    monkeypatch.setattr(model_server, "LONGEST_WAIT", 0.01)
    for _ in range(2):
        with model_server._TURNS, pytest.raises(ModelServerBusy), circuit.attempt():
            ModelServer("http://localhost:1", 5).ask("/v2")
        assert circuit.is_open
    with circuit.attempt():
        pass
    assert not circuit.is_open


@pytest.mark.parametrize("value", ["localhost:8000", "ftp://models", "http://", "http://[", 7])
def test_an_address_that_cannot_be_one_stops_the_start(value: object, tmp_path: Path) -> None:
    from webapp.settings import SettingError

    with pytest.raises(SettingError, match="MODEL_SERVER_URL"):
        make_site(tmp_path, MODEL_SERVER_URL=value)


def test_a_view_is_a_square_that_the_network_is_shown(here: Flask) -> None:
    client = here.test_client()
    for shape, status in (
        ((1, 48, 48, 3), 200),
        ((1, 32, 32, 3), 200),
        ((1, 20, 20, 3), 200),
        ((1, 40, 40, 3), 400),
        ((1, 48, 47, 3), 400),
    ):
        values = np.zeros(shape, np.uint8)
        asked = {"signature_name": "features", "inputs": {"views": values.tolist()}}
        answer = client.post("/v1/models/enlarging:predict", json=asked)
        assert answer.status_code == status, answer.text
        if status == 400:
            assert "square of 48 pixels, or of 32 pixels at most" in answer.get_json()["error"]
