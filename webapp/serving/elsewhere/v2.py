"""The Open Inference Protocol (https://github.com/kserve/open-inference-protocol), as a client.

Tensors travel as bytes where the server says that it knows Triton's extension for them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np

from webapp.operating import tracing
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
from webapp.serving.elsewhere.server import ModelServer, ModelServerDown, Reply, parsed

_HEADER = "Inference-Header-Content-Length"
_TYPES = {"UINT8": np.uint8, "FP32": np.float32}


class OpenInference:
    """The model called `name` of `server`.

    Raises:
        NotServed: the server has no such model, or one that is not an export.
        ModelServerDown, ModelServerBusy: it does not answer.
    """

    def __init__(self, server: ModelServer, name: str) -> None:
        self._server, self._path = server, f"/v2/models/{quote(name, safe='')}"
        reply = server.ask(self._path)
        if reply.status != 200:
            raise NotServed(f"has no model called “{name}” at {self._path}")
        self.interface, self._datatype = _described(reply.json())
        about = server.ask("/v2")
        known = about.json() if about.status == 200 else {}
        self._binary = "binary_tensor_data" in (known.get("extensions") or ())

    def check(self, seconds: float) -> None:
        """Ask whether it can answer, within `seconds` (see `Endpoint`)."""
        reply = self._server.ask(f"{self._path}/ready", seconds=seconds)
        if reply.status != 200:
            raise NotServed(f"does not offer {self._path} any more")
        if reply.body.strip() and reply.json().get("ready", True) is False:
            raise ModelServerDown("says that its model is not ready")

    def ask(self, pixels: Pixels, outputs: Sequence[str]) -> Mapping[str, Floats]:
        """Return `outputs` for `pixels` (see `Endpoint`)."""
        values = np.ascontiguousarray(pixels, _TYPES[self._datatype])
        tensor: dict[str, Any] = {
            "name": self.interface.input,
            "datatype": self._datatype,
            "shape": list(values.shape),
        }
        wanted: list[dict[str, Any]] = [{"name": name} for name in outputs]
        # KServe's server breaks where there is no id.
        asked = {"id": tracing.number() or uuid.uuid4().hex}
        headers = {"Content-Type": "application/json"}
        if self._binary:
            tensor["parameters"] = {"binary_data_size": values.nbytes}
            wanted = [one | {"parameters": {"binary_data": True}} for one in wanted]
            body = json.dumps(asked | {"inputs": [tensor], "outputs": wanted}).encode()
            headers = {"Content-Type": "application/octet-stream", _HEADER: str(len(body))}
            body += values.tobytes()
        else:
            tensor["data"] = values.ravel().tolist()
            body = json.dumps(asked | {"inputs": [tensor], "outputs": wanted}).encode()
        reply = self._server.ask(f"{self._path}/infer", body, headers)
        if reply.status != 200:
            raise NotServed(f"refuses pictures with the status {reply.status}")
        return _read(reply, len(pixels), outputs, self.interface.version)


class ChangedVersion(NotServed):
    """Another network answers than the one that was described."""

    def __init__(self) -> None:
        super().__init__("has just been given another network; please try again")
        self.retry_after = 1


def _described(told: Any) -> tuple[Interface, str]:
    """Return what a model takes and gives, and the datatype of its input."""
    inputs = {one["name"]: one for one in told.get("inputs") or ()}
    outputs = [one["name"] for one in told.get("outputs") or ()]
    versions: list[Any] = told.get("versions") or []
    # Some servers do not say: then it is taken for what an export is.
    name = chosen_input(list(inputs)) if inputs else IMAGE
    said = inputs.get(name, {})
    datatype = said.get("datatype", "FP32")
    if datatype not in _TYPES:
        raise NotServed(f"has a model whose input “{name[:64]}” is {datatype}, not UINT8 or FP32")
    parameters = told.get("parameters")
    network = parameters.get("model_sha256") if isinstance(parameters, dict) else None
    interface = Interface(
        name,
        side_of(name, said.get("shape") or ()),
        checked_outputs(outputs) if outputs else (FEATURES,),
        str(versions[0]) if len(versions) == 1 else None,
        network,
    )
    return interface, datatype


def _read(
    reply: Reply, count: int, outputs: Sequence[str], version: str | None
) -> Mapping[str, Floats]:
    """Return the outputs in an answer."""
    length = reply.headers.get(_HEADER.lower(), str(len(reply.body)))
    if not (length.isascii() and length.isdigit()):
        raise ModelServerDown("gives answers that cannot be read")
    told = parsed(reply.body[: int(length)])
    answered = told.get("model_version")
    if version is not None and answered not in (None, version):
        raise ChangedVersion
    rest = reply.body[int(length) :]
    found: dict[str, Floats] = {}
    for tensor in told.get("outputs") or ():
        name, values = tensor.get("name"), tensor.get("data")
        size = (tensor.get("parameters") or {}).get("binary_data_size")
        if size is not None:
            values = np.frombuffer(rest[:size], "<f4") if size % 4 == 0 else None
            rest = rest[size:]
        if name in outputs:
            if tensor.get("datatype") != "FP32":
                raise NotServed(f"gives “{name}” as {tensor.get('datatype')}, not as FP32")
            found[name] = rows_of(values, count, name)
    if missing := [name for name in outputs if name not in found]:
        raise NotServed(f"leaves out “{missing[0]}”")
    return found
