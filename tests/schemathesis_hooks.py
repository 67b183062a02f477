"""What Schemathesis must be told of the site: what a picture is (`make test-api`).

A schema can say that a text is a picture, and not how one is made.
"""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import schemathesis
from hypothesis import strategies
from PIL import Image
from schemathesis.transport.requests import REQUESTS_TRANSPORT, multipart_serializer


def picture(kind: str, side: int) -> bytes:
    """Return a small picture in the format `kind`."""
    colours = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(colours).save(encoded, kind)
    return encoded.getvalue()


PICTURES = [picture(kind, side) for kind in ("JPEG", "PNG", "WEBP", "BMP") for side in (1, 40)]
schemathesis.openapi.media_type("image/*", strategies.sampled_from(PICTURES))
schemathesis.openapi.format(
    "picture",
    strategies.sampled_from([base64.b64encode(one).decode() for one in PICTURES]),
)


# What no schema can say: that lengths agree.


def make_agree(body: Any) -> None:
    """Make the tensors of a request what their shapes say, and each output wanted once."""
    if not isinstance(body, dict):
        return
    for tensor in body.get("inputs", []) if isinstance(body.get("inputs"), list) else []:
        if not isinstance(tensor, dict) or not isinstance(tensor.get("data"), list):
            continue
        shape: Any = tensor.get("shape")
        if tensor.get("name") == "pictures" and _is_shape(shape, 1, 2):
            tensor["shape"] = [len(tensor["data"]), *shape[1:]]
        elif tensor.get("name") == "pixels" and _is_shape(shape, 4, 4) and tensor["data"]:
            tensor["shape"] = [1, 2, 2, 3]
            tensor["data"] = (tensor["data"] * 12)[:12]
    if isinstance(body.get("outputs"), list):
        by_name = {json.dumps(one.get("name")): one for one in body["outputs"] if type(one) is dict}
        if len(by_name) < len(body["outputs"]):
            body["outputs"] = list(by_name.values())
    for name in ("instances", "inputs"):
        rows = body.get(name)
        if isinstance(rows, list) and rows and _is_pixels(rows):
            body[name] = [[[rows[0][0][0]]]] * len(rows)


def _is_shape(shape: Any, least: int, most: int) -> bool:
    """Return whether `shape` fits the description: what does not is left for the site to refuse."""
    if not isinstance(shape, list) or not least <= len(shape) <= most:
        return False
    limits = (256, 30_000, 30_000, 3) if most == 4 else (16, 1)
    return all(
        type(one) in (int, float) and 0 < one <= limit and float(one).is_integer()
        for one, limit in zip(shape, limits, strict=False)
    ) and (most < 4 or shape[3] == 3)


@schemathesis.hook  # type: ignore[untyped-decorator]
def map_case(_context: Any, case: Any) -> Any:
    """Let what belongs together agree: lengths, and the model that address and form each name.

    Not `map_body`, which is asked about a part of the requests only.
    """
    # Never assigned: what fits the description would be judged anew, and pictures misjudged.
    make_agree(case.body)
    named = case.query.get("model") if isinstance(case.query, dict) else None
    if isinstance(named, str) and isinstance(case.body, dict):
        # A name that is none stays one, in either place: it is there to be refused.
        models = _models(case)
        if named in models and case.body.get("model") in models:
            case.body["model"] = named
    return case


def _models(case: Any) -> list[str]:
    """Return the names of models that the description of the operation has."""
    for parameter in case.operation.definition.raw.get("parameters", []):
        if parameter.get("name") == "model":
            return list(parameter["schema"].get("enum", []))
    return []


def _is_pixels(rows: Any) -> bool:
    for _ in range(3):
        if not isinstance(rows, list) or not rows:
            return False
        rows = rows[0]
    return isinstance(rows, list)


@REQUESTS_TRANSPORT.serializer("multipart/form-data")  # type: ignore[untyped-decorator]
def form(context: Any, value: Any) -> dict[str, Any]:
    """Name the file of each picture in a form, as the header that the document asks for does."""
    made: dict[str, Any] = multipart_serializer(context, value)
    if isinstance(made.get("files"), list):
        made["files"] = [(name, _named(part)) for name, part in made["files"]]
    return made


def _named(part: Any) -> Any:
    is_picture = isinstance(part, tuple) and part[0] is None and isinstance(part[1], bytes)
    return ("photo", *part[1:]) if is_picture else part
