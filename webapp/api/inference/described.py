"""Both protocols as paths of an OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from webapp.api.inference import schemas
from webapp.api.inference.pictures import Most
from webapp.api.inference.tensorflow_serving import SIGNATURES
from webapp.library import Library

_PROBLEMS = {
    "400": "The request is not one of this protocol, or a tensor is not what it should be",
    "404": "No such model, or version of it",
    "413": "More pictures, bytes or pixels than are taken",
    "415": "A file that is not a picture, or a body that is packed in an unknown way",
    "422": "A picture that is damaged, or far more work to open than others",
    "503": "The model cannot be asked; or as many requests are being answered as can be, and "
    "Retry-After says when to try again",
}
_HEADER = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "description": "The bytes of the JSON, where binary data follows it",
    "schema": {"type": "integer", "minimum": 0},
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
                f"that are not cut again. At most {most.body} bytes. Paths with "
                "/versions/{version} after the model's name are taken too.",
                "operationId": "infer",
                "parameters": [model, _HEADER],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": _named(schemas.InferRequest)},
                        "application/octet-stream": {
                            "schema": {"description": "JSON, and binary data behind it"}
                        },
                    },
                },
                "responses": {"200": _json("The answers", schemas.InferResponse)}
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
                    "content": {"application/json": {"schema": _PREDICT}},
                },
                "responses": {"200": _json("Predictions in rows, or outputs in columns", None)}
                | _problems(*_PROBLEMS),
            }
        },
    }


_PICTURE = {
    "anyOf": [
        {
            "type": "object",
            "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
            "required": ["b64"],
        },
        {"type": "array", "description": "Pixels, [height, width, 3], from 0 to 255"},
    ]
}
_PREDICT = {
    "type": "object",
    "properties": {
        "signature_name": {"enum": list(SIGNATURES), "default": next(iter(SIGNATURES))},
        "instances": {"type": "array", "items": _PICTURE, "minItems": 1},
        "inputs": {"type": "array", "items": _PICTURE, "minItems": 1},
    },
    "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    "additionalProperties": False,
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


def _json(meaning: str, model: type[BaseModel] | None) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"} if model is None else _named(model)
    return {"description": meaning, "content": {"application/json": {"schema": schema}}}
