"""The Open Inference Protocol, version 2 (https://github.com/kserve/open-inference-protocol), with
Triton's extensions for binary tensors and for classification.

A request has one input: `pictures`, encoded files (BYTES), or `pixels` (UINT8); `views` are for
other sites whose networks run here.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from model_training.bundles.bundle import MODEL
from model_training.datasets.pictures.views import View
from model_training.faults import first_fault
from webapp.answering.answers import why_no_answer
from webapp.api.inference import outputs, pictures, schemas, served, tensors
from webapp.api.inference.bodies import BadBody, body_of, parse_json
from webapp.errors import Refusal
from webapp.library import get_library
from webapp.serving.classifier import Classifier
from webapp.serving.elsewhere.classifier import problems_of

bp = Blueprint("open_inference", __name__, url_prefix="/v2")

HEADER_LENGTH = "Inference-Header-Content-Length"
EXTENSIONS = ["binary_tensor_data", "classification"]
SERVER = schemas.ServerMetadata(name="tenclasses", version="1", extensions=EXTENSIONS)
INPUTS = [
    schemas.TensorMetadata(
        name="pictures",
        datatype="BYTES",
        shape=[-1],
        parameters={"meaning": "Files of pictures, as they are; in JSON as base64"},
    ),
    schemas.TensorMetadata(
        name="pixels",
        datatype="UINT8",
        shape=[-1, -1, -1, 3],
        parameters={"meaning": "Number, height, width, and red, green and blue from 0 to 255"},
    ),
    schemas.TensorMetadata(
        name="views",
        datatype="UINT8",
        shape=[-1, -1, -1, 3],
        parameters={
            "meaning": "Squares as the network itself is shown them, which are not cut again: so "
            "another site asks this one for features"
        },
    ),
]


class BadRequest(Refusal):
    """A request that is not one of this protocol, or asks for what is not there."""


class NotReady(Refusal):
    """No model can be asked."""

    status = 503
    code = "not-ready"


@bp.get("")
@bp.get("/", endpoint="server_with_slash")
def server() -> ResponseReturnValue:
    """Describe this server."""
    return _json(SERVER)


@bp.get("/health/live")
def live() -> ResponseReturnValue:
    """Report that the server answers."""
    return _plain({"live": True})


@bp.get("/health/ready")
def ready() -> ResponseReturnValue:
    """Report 200 if a model can be asked, or else 503."""
    library = get_library()
    if library.default_model is None:
        raise NotReady(why_no_answer(library))
    _refuse_if_away(library.classifiers[library.default_model])
    return _plain({"ready": True})


@bp.get("/models")
def models() -> ResponseReturnValue:
    """Name the models that can be asked."""
    return _json(schemas.Models(models=sorted(get_library().classifiers)))


@bp.get("/models/<name>")
@bp.get("/models/<name>/versions/<version>")
def model(name: str, version: str | None = None) -> ResponseReturnValue:
    """Describe a model."""
    classifier = served.find(get_library(), name, version)
    return _json(
        schemas.ModelMetadata(
            name=name,
            versions=[served.version_of(classifier)],
            platform="keras",
            inputs=INPUTS,
            outputs=[
                schemas.TensorMetadata(
                    name=one.name,
                    datatype=one.datatype,
                    shape=one.shape,
                    parameters={"meaning": one.meaning},
                )
                for one in outputs.outputs_of(classifier).values()
            ],
            parameters=schemas.ModelParameters(
                title=classifier.bundle.card.title,
                classes=list(classifier.classes),
                threshold=classifier.judge.threshold.novelty,
                model_sha256=classifier.bundle.card.files[MODEL],
            ),
        )
    )


@bp.get("/models/<name>/ready")
@bp.get("/models/<name>/versions/<version>/ready")
def model_ready(name: str, version: str | None = None) -> ResponseReturnValue:
    """Report 200 if this model can be asked."""
    _refuse_if_away(served.find(get_library(), name, version))
    return _json(schemas.Readiness(name=name, ready=True))


@bp.post("/models/<name>/infer")
@bp.post("/models/<name>/versions/<version>/infer")
def infer(name: str, version: str | None = None) -> ResponseReturnValue:
    """Answer the pictures of the request."""
    classifier = served.find(get_library(), name, version)
    with body_of(request, pictures.most().body) as body:
        sent, binary = _read(body)
        wanted = _wanted(sent, outputs.outputs_of(classifier))
        views = _views(sent, binary, classifier)
        found = outputs.answer(classifier, views, [one for one, _parameters in wanted])
    return _answer(sent, classifier, [(*one, one[0].take(found)) for one in wanted])


def _refuse_if_away(classifier: Classifier) -> None:
    for problem in problems_of([classifier]).values():
        raise NotReady(problem)


def _read(body: bytes) -> tuple[schemas.InferRequest, memoryview]:
    """Return what the JSON of `body` asks, and the binary data behind it."""
    length = request.headers.get(HEADER_LENGTH, str(len(body)))
    if not (length.isascii() and length.isdigit() and len(length) <= 20) or int(length) > len(body):
        raise BadBody(
            f"{HEADER_LENGTH} is “{length[:20]}”, and the body has {len(body):,} bytes: it is the "
            "number of bytes of the JSON before the binary data."
        )
    try:
        sent = schemas.InferRequest.model_validate(parse_json(body[: int(length)]))
    except ValidationError as error:
        raise BadRequest(f"{first_fault(error, 'The JSON')}.") from error
    return sent, memoryview(body)[int(length) :]


Wanted = tuple[outputs.Output, Mapping[str, Any]]


def _wanted(sent: schemas.InferRequest, there: Mapping[str, outputs.Output]) -> list[Wanted]:
    """Return the outputs that a request wants, each with its parameters."""
    if sent.outputs is None:
        return [(one, {}) for one in there.values()]
    names = [one.name for one in sent.outputs]
    if unknown := [name for name in names if name not in there]:
        raise BadRequest(
            f"There is no output called “{unknown[0][:64]}”. Available: {', '.join(there)}."
        )
    if len(set(names)) < len(names):
        raise BadRequest("An output is wanted twice.")
    return [(there[one.name], one.parameters) for one in sent.outputs]


def _views(
    sent: schemas.InferRequest, binary: memoryview, classifier: Classifier
) -> list[list[View]]:
    """Return the views of the pictures of a request."""
    if len(sent.inputs) > 1:
        raise BadRequest("A request has one input: “pictures”, “pixels” or “views”.")
    (tensor,) = sent.inputs
    name = f"The input “{tensor.name[:64]}”"
    known = {one.name: one.datatype for one in INPUTS}
    if tensor.name not in known:
        raise BadRequest(
            f"There is no input called “{tensor.name[:64]}”. Send “pictures” (BYTES, encoded "
            "files), “pixels” (UINT8, [number, height, width, 3]) or “views” (the same, squares)."
        )
    if tensor.datatype != known[tensor.name]:
        raise BadRequest(
            f"{name} has the datatype {known[tensor.name]}, not “{tensor.datatype[:16]}”."
        )
    size = tensor.parameters.get("binary_data_size")
    if (size is None) == (tensor.data is None):
        raise BadRequest(f"{name} has neither “data” nor “binary_data_size”, or has both.")
    if size is None and len(binary) or size is not None and size != len(binary):
        raise BadRequest(
            f"{name} announces {size or 0} bytes of binary data, and {len(binary):,} follow."
        )
    if tensor.name != "pictures":
        pictures.check_pixels(tensor.shape, name)
        pixels = (
            tensors.pixels_from_json(tensor.data, tensor.shape, name)
            if size is None
            else tensors.pixels_from_bytes(binary, tensor.shape, name)
        )
        cut = pictures.views_as_sent if tensor.name == "views" else pictures.views_of_pixels
        return cut(pixels, classifier.judge)
    if tensor.shape[1:] not in ([], [1]):
        raise BadRequest(f"{name} has the shape {tensor.shape}; it must be [number].")
    count = tensor.shape[0]
    pictures.check_count(count, name)
    encoded: Sequence[bytes | memoryview] = (
        tensors.texts_from_json(tensor.data, tensor.shape, name)
        if size is None
        else tensors.texts_from_bytes(binary, count, name)
    )
    return pictures.views_of_encoded(encoded, classifier.judge)


def _answer(
    sent: schemas.InferRequest,
    classifier: Classifier,
    made: Sequence[tuple[outputs.Output, Mapping[str, Any], NDArray[Any]]],
) -> Response:
    """Return the answer, each tensor as JSON or as binary data behind it, as it was wanted."""
    all_binary = sent.parameters.get("binary_data_output") is True
    described: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for output, parameters, array in made:
        datatype = output.datatype
        if "classification" in parameters:
            array = _classified(output, array, parameters["classification"], classifier)
            datatype = "BYTES"
        tensor: dict[str, Any] = {
            "name": output.name,
            "datatype": datatype,
            "shape": list(array.shape),
        }
        if parameters.get("binary_data", all_binary) is True:
            parts.append(_bytes(array))
            tensor["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            tensor["data"] = array.ravel().tolist()
        described.append(tensor)
    named = {"model_name": classifier.name, "model_version": served.version_of(classifier)}
    named |= {} if sent.id is None else {"id": sent.id}
    header = json.dumps(named | {"outputs": described}).encode()
    if not parts:
        return Response(header, mimetype="application/json")
    answer = Response(b"".join([header, *parts]), mimetype="application/octet-stream")
    answer.headers[HEADER_LENGTH] = str(len(header))
    return answer


def _classified(
    output: outputs.Output, array: NDArray[Any], most: Any, classifier: Classifier
) -> NDArray[Any]:
    """Return the `most` probable classes of each image as texts, “probability:number:name”."""
    most = schemas.whole(most)
    if output.name != "probabilities" or type(most) is not int or most < 1:
        raise BadRequest("“classification” is a whole number from 1, and for “probabilities” only.")
    order = np.argsort(-array, axis=1, kind="stable")[:, :most]
    texts = [
        [f"{row[number]:f}:{number}:{classifier.classes[number]}" for number in best]
        for row, best in zip(array, order, strict=True)
    ]
    return np.array(texts, dtype=object)


def _bytes(array: NDArray[Any]) -> bytes:
    """Return the values of `array` in the binary form of this protocol."""
    if array.dtype == object:
        encoded = [str(text).encode() for text in array.ravel()]
        return b"".join(struct.pack("<I", len(text)) + text for text in encoded)
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def _json(body: BaseModel) -> Response:
    return Response(body.model_dump_json(), mimetype="application/json")


def _plain(body: Mapping[str, bool]) -> Response:
    return Response(json.dumps(body), mimetype="application/json")
