"""The JSON of the Open Inference Protocol: these models check it, and describe it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

FLAGS = ("binary_data", "binary_data_output")
MOST_NAMED = 64
"""The most parameters or outputs: every one that is wrong would become an error of its own."""
Scalar = bool | int | float | str


def _few(value: Any) -> Any:
    # Before what is in it is looked at: pydantic gathers the errors of millions, then counts.
    if isinstance(value, (list, dict)) and len(value) > MOST_NAMED:
        raise PydanticCustomError("many", f"there are at most {MOST_NAMED} of these")
    return value


def _with_flags(parameters: dict[str, Scalar]) -> dict[str, Scalar]:
    for name in FLAGS:
        if not isinstance(parameters.get(name, True), bool):
            raise PydanticCustomError("flag", f"“{name}” is true or false, and nothing else")
    return parameters


Few = (Field(max_length=MOST_NAMED), BeforeValidator(_few))
Parameters = Annotated[dict[str, Scalar], AfterValidator(_with_flags), *Few]


def whole(value: Any) -> Any:
    """Return 3.0 as 3: JSON does not tell them apart."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Length = Annotated[int, Field(ge=0, le=10**18), BeforeValidator(whole)]


class _Sent(BaseModel):
    model_config = ConfigDict(strict=True)


class InferInput(_Sent):
    """A tensor that is sent."""

    name: str
    datatype: str
    shape: Annotated[list[Length], Field(min_length=1, max_length=8)]
    data: Any = Field(
        None, description="Values, flat or nested; of BYTES, base64. Or binary data follows"
    )
    parameters: Parameters = {}


class RequestedOutput(_Sent):
    """A tensor that is wanted."""

    name: str
    parameters: Parameters = {}


class InferRequest(_Sent):
    """Pictures to be answered."""

    id: str | None = None
    parameters: Parameters = {}
    inputs: Annotated[list[InferInput], Field(min_length=1, max_length=16)]
    outputs: Annotated[list[RequestedOutput], Field(min_length=1), *Few] | None = Field(
        None, description="Which are wanted; without it, all"
    )


class InferOutput(BaseModel):
    """A tensor of an answer."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any] | None = Field(None, description="Absent where binary data follows")
    parameters: Parameters | None = None


class InferResponse(BaseModel):
    """The answer about the pictures of a request."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[InferOutput]


class TensorMetadata(BaseModel):
    """A tensor that a model takes or gives; -1 stands for any length."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters


class ModelParameters(BaseModel):
    """What a client needs beside the tensors."""

    title: str
    classes: list[str] = Field(description="The meaning of each probability")
    threshold: float = Field(description="The highest novelty of a picture that the model knows")
    model_sha256: str = Field(description="Of the bundle's network, as its card has it")


class ModelMetadata(BaseModel):
    """A model: `inputs` are forms of one thing, of which a request has one."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: ModelParameters


class ServerMetadata(BaseModel):
    """This server."""

    name: str
    version: str
    extensions: list[str]


class Models(BaseModel):
    """The names of the models that can be asked."""

    models: list[str]


class Readiness(BaseModel):
    """Whether a model can be asked."""

    name: str
    ready: bool


class ProtocolError(BaseModel):
    """An error of either protocol."""

    error: str
