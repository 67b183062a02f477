"""A model server that nobody here wrote: KServe's, with exports of the shipped networks.

`make test-serving` runs this: it needs an environment of its own, `.venv-serving`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from flask import Flask

from model_training.bundles.exporting.export import export
from model_training.bundles.exporting.formats import FORMATS
from model_training.bundles.reading import read_bundle
from model_training.datasets.dataset import ImageSet
from tests.conftest import PROJECT, SHIPPED_DATA, SHIPPED_MODELS, make_site
from tests.exports import like_a_photo
from tests.page_client import PageClient
from tests.pictures import encode
from tests.test_upload import png
from webapp.library import load_library

PYTHON = PROJECT / ".venv-serving" / "bin" / "python"
MODELS = ("custom-cnn", "mobilenetv2-finetuned")
"""One of 32 pixels, and one of 161 that is shown three views of a photo."""

pytestmark = pytest.mark.serving


@pytest.fixture(scope="module")
def kserve(tmp_path_factory: pytest.TempPathFactory, test_images: ImageSet) -> Iterator[str]:
    """The address of the server."""
    assert PYTHON.exists(), "run `make test-serving`, which installs it"
    folder = tmp_path_factory.mktemp("exports")
    files = []
    for name in MODELS:
        files.append(folder / f"{name}.onnx")
        bundle = read_bundle(SHIPPED_MODELS / name)
        export(bundle, FORMATS["onnx"], files[-1], test_images.images[:200])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "log"
    with log.open("w") as output:
        command = [PYTHON, PROJECT / "deploy" / "kserve_server.py"]
        ports = [f"--http_port={port}", "--enable_grpc=false"]
        server = subprocess.Popen(
            [*command, *ports, *files], stdout=output, stderr=output, cwd=folder, env=os.environ
        )
        try:
            _wait(f"http://127.0.0.1:{port}/v2/health/ready", server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=60)


def _wait(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise AssertionError(f"the server did not become ready:\n{log.read_text()}")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """The site with the same networks in its own process."""
    models = tmp_path_factory.mktemp("models")
    for name in MODELS:
        (models / name).symlink_to(SHIPPED_MODELS / name)
    instance = tmp_path_factory.mktemp("here")
    return make_site(
        instance, MODELS_FOLDER=models, DATA_FOLDER=SHIPPED_DATA, DEFAULT_MODEL=MODELS[0]
    )


@pytest.mark.parametrize("protocol", ["", "/v2", "/v1"], ids=["found out", "V2", "V1"])
def test_its_answers_are_those_of_the_networks_in_the_process(
    protocol: str, kserve: str, here: Flask, tmp_path: Path, test_images: ImageSet
) -> None:
    there = make_site(
        tmp_path,
        MODEL_SERVER_URL=kserve + protocol,
        MODELS_FOLDER=here.config["MODELS_FOLDER"],
        DATA_FOLDER=SHIPPED_DATA,
        DEFAULT_MODEL=MODELS[0],
    )
    assert set(load_library(there).classifiers) == set(MODELS)
    photo = encode(like_a_photo(test_images, 640, 480), "JPEG")
    tiny = png(test_images.images[5])
    for model in MODELS:
        files = [photo] if model != MODELS[0] else [photo, tiny]
        for file in files:
            told = []
            for site in (there, here):
                answer = site.test_client().post(
                    f"/api/classify?model={model}", data=file, content_type="image/*"
                )
                assert answer.status_code == 200, answer.text
                told.append(answer.get_json())
            far, near = told
            assert far["probabilities"] == pytest.approx(near["probabilities"], abs=1e-4)
            assert far["novelty"] == pytest.approx(near["novelty"], abs=1e-4)
            assert far["verdict"] == near["verdict"]
    side = load_library(here).classifiers[MODELS[1]].judge.plan.side
    pixels = np.random.default_rng(0).integers(0, 256, (5, side, side, 3), np.uint8)
    features = [
        load_library(site).classifiers[MODELS[1]].backend.features(pixels) for site in (there, here)
    ]
    assert features[0] == pytest.approx(features[1], abs=1e-4)
    page = PageClient(there.test_client()).get("/?example=3")
    assert "Where it looked cannot be shown here" in page.text
    assert there.test_client().get("/readyz").status_code == 200
