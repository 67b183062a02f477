"""What an operator counts and times, for Prometheus (`/metrics`).

Where `PROMETHEUS_MULTIPROC_DIR` names a folder, as gunicorn.conf.py makes one, all workers count
together.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask import (
    Flask,
    Request,
    Response,
    before_render_template,
    g,
    has_request_context,
    request,
    template_rendered,
)
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST
STAGES = ("receive", "wait", "decode", "network", "render")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_requests = Counter("tenclasses_requests", "Requests answered", ["method", "endpoint", "status"])
_seconds = Histogram(
    "tenclasses_request_seconds", "Seconds of a request", ["endpoint"], buckets=_SECONDS
)
_stages = Histogram(
    "tenclasses_stage_seconds",
    "Seconds of a part of a request: receive (reading its body), wait (for a decoder, or for a "
    "turn), decode (opening a picture), network, render (a page)",
    ["stage"],
    buckets=_SECONDS,
)
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_in_progress = Gauge(
    "tenclasses_requests_in_progress", "Requests being answered", multiprocess_mode="livesum"
)
_waiting = Gauge(
    "tenclasses_waiting",
    "Requests that wait for a decoder, or for a turn",
    multiprocess_mode="livesum",
)
_admitted = Gauge(
    "tenclasses_admitted",
    "Requests with work that are received, wait for their turn or are answered",
    multiprocess_mode="livesum",
)
_predictions = Counter(
    "tenclasses_predictions", "Pictures that a model answered", ["model", "verdict"]
)
_models = Gauge(
    "tenclasses_models",
    "Workers in which a model is loaded, loading, failed (left out), outdated (the bundle that is "
    "there now was not taken up, the one before it answers) or report only",
    ["model", "state"],
    multiprocess_mode="livesum",
)
_shown: set[tuple[str, str]] = set()
_reloads = Counter("tenclasses_reloads", "Times that models were taken up anew", ["result"])
_refusals = Counter(
    "tenclasses_refusals", "Requests, or single photos of them, that were refused", ["code"]
)


class TimedRequest(Request):
    """A request that times how long reading its form takes, and closes every file of it."""

    def _get_file_stream(self, *described: Any, **more: Any) -> Any:
        # Werkzeug closes those of a form that was read to its end, and no others.
        stream = super()._get_file_stream(*described, **more)
        self.__dict__.setdefault("opened", []).append(stream)
        return stream

    def close(self) -> None:
        """Close the files that came, also where the form broke off."""
        super().close()
        for stream in self.__dict__.get("opened", ()):
            stream.close()

    def _load_form_data(self) -> None:
        if "form" in self.__dict__:  # as in Werkzeug: it has been read already
            return
        with stage("receive"):
            super()._load_form_data()


def init_app(app: Flask) -> None:
    """Count and time what `app` does."""
    app.request_class = TimedRequest
    app.extensions["gauges"] = {}
    app.before_request(_begin)
    app.after_request(_count)
    app.teardown_request(_end)
    before_render_template.connect(_begin_to_render, app)
    template_rendered.connect(_end_rendering, app)


def add_gauge(app: Flask, name: str, meaning: str, read: Callable[[], float | None]) -> None:
    """Show a number that is read when `/metrics` is asked; None leaves it out."""
    app.extensions["gauges"][name] = (meaning, read)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Time a part of a request, one of `STAGES`."""
    if name == "wait":
        _waiting.inc()
    started = time.perf_counter()
    try:
        yield
    finally:
        _add(name, time.perf_counter() - started)
        if name == "wait":
            _waiting.dec()


def count_admitted(change: int) -> None:
    """Count a request that was admitted (+1), or one that has been answered (-1)."""
    _admitted.inc(change)


def count_prediction(model: str, verdict: str) -> None:
    """Count a picture that `model` answered."""
    _predictions.labels(model, verdict).inc()


def show_models(states: Mapping[str, str]) -> None:
    """Show each model, by name, in its state, one of those of `tenclasses_models`."""
    now = set(states.items())
    for model, state in _shown | now:
        _models.labels(model, state.replace(" ", "-")).set((model, state) in now)
    _shown.update(now)


def count_reload(result: str) -> None:
    """Count that models were taken up anew: "done", or "failed" where one could not be used."""
    _reloads.labels(result).inc()


def count_refusal(code: str) -> None:
    """Count a request, or one photo of it, that was refused."""
    _refusals.labels(code).inc()


def exposition(app: Flask) -> bytes:
    """Return everything in Prometheus' text format."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    own = CollectorRegistry()
    own.register(_Gauges(app.extensions["gauges"]))
    return generate_latest(registry) + generate_latest(own)


class _Gauges(Collector):
    def __init__(self, gauges: dict[str, tuple[str, Callable[[], float | None]]]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, (meaning, read) in self._gauges.items():
            value = read()
            if value is not None:
                yield GaugeMetricFamily(name, meaning, value=value)


def _add(name: str, seconds: float) -> None:
    _stages.labels(name).observe(seconds)
    if has_request_context():
        stages = g.setdefault("stages", {})
        stages[name] = stages.get(name, 0.0) + seconds


def _begin() -> None:
    g.started = time.perf_counter()
    _in_progress.inc()


def _count(response: Response) -> Response:
    endpoint = request.endpoint or "nothing"
    # A method is whatever a client calls it, and each name would be a series for good.
    method = request.method if request.method in METHODS else "other"
    _requests.labels(method, endpoint, response.status_code).inc()
    if "started" in g:
        _seconds.labels(endpoint).observe(time.perf_counter() - g.started)
    if stages := g.get("stages"):
        timing = ", ".join(f"{name};dur={1000 * took:.1f}" for name, took in stages.items())
        response.headers["Server-Timing"] = timing
    return response


def _end(_error: BaseException | None) -> None:
    # Taken away, since a request that a test client keeps open is torn down twice.
    if g.pop("started", None) is not None:
        _in_progress.dec()


def _begin_to_render(_app: Flask, **_more: Any) -> None:
    g.rendering = time.perf_counter()


def _end_rendering(_app: Flask, **_more: Any) -> None:
    if "rendering" in g:
        _add("render", time.perf_counter() - g.pop("rendering"))
