"""The description of the site for programs that write programs (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from model_training.datasets.pictures.opener import ACCEPTED, LONGEST_SIDE
from webapp.answering.received import Limits
from webapp.api.inference.described import paths
from webapp.api.inference.pictures import Most
from webapp.api.schemas import Answer, Answers, component_schemas
from webapp.errors import Error
from webapp.library import Library

REFUSALS = {
    "400": "No photo in a file field called `image`, an empty one, a form that arrived incomplete, "
    "a parameter that is not known, or a model that is not here",
    "405": "A method other than POST",
    "408": "The request took too long to arrive",
    "413": "Too many photos, bytes or pixels, or a side that is too long",
    "415": "Neither a form nor a picture",
    "422": "A picture that is damaged or incomplete, or that would take far too much work to open",
    "503": "No model is loaded, or the site is too busy; Retry-After, if given, says when to try "
    "again",
}
_HEADERS = {
    "405": {"Allow": {"description": "The methods there are", "schema": {"type": "string"}}},
    "503": {
        "Retry-After": {
            "description": "Seconds, where waiting helps",
            "schema": {"type": "integer"},
        }
    },
}
# A text in the field `image` is not a file.  What tells them apart is not in the value, so no
# schema of the value can say it: it is the part's own header.
_IMAGE_PART = {
    "contentType": "image/*",
    "headers": {
        "Content-Disposition": {
            "description": "Names the file, as every upload of a file does",
            "required": True,
            "schema": {"type": "string", "pattern": 'filename\\*?="?[^"]'},
        }
    },
}


def describe(library: Library, limits: Limits, most: Most) -> dict[str, Any]:
    """Return the OpenAPI document of this site, with its models and limits as they are now."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ten Classes",
            "version": "1",
            "description": "Classify photos: find which of a model's classes is shown, if any. "
            "Photos are never stored.",
        },
        "paths": {"/api/classify": {"post": _classify(library, limits)}} | paths(library, most),
        "components": {"schemas": component_schemas()},
    }


def _classify(library: Library, limits: Limits) -> dict[str, Any]:
    model = _model(library)
    return {
        "summary": "Classify photos",
        "description": "Send photos in `image` fields of a form, or one photo as the body.",
        "operationId": "classify",
        "parameters": [
            {
                "name": "model",
                "in": "query",
                "description": "The model that answers, here or as a field of the form",
                "schema": model,
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": _form(model, limits),
                    "encoding": {"image": _IMAGE_PART},
                },
                "image/*": {"schema": {"description": _photo(limits)}},
            },
        },
        "responses": {
            "200": {
                "description": "For one photo, its answer; for several, their answers in order",
                "content": {
                    "application/json": {"schema": {"anyOf": [_named(Answer), _named(Answers)]}}
                },
            },
            **{code: _json(meaning, Error) | _headers(code) for code, meaning in REFUSALS.items()},
        },
    }


def _model(library: Library) -> dict[str, Any]:
    model: dict[str, Any] = {"type": "string"}
    if library.default_model is not None:
        model |= {"enum": sorted(library.classifiers), "default": library.default_model}
    return model


def _photo(limits: Limits) -> str:
    return (
        f"The file of a photo, not empty: {ACCEPTED}, at most {limits.photo_bytes} bytes and "
        f"{limits.photo_pixels} pixels, and at most {LONGEST_SIDE} along a side"
    )


def _form(model: dict[str, Any], limits: Limits) -> dict[str, Any]:
    image = {
        "type": "string",
        "contentMediaType": "image/*",
        "minLength": 1,
        "maxLength": limits.photo_bytes,
        "description": _photo(limits),
    }
    return {
        "type": "object",
        "properties": {
            "image": {
                "type": "array",
                "items": image,
                "minItems": 1,
                "maxItems": limits.photos,
                "description": "A field for each photo",
            },
            "model": model,
        },
        "required": ["image"],
        "additionalProperties": False,
    }


def _named(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _json(meaning: str, model: type[BaseModel]) -> dict[str, Any]:
    return {"description": meaning, "content": {"application/json": {"schema": _named(model)}}}


def _headers(code: str) -> dict[str, Any]:
    return {"headers": _HEADERS[code]} if code in _HEADERS else {}
