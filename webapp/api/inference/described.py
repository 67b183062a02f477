"""Both protocols as paths of an OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from model_training.datasets.pictures.opener import LONGEST_SIDE
from webapp.api.inference import schemas
from webapp.api.inference.outputs import outputs_of
from webapp.api.inference.pictures import Most
from webapp.api.inference.tensorflow_serving import SIGNATURES
from webapp.library import Library

_PROBLEMS = {
    "400": "The request is not one of this protocol, or a tensor is not what it should be",
    "404": "No such model, or version of it",
    "408": "The request took too long to arrive",
    "413": "More pictures, bytes or pixels than are taken",
    "415": "A file that is not a picture, or a body that is packed in an unknown way",
    "422": "A picture that is damaged, or far more work to open than others",
    "503": "The model cannot be asked; or as many requests are being answered as can be, and "
    "Retry-After says when to try again",
}
ENCODED = {
    "type": "string",
    "contentEncoding": "base64",
    "contentMediaType": "image/*",
    "format": "picture",
    "description": "The file of a picture, in base64",
}


def paths(library: Library, most: Most) -> dict[str, Any]:
    """Return the paths of both protocols, with the models and limits as they are now."""
    names = {"enum": sorted(library.classifiers)} if library.classifiers else {}
    model = {
        "name": "model",
        "in": "path",
        "required": True,
        "schema": {"type": "string"} | names,
    }
    return {
        "/v2": _get("Describe this server", schemas.ServerMetadata),
        "/v2/health/live": _get("Is the server alive?"),
        "/v2/health/ready": _get("Can a model be asked?", problems=("503",)),
        "/v2/models": _get("Name the models", schemas.Models),
        "/v2/models/{model}": _get("Describe a model", schemas.ModelMetadata, model),
        "/v2/models/{model}/ready": _get("Can this model be asked?", schemas.Readiness, model),
        "/v2/models/{model}/infer": {
            "post": {
                "summary": "Answer pictures",
                "description": f"One input: `pictures` (BYTES, at most {most.encoded}) or `pixels` "
                f"(UINT8 [number, height, width, 3], at most {most.arrays}); `views` are pixels "
                f"that are not cut again. At most {most.body} bytes. Where binary data follows the "
                "JSON, the header `Inference-Header-Content-Length` has the bytes of the JSON, and "
                "the input the parameter `binary_data_size` instead of `data`. Paths with "
                "/versions/{version} after the model's name are taken too.",
                "operationId": "infer",
                "parameters": [model],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": _infer(library, most)},
                    },
                },
                "responses": {"200": _json("The answers", schemas.InferResponse, _BINARY)}
                | _problems(*_PROBLEMS),
            }
        },
        "/v1/models/{model}": _get("Report the state of a model", None, model),
        "/v1/models/{model}/metadata": _get("Describe its signatures", None, model),
        "/v1/models/{model}:predict": {
            "post": {
                "summary": "Answer pictures, as TensorFlow Serving does",
                "operationId": "predict",
                "parameters": [model],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": _predict(most)}},
                },
                "responses": {"200": _json("Predictions in rows, or outputs in columns", None)}
                | _problems(*_PROBLEMS),
            }
        },
    }


def _listed(items: dict[str, Any], most: int | None = None) -> dict[str, Any]:
    listed: dict[str, Any] = {"type": "array", "items": items, "minItems": 1}
    return listed if most is None else listed | {"maxItems": most}


def _input(most: Most) -> dict[str, Any]:
    """Describe the pictures of a TensorFlow Serving request: encoded, or as pixels."""
    colour = {"type": "integer", "minimum": 0, "maximum": 255}
    pixel = {"type": "array", "items": colour, "minItems": 3, "maxItems": 3}
    encoded = _closed({"b64": ENCODED}, ["b64"])
    pixels = _listed(_listed(_listed(pixel)), most.arrays) | {
        "description": "[number, height, width, 3]: rows of one length, pictures of one size"
    }
    return {"anyOf": [_listed(encoded, most.encoded), pixels]}


_BINARY = {
    "application/octet-stream": {"schema": {"description": "JSON, and binary data behind it"}}
}
_FLAG = {"type": "boolean"}


def _infer(library: Library, most: Most) -> dict[str, Any]:
    """Describe a request of the Open Inference Protocol whose tensors are JSON."""
    default = library.classifiers.get(library.default_model or "")
    others = [name for name in outputs_of(default) if name != "probabilities"] if default else []
    most_probable = {"type": "integer", "minimum": 1}
    wanted = {
        "anyOf": [
            _wanted({"const": "probabilities"}, most_probable),
            _wanted({"enum": others} if others else {"type": "string"}, False),
        ]
    }
    side = {"type": "integer", "minimum": 1, "maximum": LONGEST_SIDE}
    number = {"type": "integer", "minimum": 1, "maximum": most.arrays}
    colours = _listed({"type": "integer", "minimum": 0, "maximum": 255})
    shape = {"type": "array", "prefixItems": [number, side, side, {"const": 3}]}
    encoded = number | {"maximum": most.encoded}
    flat = {"type": "array", "prefixItems": [encoded, {"const": 1}], "minItems": 1, "maxItems": 2}
    inputs = [
        _tensor("pictures", "BYTES", flat, _listed(ENCODED, most.encoded)),
        _tensor("pixels", "UINT8", shape | {"minItems": 4, "maxItems": 4}, colours),
    ]
    return _object(
        {
            "id": {"type": ["string", "null"]},
            "parameters": _parameters({"binary_data_output": _FLAG}),
            "inputs": _listed({"oneOf": inputs}, 1),
            "outputs": _listed(wanted)
            | {"type": ["array", "null"], "description": "Each at most once; without it, all"},
        },
        ["inputs"],
    )


def _tensor(
    name: str, datatype: str, shape: dict[str, Any], data: dict[str, Any]
) -> dict[str, Any]:
    properties = {
        "name": {"const": name},
        "datatype": {"const": datatype},
        "shape": shape,
        "data": data | {"description": "As many as the shape says"},
    }
    more = {"parameters": _parameters({"binary_data_size": False})}
    return _object(properties | more, list(properties))


def _wanted(name: dict[str, Any], classification: dict[str, Any] | bool) -> dict[str, Any]:
    """Describe an output that is wanted; of probabilities, so many of the most probable classes."""
    known = {"binary_data": _FLAG, "classification": classification}
    return _object({"name": name, "parameters": _parameters(known)}, ["name"])


def _parameters(known: dict[str, Any]) -> dict[str, Any]:
    """Describe parameters; those that are not `known` may have any name, and are ignored."""
    scalar = {"type": ["boolean", "number", "string"]}
    return _object(dict.fromkeys(schemas.FLAGS, _FLAG) | known, []) | {
        "additionalProperties": scalar
    }


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


def _closed(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return _object(properties, required) | {"additionalProperties": False}


def _predict(most: Most) -> dict[str, Any]:
    signature = {"enum": list(SIGNATURES), "default": next(iter(SIGNATURES))}
    return {
        "oneOf": [
            _closed({"signature_name": signature, name: _input(most)}, [name])
            for name in ("instances", "inputs")
        ]
    }


def _get(
    summary: str,
    answer: type[BaseModel] | None = None,
    model: dict[str, Any] | None = None,
    problems: tuple[str, ...] = (),
) -> dict[str, Any]:
    problems = ("404", "503") if model else problems
    described: dict[str, Any] = {
        "summary": summary,
        "responses": {"200": _json("As it is", answer)} | _problems(*problems),
    }
    return {"get": described | ({"parameters": [model]} if model else {})}


def _problems(*codes: str) -> dict[str, Any]:
    return {code: _json(_PROBLEMS[code], schemas.ProtocolError) for code in codes}


def _named(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _json(
    meaning: str, model: type[BaseModel] | None, more: dict[str, Any] | None = None
) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"} if model is None else _named(model)
    content = {"application/json": {"schema": schema}} | (more or {})
    return {"description": meaning, "content": content}
