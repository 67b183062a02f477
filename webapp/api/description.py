"""The description of `/api/classify` for programs that write programs (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any

from model_training.datasets.pictures.opener import ACCEPTED, LONGEST_SIDE
from webapp.answering.received import Limits
from webapp.api.schemas import Answer, component_schemas
from webapp.errors import Error
from webapp.library import Library

REFUSALS = {
    "400": "No photo in a file field called `image`, an empty one, more than one, a form that "
    "arrived incomplete, or a model that is not here",
    "405": "Another method than POST",
    "413": "More bytes or pixels than are taken, or a longer side",
    "415": "Not a form, or not a picture",
    "422": "A picture that is damaged or incomplete, or far more work to open than others",
    "503": "No model is loaded; or as many photos are being opened as can be (`busy`), and "
    "Retry-After says when to try again",
}
_HEADERS = {
    "405": {"Allow": {"description": "The methods there are", "schema": {"type": "string"}}},
    "503": {
        "Retry-After": {"description": "Only with `busy`: seconds", "schema": {"type": "integer"}}
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


def describe(library: Library, limits: Limits) -> dict[str, Any]:
    """Return the OpenAPI document of this site, with its models and limits as they are now."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ten Classes",
            "version": "1",
            "description": "Which of the classes that a model knows is in a photo. Nothing of a "
            "photo is kept.",
        },
        "paths": {
            "/api/classify": {
                "post": {
                    "summary": "Classify one photo",
                    "operationId": "classify",
                    "requestBody": {
                        "required": True,
                        "content": {
                            "multipart/form-data": {
                                "schema": _form(library, limits),
                                "encoding": {"image": _IMAGE_PART},
                            }
                        },
                    },
                    "responses": {
                        "200": _json("What the model makes of the photo", Answer),
                        **{
                            code: _json(meaning, Error) | _headers(code)
                            for code, meaning in REFUSALS.items()
                        },
                    },
                }
            }
        },
        "components": {"schemas": component_schemas()},
    }


def _form(library: Library, limits: Limits) -> dict[str, Any]:
    model: dict[str, Any] = {"type": "string"}
    if library.default_model is not None:
        model |= {"enum": sorted(library.classifiers), "default": library.default_model}
    image = {
        "type": "string",
        "contentMediaType": "image/*",
        "minLength": 1,
        "maxLength": limits.photo_bytes,
        "description": f"The file of one photo, not empty: {ACCEPTED}, at most "
        f"{limits.photo_bytes} bytes and {limits.photo_pixels} pixels, and at most {LONGEST_SIDE} "
        "along a side",
    }
    return {
        "type": "object",
        "properties": {"image": image, "model": model},
        "required": ["image"],
    }


def _json(meaning: str, model: type[Answer] | type[Error]) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"description": meaning, "content": {"application/json": {"schema": reference}}}


def _headers(code: str) -> dict[str, Any]:
    return {"headers": _HEADERS[code]} if code in _HEADERS else {}
