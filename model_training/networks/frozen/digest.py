"""What the output of frozen layers is called on disk: the same for the same layers and images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

_CUT = "CLONE"
"""How Keras ends the name of an input that stands for a tensor within a network.  The number before
it counts all tensors of the process."""


def digest_of(part: keras.Model, given: NDArray[np.uint8] | bytes) -> str:
    """Return what names the output of `part` for `given`: images, or the name of other output.

    Two parts with the same layers, connections and weights have one name, in any process; their
    layers have to be called alike.
    """
    import keras

    # A layer's configuration includes its precision.
    told: list[Any] = [keras.backend.backend(), [_layer(layer) for layer in part.layers]]
    wiring = part.get_config()["layers"]
    if not _is_chain(wiring) or len(wiring) != len(part.layers):
        numbers = {one["name"]: f"#{number}" for number, one in enumerate(wiring)}
        told.append(_numbered(wiring, numbers))
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
    for weight in part.get_weights():
        digest.update(np.ascontiguousarray(weight).data)
    digest.update(given if isinstance(given, bytes) else np.ascontiguousarray(given).data)
    return digest.hexdigest()


def _layer(layer: keras.Layer) -> list[Any]:
    config = layer.get_config()
    if str(config.get("name")).endswith(_CUT):
        del config["name"]
    return [type(layer).__name__, config]


def _is_chain(wiring: list[dict[str, Any]]) -> bool:
    """Return whether each of these, but the first, is given what the one before it puts out."""
    names = [one["name"] for one in wiring]
    given = [[*_given(one["inbound_nodes"])] for one in wiring]
    return given == [[], *([name] for name in names[:-1])]


def _given(nodes: Any) -> Iterator[str]:
    """Yield the names of those whose output goes into `nodes` of a network's configuration."""
    if isinstance(nodes, Mapping):
        if "keras_history" in nodes:
            yield nodes["keras_history"][0]
        nodes = [*nodes.values()]
    if isinstance(nodes, (list, tuple)):
        for one in nodes:
            yield from _given(one)


def _numbered(told: Any, numbers: Mapping[str, str]) -> Any:
    """Return `told` with numbers for names: those of operations count all of the process."""
    if isinstance(told, Mapping):
        return {key: _numbered(value, numbers) for key, value in told.items()}
    if isinstance(told, (list, tuple)):
        return [_numbered(value, numbers) for value in told]
    return numbers.get(told, told) if isinstance(told, str) else told
