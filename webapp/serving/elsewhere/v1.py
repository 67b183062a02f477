"""TensorFlow Serving's REST interface (https://www.tensorflow.org/tfx/serving/api_rest), as a
client; KServe's first protocol is the same without metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np

from webapp.serving.elsewhere.endpoints import (
    FEATURES,
    IMAGE,
    Floats,
    Interface,
    NotServed,
    Pixels,
    checked_outputs,
    chosen_input,
    rows_of,
    side_of,
)
from webapp.serving.elsewhere.server import ModelServer, ModelServerDown

MOST_VALUES = 1_000_000
"""The most numbers of one request: in JSON each takes four bytes."""


class TensorFlowServing:
    """The model called `name` of `server`.

    Raises:
        NotServed: the server has no such model, or one that is not an export.
        ModelServerDown, ModelServerBusy: it does not answer.
    """

    def __init__(self, server: ModelServer, name: str) -> None:
        self._server, self._path = server, f"/v1/models/{quote(name, safe='')}"
        if server.ask(self._path).status != 200:
            raise NotServed(f"has no model called “{name}” at {self._path}")
        reply = server.ask(f"{self._path}/metadata")
        # KServe's has none: then it is taken for what an export is, and asked in rows.
        self._signature: str | None = None
        self.interface = Interface(IMAGE, None, (FEATURES,))
        if reply.status == 200:
            self._signature, self.interface = _described(reply.json())

    def check(self, seconds: float) -> None:
        """Ask whether it can answer, within `seconds` (see `Endpoint`)."""
        reply = self._server.ask(self._path, seconds=seconds)
        if reply.status != 200:
            raise NotServed(f"does not offer {self._path} any more")
        told = reply.json()
        states = [one.get("state") for one in told.get("model_version_status") or ()]
        if (states and "AVAILABLE" not in states) or told.get("ready", True) is False:
            raise ModelServerDown("says that its model is not ready")

    def ask(self, pixels: Pixels, outputs: Sequence[str]) -> Mapping[str, Floats]:
        """Return `outputs` for `pixels` (see `Endpoint`)."""
        at_a_time = max(MOST_VALUES // max(pixels[0].size, 1), 1)
        parts = [
            self._part(pixels[start : start + at_a_time], outputs)
            for start in range(0, len(pixels), at_a_time)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in outputs}

    def _part(self, pixels: Pixels, outputs: Sequence[str]) -> dict[str, Floats]:
        values = pixels.tolist()
        asked: dict[str, Any] = {"instances": values}
        if self._signature is not None:
            inputs = {self.interface.input: values}
            asked = {"signature_name": self._signature, "inputs": inputs}
        headers = {"Content-Type": "application/json"}
        reply = self._server.ask(f"{self._path}:predict", json.dumps(asked).encode(), headers)
        if reply.status != 200:
            raise NotServed(f"refuses pictures with the status {reply.status}")
        told = reply.json()
        columns = told.get("outputs") if self._signature else _columns(told.get("predictions"))
        # A single output has no name.
        if not isinstance(columns, dict):
            columns = {self.interface.outputs[0]: columns}
        if missing := [name for name in outputs if name not in columns]:
            raise NotServed(f"leaves out “{missing[0]}”")
        return {name: rows_of(columns[name], len(pixels), name) for name in outputs}


def _columns(rows: Any) -> Any:
    """Return rows that name their outputs as one column for each; others as they are."""
    if not (isinstance(rows, list) and rows and isinstance(rows[0], dict)):
        return rows
    return {
        name: [row.get(name) if isinstance(row, dict) else None for row in rows] for name in rows[0]
    }


def _described(told: Any) -> tuple[str, Interface]:
    """Return the signature that gives features, and what it takes and gives."""
    metadata = told.get("metadata") or {}
    signatures = (metadata.get("signature_def") or {}).get("signature_def") or {}
    giving = [name for name, one in signatures.items() if FEATURES in (one.get("outputs") or ())]
    if not giving:
        checked_outputs([name for one in signatures.values() for name in one.get("outputs") or ()])
    name = giving[0]
    one = signatures[name]
    outputs = one["outputs"]
    inputs = one.get("inputs") or {}
    wanted = chosen_input(list(inputs))
    sizes = [
        int(size["size"]) for size in (inputs[wanted].get("tensor_shape") or {}).get("dim") or ()
    ]
    version = (told.get("model_spec") or {}).get("version")
    network = (metadata.get("ten_classes") or {}).get("model_sha256")
    return name, Interface(
        wanted, side_of(wanted, sizes), tuple(outputs), version and str(version), network
    )
