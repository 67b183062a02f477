"""The description of `/api/classify` for programs that write programs (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any

from model_training.datasets.pictures.opener import ACCEPTED, LONGEST_SIDE
from webapp.answering.received import Limits
from webapp.library import Library

REFUSALS = {
    "400": "No photo, an empty one, more than one, or a model that is not here",
    "405": "Another method than POST",
    "413": "More bytes or pixels than are taken, or a longer side",
    "415": "Not a form, or not a picture",
    "422": "A picture that is damaged or incomplete, or far more work to open than others",
    "503": "No model is loaded; or as many photos are being opened as can be (`busy`), and "
    "Retry-After says when to try again",
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Only with `busy`: seconds", "schema": {"type": "integer"}}
}


def describe(library: Library, limits: Limits) -> dict[str, Any]:
    """The OpenAPI document of this site, with the models, classes and limits that it has now."""
    model: dict[str, Any] = {"type": "string", "enum": sorted(library.classifiers)}
    if library.default_model is not None:
        model["default"] = library.default_model
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
                                "schema": _object(
                                    {
                                        "image": {
                                            "type": "string",
                                            "contentMediaType": "image/*",
                                            "description": f"{ACCEPTED}, at most "
                                            f"{limits.photo_bytes} bytes and "
                                            f"{limits.photo_pixels} pixels, and at most "
                                            f"{LONGEST_SIDE} along a side",
                                        },
                                        "model": model,
                                    },
                                    required=["image"],
                                )
                            }
                        },
                    },
                    "responses": {
                        "200": _json("What the model makes of the photo", "Answer"),
                        **{code: _json(meaning, "Error") for code, meaning in REFUSALS.items()},
                        "503": _json(REFUSALS["503"], "Error") | {"headers": _RETRY_AFTER},
                    },
                }
            }
        },
        "components": {
            "schemas": {
                "Answer": _object(
                    {
                        "model": {"type": "string"},
                        "label": {"type": "string", "description": "The most probable class"},
                        "known": {
                            "type": "boolean",
                            "description": "False for a photo that resembles nothing the model "
                            "learned from, whatever its label says",
                        },
                        "novelty": {
                            "type": "number",
                            "description": "Higher the less the photo resembles what the model "
                            "learned from",
                        },
                        "probabilities": _probabilities(library),
                    }
                ),
                "Error": _object(
                    {
                        "error": _object(
                            {
                                "status": {"type": "integer"},
                                "code": {"type": "string", "description": "For programs"},
                                "title": {"type": "string"},
                                "detail": {
                                    "type": "string",
                                    "description": "What is wrong and what to do",
                                },
                            }
                        )
                    }
                ),
            }
        },
    }


def _probabilities(library: Library) -> dict[str, Any]:
    """The schema of an answer's probabilities: one of each class, whichever model is asked."""
    share = {"type": "number", "minimum": 0, "maximum": 1}
    models: dict[tuple[str, ...], list[str]] = {}
    for name, classifier in sorted(library.classifiers.items()):
        models.setdefault(classifier.classes, []).append(name)
    schemas = [
        _object(dict.fromkeys(classes, share)) | {"description": f"Of {', '.join(names)}"}
        for classes, names in models.items()
    ]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas} if schemas else _object({})


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    """The schema of an object; every property is required unless it is said which are."""
    needed = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": needed}


def _json(meaning: str, schema: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": meaning, "content": {"application/json": {"schema": reference}}}
