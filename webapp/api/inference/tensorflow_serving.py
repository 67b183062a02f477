"""TensorFlow Serving's REST interface (https://www.tensorflow.org/tfx/serving/api_rest).

An instance is `{"b64": "..."}`, an encoded picture, or a picture's pixels, [height, width, 3].
The signature says what is answered: `serving_default` the probabilities alone, as Keras' own
classifiers are served; `answer` all that the judge says; `features` the features.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from model_training.bundles.bundle import MODEL
from model_training.datasets.pictures.views import View
from webapp.api.inference import outputs, pictures, served, tensors
from webapp.api.inference.bodies import body_of, parse_json
from webapp.errors import Refusal
from webapp.library import get_library
from webapp.serving.classifier import Classifier

bp = Blueprint("tensorflow_serving", __name__, url_prefix="/v1/models")

DEFAULT = "serving_default"
SIGNATURES = {DEFAULT: ["probabilities"], "answer": None, "features": ["features"]}
"""The outputs of each signature; None: all but the features."""
_KEYS = {"signature_name", "instances", "inputs"}
_DTYPES = {
    "FP32": "DT_FLOAT",
    "BYTES": "DT_STRING",
    "BOOL": "DT_BOOL",
    "UINT8": "DT_UINT8",
}


class BadRequest(Refusal):
    """A request that is not one of this interface, or asks for what is not there."""


@bp.get("/<model_name:name>")
@bp.get("/<model_name:name>/versions/<model_name:version>")
def status(name: str, version: str | None = None) -> ResponseReturnValue:
    """Report the state of a model."""
    classifier = served.find(get_library(), name, version)
    state = {
        "version": served.version_of(classifier),
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    return jsonify(model_version_status=[state])


@bp.get("/<model_name:name>/metadata")
@bp.get("/<model_name:name>/versions/<model_name:version>/metadata")
def metadata(name: str, version: str | None = None) -> ResponseReturnValue:
    """Describe the signatures of a model."""
    classifier = served.find(get_library(), name, version)
    spec = {"name": name, "signature_name": "", "version": served.version_of(classifier)}
    described = {
        signature: {
            "inputs": {
                "pictures": _tensor("BYTES", [-1]),
                "pixels": _tensor("UINT8", [-1, -1, -1, 3]),
                "views": _tensor("UINT8", [-1, -1, -1, 3]),
            },
            "outputs": {one.name: _tensor(one.datatype, one.shape) for one in given},
            "method_name": "tensorflow/serving/predict",
        }
        for signature in SIGNATURES
        if (given := _outputs(signature, classifier))
    }
    network = {"model_sha256": classifier.bundle.card.files[MODEL]}
    return jsonify(
        model_spec=spec,
        metadata={"signature_def": {"signature_def": described}, "ten_classes": network},
    )


@bp.post("/<name>:predict")
@bp.post("/<name>/versions/<version>:predict")
def predict(name: str, version: str | None = None) -> ResponseReturnValue:
    """Answer the instances of the request, in rows or in columns as they came."""
    classifier = served.find(get_library(), name, version)
    with body_of(request, pictures.most().body) as body:
        sent = _checked(parse_json(body))
        wanted = _outputs(sent.get("signature_name", DEFAULT), classifier)
        in_rows = "instances" in sent
        given = _column(sent["instances"]) if in_rows else sent["inputs"]
        found = outputs.answer(classifier, _views(given, classifier), wanted)
    columns = {one.name: one.take(found).tolist() for one in wanted}
    alone = wanted[0].name if len(wanted) == 1 else None
    if not in_rows:
        return _json({"outputs": columns[alone] if alone else columns})
    if alone:
        return _json({"predictions": columns[alone]})
    rows = zip(*columns.values(), strict=True)
    return _json({"predictions": [dict(zip(columns, row, strict=True)) for row in rows]})


def _tensor(datatype: str, shape: list[int]) -> dict[str, Any]:
    sizes = [{"size": str(size), "name": ""} for size in shape]
    return {
        "dtype": _DTYPES[datatype],
        "tensor_shape": {"dim": sizes, "unknown_rank": False},
        "name": "",
    }


def _outputs(signature: Any, classifier: Classifier) -> list[outputs.Output]:
    if not isinstance(signature, str) or signature not in SIGNATURES:
        raise BadRequest(
            f"There is no signature called “{str(signature)[:64]}”. Available: "
            f"{', '.join(SIGNATURES)}."
        )
    there = outputs.outputs_of(classifier)
    names = SIGNATURES[signature] or [name for name in there if name != "features"]
    return [there[name] for name in names]


def _checked(sent: Any) -> dict[str, Any]:
    if not isinstance(sent, dict):
        raise BadRequest("The JSON must be an object with “instances”, or with “inputs”.")
    if unknown := [name for name in sent if name not in _KEYS]:
        known = ", ".join(sorted(_KEYS))
        raise BadRequest(f"There is no “{unknown[0][:64]}” in a request. Available: {known}.")
    if ("instances" in sent) == ("inputs" in sent):
        raise BadRequest("A request has either “instances”, in rows, or “inputs”, in columns.")
    return sent


def _column(instances: Any) -> Any:
    """Return rows that name their input as one column with that name; others as they are."""
    if not isinstance(instances, list) or not instances:
        raise BadRequest("“instances” must be a list with at least one picture.")
    first = instances[0]
    if not isinstance(first, dict) or "b64" in first:
        return instances
    if not all(isinstance(one, dict) and one.keys() == first.keys() for one in instances):
        raise BadRequest("All instances must have the same input.")
    return {name: [one[name] for one in instances] for name in first}


def _views(given: Any, classifier: Classifier) -> list[list[View]]:
    """Return the views of the pictures in a tensor, or in an object with one named tensor."""
    name, values = "pixels", given
    if isinstance(given, dict):
        if len(given) != 1 or not given.keys() <= {"pictures", "pixels", "views"}:
            raise BadRequest("A request has one input: “pictures”, “pixels” or “views”.")
        ((name, values),) = given.items()
    elif isinstance(given, list) and given and isinstance(given[0], (dict, str)):
        name = "pictures"
    if not isinstance(values, list):
        raise BadRequest(f"The input “{name}” must be a list of pictures.")
    if name != "pictures":
        shape = tensors.shape_of(values)
        pictures.check_pixels(shape, "The input")
        cut = pictures.views_as_sent if name == "views" else pictures.views_of_pixels
        return cut(tensors.pixels_from_json(values, shape, "The input"), classifier.judge)
    pictures.check_count(len(values), "The input")
    if not all(isinstance(one, dict) and list(one) == ["b64"] for one in values):
        raise BadRequest('An encoded picture is an object with its base64 text: {"b64": "..."}.')
    encoded = [tensors.from_base64(one["b64"], "The input") for one in values]
    return pictures.views_of_encoded(encoded, classifier.judge)


def _json(body: dict[str, Any]) -> Response:
    # Not by `jsonify`, which would sort the outputs by the alphabet.
    return Response(json.dumps(body), mimetype="application/json")
