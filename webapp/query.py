"""Read and validate the query parameters of a URL.

A page names its parameters as a pydantic dataclass, which `read` makes of the address.

Every reader takes nothing, or an empty field of a form, for its default, and answers the request
with 400 where the value has no meaning and with 404 where there is no such thing; either says what
there is, and the page offers the same address without that value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

from flask import request
from pydantic import (
    AfterValidator,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError
from werkzeug.exceptions import BadRequest, NotFound

if TYPE_CHECKING:
    from webapp.data_sets import ServedDataSet
    from webapp.library import Library

LARGEST_SEED = 999_999
"""Of what a visitor draws by chance: any bound will do, and a message can name it."""


T = TypeVar("T")


@dataclass(frozen=True)
class Choices:
    """The names of one kind that are here just now.

    Args:
        elsewhere: of others that one may well ask for, a sentence that says why they are not here.
    """

    among: Collection[str]
    elsewhere: Mapping[str, str] = field(default_factory=dict)


def one_of(what: str, among: Collection[str] | None = None) -> AfterValidator:
    """Return a validator that accepts only names of things that exist.

    Args:
        what: what the parameter names, for the message: "class".
        among: all there ever is; without it, the `Choices` that `read` is given for `what`.
    """

    def check(text: str, info: ValidationInfo) -> str:
        here = Choices(among) if among is not None else (info.context or {}).get(what)
        if here is not None and text not in here.among:
            there = ", ".join(here.among) or "none yet"
            why = here.elsewhere.get(text, f"There is no {what} called “{text}” here.")
            raise refusal(404, f"{why} Available: {there}.")
        return text

    return AfterValidator(check)


def whole(name: str, low: int, high: int) -> WrapValidator:
    """Return a validator for the number `name`, from `low` to `high`."""

    def check(text: Any, parse: ValidatorFunctionWrapHandler) -> int:
        try:
            number: int = parse(text)
        except ValidationError as error:
            raise refusal(
                400, f"“{name}” takes a whole number from {low:,} to {high:,}."
            ) from error
        if not low <= number <= high:
            raise refusal(404, f"“{name}” goes from {low:,} to {high:,}; there is no {number:,}.")
        return number

    return WrapValidator(check)


def _percent(text: Any, parse: ValidatorFunctionWrapHandler, info: ValidationInfo) -> float:
    try:
        return float(parse(text)) / 100
    except ValidationError as error:
        raise refusal(400, f"“{info.field_name}” takes a percentage from 0 to 100.") from error


Number = Annotated[int, Field(gt=-(10**19), lt=10**19)]
"""Whoever sends more digits than that means no number of ours."""
Percentage = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False), WrapValidator(_percent)]
"""In the address in percent, here a share from 0 to 1."""
Direction = Annotated[str, one_of("direction", ("up", "down"))]


def given() -> dict[str, Any]:
    """Return the parameters of the address that are not empty."""
    return {name: text for name, text in request.args.items() if text}


def read(
    kind: type[T],
    parameters: Mapping[str, Any] | None = None,
    here: Mapping[str, Choices] | None = None,
) -> T:
    """Return the parameters that `kind` names.

    Args:
        parameters: where they are not simply those of the address.
        here: of each kind of thing that one can ask for, what there is.
    """
    found: T = _validate(kind, given() if parameters is None else parameters, here)
    return found


def whole_number(name: str, low: int, high: int, default: int | None = None) -> int:
    """Return the query parameter `name` as a number from `low` to `high`."""
    text = request.args.get(name, "")
    if not text and default is not None:
        return default
    number: int = _validate(Annotated[Number, whole(name, low, high)], text, None, name)
    return number


def refusal(status: int, sentence: str, *parameters: str) -> PydanticCustomError:
    """Return the error that a validator raises.

    Args:
        parameters: the wrong ones, where it is not just the one that is validated.
    """
    about = {"status": status, "sentence": sentence, "parameters": parameters}
    return PydanticCustomError("refusal", "{sentence}", about)


def _validate(kind: Any, value: Any, here: Mapping[str, Choices] | None, *names: str) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value, context=here)
    except ValidationError as error:
        faults = [(fault["ctx"], fault["loc"]) for fault in error.errors()]
        wrong = [name for ctx, loc in faults for name in (ctx["parameters"] or loc or names)]
        sentences = dict.fromkeys(ctx["sentence"] for ctx, _ in faults)
        refuse(faults[0][0]["status"], " ".join(sentences), *map(str, wrong))


def data_set(library: Library, *models: str) -> ServedDataSet | None:
    """Return the data set that the address asks for; None where there is none at all.

    It is named by `data`, or else is that of a model; without either it is the default model's.

    Args:
        models: the parameters that name models.
    """
    called = request.args.get("data", "")
    if called:
        found = library.find_data_set(called)
        if found is None:
            there = ", ".join(f"{one.name} ({one.title})" for one in library.data_sets.values())
            refuse(
                404,
                f"There is no data set called “{called}” here. Available: {there or 'none yet'}.",
                "data",
            )
        return found
    for name in models:
        result = library.results.get(request.args.get(name, ""))
        if result is not None:
            return library.data_set_of(result.bundle)
    return library.default_data_set


def refuse(status: int, message: str, *parameters: str) -> NoReturn:
    """Answer the request with an error whose page offers the same address without `parameters`."""
    error = NotFound(message) if status == 404 else BadRequest(message)
    error.parameters = parameters  # type: ignore[union-attr]
    raise error
