"""For operators: the process is alive, it can answer, and what it has done so far."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

from flask import Blueprint, Flask, Response, abort, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from webapp.data_sets import ServedDataSet
from webapp.library import ModelState, get_library
from webapp.operating.metrics import CONTENT_TYPE, exposition
from webapp.serving.elsewhere.classifier import problems_of

bp = Blueprint("health", __name__)


def init_app(app: Flask) -> None:
    """Answer probes that ask `app` by the address of its machine, as none of its TRUSTED_HOSTS.

    Nothing of the name is in what these answer.  One that a proxy passes on is checked as ever.
    """
    if not (hosts := app.config["TRUSTED_HOSTS"]):
        return
    served, name = app.wsgi_app, hosts[0].lstrip(".")

    def probed(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") in ("/livez", "/readyz", "/metrics"):
            environ["HTTP_HOST"] = name
        return served(environ, start_response)

    app.wsgi_app = probed  # type: ignore[method-assign]


@bp.get("/livez")
def livez() -> ResponseReturnValue:
    """Report that the process answers requests."""
    return jsonify(status="alive")


@bp.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Report 200 if the default model can be asked, so that photos are answered, or else 503.

    Each model is named with its state, and whatever else is missing.  A model server is asked
    whether it answers.
    """
    library = get_library()
    problems = problems_of(library.classifiers.values())
    ready = library.default_model is not None and library.default_model not in problems
    shown = library.default_data_set
    answer = {
        "status": "ready" if ready else "not ready",
        "models": {name: _of_model(one) for name, one in library.states.items()},
        "default_model": library.default_model,
        "not_answering": problems,
        "gallery": "ready" if shown and shown.test is not None else "they are missing or damaged",
        "data_sets": {one.name: _state(one) for one in library.data_sets.values()}
        | dict.fromkeys(library.data_problems, "damaged, left out"),
    }
    return jsonify(answer), 200 if ready else 503


@bp.get("/metrics")
def metrics() -> ResponseReturnValue:
    """Give Prometheus what was counted and timed, if it may have it."""
    if not _may_read():
        abort(404)
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    return Response(exposition(app), content_type=CONTENT_TYPE)


def _may_read() -> bool:
    """Return whether who asks has the token; where none is set, whether this machine asks."""
    if token := current_app.config["METRICS_TOKEN"]:
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
    try:
        local = ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        local = False
    # What a proxy on this machine passes on comes from elsewhere.
    return local and not {"X-Forwarded-For", "Forwarded"} & set(request.headers.keys())


def _of_model(one: ModelState) -> dict[str, Any]:
    answer: dict[str, Any] = {"state": one.state}
    if one.seconds is not None:
        answer["seconds"] = round(one.seconds, 2)
    if one.problem is not None:
        answer["problem"] = one.problem
    return answer


def _state(data_set: ServedDataSet) -> str:
    # What is wrong with each part is in the log, with the paths of this machine.
    if data_set.kept is None:
        return "only results of it are here"
    return f"left out: {', '.join(data_set.problems)}" if data_set.problems else "ready"
