"""Models in a running site: which are loaded, what becomes of each, and how they are replaced."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import importlib
import json
import logging
import os
import runpy
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flask import Flask
from numpy.typing import NDArray

from model_training.bundles.bundle import MODEL, Bundle
from model_training.bundles.manage import rename_bundle
from model_training.bundles.reading import read_bundle
from model_training.bundles.writing import replace_judge
from model_training.mapping import map_arrays
from model_training.networks.backend import KerasBackend
from model_training.networks.loading import load_network
from tests import pictures, server
from tests.conftest import PROJECT, make_site
from tests.page_client import PageClient
from tests.test_operating import Series, series, value
from webapp.library import get_library, load_library, open_library, reloading
from webapp.library.shelf import Shelf
from webapp.serving.classifier import Classifier
from webapp.serving.runtime import absent
from webapp.serving.tensorflow_backend import TensorFlowBackend
from webapp.settings import SettingError

SENT: dict[str, Any] = {"method": "POST", "data": pictures.jpeg(), "content_type": "image/jpeg"}
WAIT = 120.0


@pytest.fixture
def folder(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """An instance folder with two models, "other" and "tiny", which are the same network."""
    models = tmp_path / "models"
    for name in ("tiny", "other"):
        shutil.copytree(tiny_bundle.path, models / "tiny")
        if name == "tiny":
            rename_bundle(read_bundle(models / "tiny"), "other")
    return tmp_path


def change(path: Path, novelty: float) -> None:
    """Replace the bundle at `path` by one whose judge calls everything strange past `novelty`."""
    bundle = read_bundle(path)
    assert bundle.judge is not None
    threshold = bundle.judge.threshold.model_copy(update={"novelty": novelty})
    replace_judge(bundle, dataclasses.replace(bundle.judge, threshold=threshold))


def damage(path: Path) -> None:
    """Cut the network of the bundle at `path` short, whose card then says otherwise."""
    network = path / MODEL
    network.write_bytes(network.read_bytes()[:1000])
    change_card(path)


def change_card(path: Path) -> None:
    """Write the card of the bundle at `path` differently, which says the same."""
    card = path / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text("utf-8"))), encoding="utf-8")


def shelf_of(app: Flask) -> Shelf:
    shelf: Shelf = app.extensions["library"]
    return shelf


def until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT
    while not is_so():
        assert time.monotonic() < deadline, f"not in {WAIT:.0f} s: {what}"
        time.sleep(0.05)


@pytest.fixture
def opened() -> Iterator[Callable[[Flask], Flask]]:
    """Opens the library of a site as a server does, and ends its thread after the test."""
    with contextlib.ExitStack() as ends:

        def opening(app: Flask) -> Flask:
            ends.callback(shelf_of(app).close)
            open_library(app)
            return app

        yield opening


# What a request sees.


def test_only_what_has_changed_is_read_anew(folder: Path) -> None:
    app = make_site(folder)
    before = load_library(app)
    assert set(before.classifiers) == {"other", "tiny"}
    change(folder / "models" / "tiny", 5.0)
    taken = shelf_of(app).take_up()
    assert (taken.loaded, taken.gone, taken.failed) == (["tiny"], [], {})
    now = load_library(app)
    assert now.classifiers["other"] is before.classifiers["other"]
    assert now.results["other"] is before.results["other"]
    assert now.classifiers["tiny"].judge.threshold.novelty == 5.0
    assert before.classifiers["tiny"].judge.threshold.novelty == 1e6, "whoever has it keeps it"
    again = shelf_of(app).take_up()
    assert (again.loaded, again.gone, again.failed) == ([], [], {})
    shutil.rmtree(folder / "models" / "other")
    assert shelf_of(app).take_up().gone == ["other"]
    assert set(load_library(app).states) == {"tiny"}
    client = PageClient(app.test_client())
    assert client.get("/models/other").status == 404
    assert "Other" not in client.get("/models/").text


def test_a_request_sees_one_version_from_its_beginning_to_its_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_site(folder)
    load_library(app)
    seen = []
    judge_views = Classifier.judge_views

    def replaced_meanwhile(self: Classifier, images: Any) -> Any:
        change(folder / "models" / "tiny", 5.0)
        shelf_of(app).take_up()
        seen.append(get_library().classifiers["tiny"] is self)
        return judge_views(self, images)

    monkeypatch.setattr(Classifier, "judge_views", replaced_meanwhile)
    client = app.test_client()
    assert client.open("/api/classify", **SENT).get_json()["threshold"] == 1e6 and seen == [True]
    monkeypatch.undo()
    assert client.open("/api/classify", **SENT).get_json()["threshold"] == 5.0


def test_what_cannot_be_loaded_leaves_the_one_before_it_at_work(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_site(folder)
    client = app.test_client()
    assert client.get("/readyz").status_code == 200
    damage(folder / "models" / "tiny")
    failed = shelf_of(app).take_up().failed
    assert "model.keras is damaged" in failed["tiny"]
    assert client.open("/api/classify", **SENT).status_code == 200
    assert client.get("/v2/models/tiny/ready").status_code == 200, "it answers in every protocol"
    ready = client.get("/readyz")
    state = ready.get_json()["models"]["tiny"]
    assert ready.status_code == 200
    assert state["state"] == "loaded" and "model.keras is damaged" in state["problem"]
    assert "model tiny: the one before it stays: model.keras is damaged" in caplog.text
    shown = series(client.get("/metrics").get_data(as_text=True))
    assert value(shown, "models", model="tiny", state="outdated") == 1
    assert value(shown, "models", model="tiny", state="loaded") == 0
    pages = PageClient(client)
    assert "the previous version is still in use" in pages.get("/models/").text
    page = pages.get("/models/tiny")
    assert "Not the latest version" in page.text
    assert "Download the bundle" not in page.text, "the files there are those of the damaged one"
    assert client.get("/models/tiny/files/model.keras").status_code == 404


# Which models are loaded.


def test_the_others_are_reports(folder: Path) -> None:
    app = make_site(folder, MODELS="tiny")
    client = PageClient(app.test_client())
    assert client.fetch("/readyz").get_json()["models"]["other"] == {"state": "report only"}
    assert set(load_library(app).classifiers) == {"tiny"}
    page = client.get("/models/other")
    assert "Results only" in page.text and "Try it on a photo" not in page.text
    refused = app.test_client().open("/api/classify?model=other", **SENT)
    assert refused.status_code == 400
    assert "only the results are here. Available: tiny." in refused.get_data(as_text=True)


def test_models_that_are_not_there_stop_the_start_with_one_sentence(folder: Path) -> None:
    app = make_site(folder, MODELS="tiny nope")
    with pytest.raises(SettingError, match=r"MODELS: there is no model called 'nope' in .*models"):
        open_library(app)
    with pytest.raises(SettingError, match=r"DEFAULT_MODEL is 'tiny', which MODELS leaves out"):
        make_site(folder, MODELS="other")


def test_the_default_model_answers_while_the_others_are_loading(
    folder: Path, opened: Callable[[Flask], Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    class Slow(Classifier):
        def __init__(self, bundle: Bundle) -> None:
            assert bundle.name == "tiny" or go_on.wait(WAIT)
            super().__init__(bundle)

    monkeypatch.setattr("webapp.serving.elsewhere.classifier.Classifier", Slow)
    app = opened(make_site(folder))
    client = PageClient(app.test_client())
    try:
        ready = client.fetch("/readyz")
        assert ready.status_code == 200
        assert ready.get_json()["models"]["other"] == {"state": "loading"}
        assert ready.get_json()["models"]["tiny"]["state"] == "loaded"
        assert app.test_client().open("/api/classify", **SENT).status_code == 200
        for address in ("/api/classify?model=other", "/v2/models/other/infer"):
            refused = app.test_client().open(address, **SENT)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5"), address
        assert "Another model is still being loaded" in client.get("/").text
        assert "ready for photos in a moment" in client.get("/models/other").text
    finally:
        go_on.set()
    until(lambda: not load_library(app).loading, "the other model is loaded")
    assert app.test_client().open("/api/classify?model=other", **SENT).status_code == 200


def test_no_visitor_waits_for_the_gradients_of_a_network(
    folder: Path, opened: Callable[[Flask], Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    trace, traced = TensorFlowBackend._differentiated_by_maps, []

    def noted(*asked: Any) -> Any:
        traced.append(asked)
        return trace(*asked)

    monkeypatch.setattr(TensorFlowBackend, "_differentiated_by_maps", noted)
    app = opened(make_site(folder))
    until(lambda: len(traced) == 2, "both models can be explained")
    change(folder / "models" / "other", 5.0)
    shelf_of(app).take_up()
    assert len(traced) == 3, "the new one could be explained before it answered"
    for name in ("tiny", "other"):
        load_library(app).classifiers[name].heat(np.zeros((32, 32, 3), np.uint8), "airplane")
    assert len(traced) == 3


# The command.


def test_the_command_says_what_each_worker_took_up(
    folder: Path, opened: Callable[[Flask], Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(make_site(folder))
    until(lambda: not load_library(app).loading, "all models are loaded")
    monkeypatch.setattr(reloading, "SECONDS_TO_NOTICE", 1.0)
    runner = make_site(folder).test_cli_runner()
    change(folder / "models" / "other", 5.0)
    done = runner.invoke(args=["models", "reload"])
    assert done.exit_code == 0, done.output
    assert f":{os.getpid()}: other loaded (" in done.output
    assert load_library(app).classifiers["other"].judge.threshold.novelty == 5.0
    damage(folder / "models" / "other")
    failed = runner.invoke(args=["models", "reload"])
    assert failed.exit_code == 1
    assert "other could not be loaded: model.keras is damaged" in failed.output
    assert not list(folder.glob(".reload*")), "nothing is left behind"


def test_the_command_says_when_nobody_listens(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "SECONDS_TO_NOTICE", 0.2)
    result = make_site(folder).test_cli_runner().invoke(args=["models", "reload"])
    assert result.exit_code == 1 and "No running site has responded" in result.output


def test_who_asks_while_another_asks_follows_the_later_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "SECONDS_TO_NOTICE", 0.2)
    path = tmp_path / reloading.REQUEST
    first = reloading.ask(path)
    reloading.answer(path, first, state="begun")
    heard = reloading.follow(path, first, 5)
    states = [next(heard)["state"]]
    later = reloading.ask(path)
    states.append(next(heard)["state"])
    reloading.answer(path, first, state="done")  # which nobody hears any more
    time.sleep(0.3)
    for state in ("begun", "done"):
        reloading.answer(path, later, state=state)
    begun = time.monotonic()
    states += [said["state"] for said in heard]
    assert states == ["begun", "replaced", "begun", "done"]
    assert time.monotonic() - begun < 4, "it waits for nobody who is done"


# Memory.


def test_a_loaded_network_says_the_same_from_a_mapped_file(tiny_bundle: Bundle) -> None:
    assert tiny_bundle.model_path is not None
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    expected = KerasBackend(load_network(tiny_bundle.model_path)).features(pixels)
    found = Classifier(tiny_bundle).backend.features(pixels)
    assert np.allclose(found, expected, atol=1e-5)


def test_mapped_arrays_are_the_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[NDArray[Any]] = [
        np.arange(7, dtype=np.int8),
        np.array(3.0),
        np.zeros((0, 3)),
        np.ones((2, 3))[:, ::2],
    ]
    mapped = map_arrays(given)
    for one, again in zip(given, mapped, strict=True):
        assert np.array_equal(one, again) and (one.dtype, one.shape) == (again.dtype, again.shape)
        assert again.ctypes.data % 64 == 0 or not again.size
    mapped[0][0] = 100
    assert given[0][0] == 0 and mapped[0][0] == 100

    def full(*_arguments: Any, **_options: Any) -> Any:
        raise OSError("No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    assert np.array_equal(map_arrays(given)[3], given[3]), "then they stay in memory"


def test_packages_that_serving_does_not_need_are_not_imported() -> None:
    with absent(frozenset({"this", "json"})):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("this")
        assert importlib.import_module("json") is json, "what is there already stays"
    assert "this" not in sys.modules


# Under gunicorn.


def test_a_worker_ends_when_another_is_ready_to_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_REQUESTS", "50")
    monkeypatch.setenv("MODELS_RELOAD_FILE", str(tmp_path / "reload.jsonl"))
    hooks = runpy.run_path(str(PROJECT / "gunicorn.conf.py"))
    assert "max_requests" not in hooks, "with that a worker would end first"
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda process, number: sent.append((process, number)))
    old, new = (SimpleNamespace(pid=2, ppid=1, nr=0, log=logging.getLogger()) for _ in "12")
    hooks["post_fork"](None, old)
    assert 50 <= old.replaced_at <= 55
    for old.nr in range(1, 100):
        hooks["post_request"](old, None, None, None)
    assert sent == [(1, signal.SIGTTIN)], "one worker more"
    for _ in range(2):
        hooks["post_worker_init"](new)
    assert sent == [(1, signal.SIGTTIN), (1, signal.SIGTTOU)], "and then one less, once"


# The same for real, with two workers, while somebody asks all the time.


@dataclasses.dataclass
class Visitor:
    """One who asks without a pause, each time over a new connection."""

    address: str
    answered: list[tuple[float, int, float]] = dataclasses.field(default_factory=list)
    lost: list[str] = dataclasses.field(default_factory=list)
    ending: threading.Event = dataclasses.field(default_factory=threading.Event)

    def ask(self) -> None:
        while not self.ending.is_set():
            try:
                status, body = request(self.address, "POST", "/api/classify", pictures.jpeg())
                threshold = json.loads(body)["threshold"] if status == 200 else 0.0
                self.answered.append((time.monotonic(), status, threshold))
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))


def request(address: str, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": "image/jpeg"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def counts(address: str) -> Series:
    return series(request(address, "GET", "/metrics")[1])


def test_under_traffic_no_request_is_lost_when_models_change(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUNICORN_CMD_ARGS", f"--pid {tmp_path}/pid")
    monkeypatch.setenv("WEB_CONCURRENCY", "2")
    models = folder / "models"
    log = tmp_path / "log"
    settings: dict[str, Any] = {"MODELS_FOLDER": models, "DEFAULT_MODEL": "tiny"}
    settings["DATA_FOLDER"] = tmp_path / "none"
    with server.running(log, **settings) as address:
        master = int((tmp_path / "pid").read_text())
        loaded = [("models", {"model": name, "state": "loaded"}) for name in ("tiny", "other")]
        until(
            lambda: all(value(counts(address), name, **labels) == 2 for name, labels in loaded),
            "both workers have both models",
        )
        visitor = Visitor(address)
        asking = threading.Thread(target=visitor.ask)
        asking.start()
        try:
            until(lambda: len(visitor.answered) > 10, "answers")
            change(models / "tiny", 5.0)
            os.kill(master, signal.SIGHUP)
            until(
                lambda: value(counts(address), "reloads_total", result="done") == 2,
                "both workers have taken it up",
            )
            asked = len(visitor.answered)
            until(lambda: len(visitor.answered) > asked + 12, "answers of both workers")
            damage(models / "tiny")
            shutil.rmtree(models / "other")
            os.kill(master, signal.SIGHUP)
            until(
                lambda: value(counts(address), "reloads_total", result="failed") == 2,
                "both workers have looked",
            )
            asked_last = len(visitor.answered)
            until(lambda: len(visitor.answered) > asked_last + 12, "answers after that")
            now = counts(address)
        finally:
            visitor.ending.set()
            asking.join()
        assert visitor.lost == []
        assert {status for _when, status, _threshold in visitor.answered} == {200}
        thresholds = [threshold for _when, _status, threshold in visitor.answered]
        assert thresholds[0] == 1e6 and set(thresholds) == {1e6, 5.0}
        assert set(thresholds[asked + 1 :]) == {5.0}, "also where the next one is damaged"
        times = [when for when, _status, _threshold in visitor.answered]
        # On a quiet machine it is a tenth of a second: `python -m benchmarks.reload` measures it.
        assert np.diff(times).max() < 10.0
        assert value(now, "models", model="tiny", state="outdated") == 2
        assert value(now, "models", model="other", state="loaded") == 0
        counted = value(now, "predictions_total", model="tiny", verdict="known")
        assert counted >= asked_last, "both versions are counted as one model"
    assert "the one before it stays" in log.read_text()
    assert log.read_text().count("Booting worker") == 2, "no worker was replaced"
