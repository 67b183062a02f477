"""The JSON that `/api/classify` answers with: these models make it, and describe it.

An error has one shape on the whole site, so its model stands where errors are answered.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from model_training.judging.parts.verdicts import VerdictName
from webapp.answering.answers import Verdict
from webapp.api.inference import schemas
from webapp.errors import Error

Probability = Annotated[float, Field(ge=0, le=1)]


class Answer(BaseModel):
    """The answer of a model to one photo."""

    model_config = ConfigDict(frozen=True)

    model: str = Field(description="The name of the model that answered")
    label: str = Field(description="The most probable class")
    known: bool = Field(
        description="False for a photo that resembles nothing the model learned from, whatever "
        "its label says: its novelty is above the threshold"
    )
    verdict: VerdictName = Field(
        description="known; unsure: perhaps of its label's class, but unlike what the model learned"
        " from; or stranger: none of the classes"
    )
    familiarity: Probability | None = Field(
        description="The probability that a photo of this novelty is of any of the classes, as "
        "measured on photos; null if the model was not calibrated on photos"
    )
    resembles: str | None = Field(
        description="What else the photo resembles most, if the model knows more kinds of thing "
        "than its classes"
    )
    novelty: float = Field(
        description="How unlike the training images the photo is: the higher, the less familiar"
    )
    threshold: float = Field(
        description="The highest novelty of a photo that the model knows; each model has its own"
    )
    probabilities: dict[str, Probability] = Field(
        description="The probability of each class that the model knows, most probable first. "
        "Classes differ from model to model"
    )

    @classmethod
    def of(cls, verdict: Verdict, threshold: float) -> Answer:
        """Return `verdict` as programs are told it: by `/api/classify`, and by `flask predict`.

        Args:
            threshold: the novelty above which the model does not know a photo.
        """
        return cls(
            model=verdict.model,
            label=verdict.label,
            known=verdict.known,
            verdict=verdict.verdict,
            familiarity=verdict.familiarity,
            resembles=verdict.resembles,
            novelty=verdict.novelty,
            threshold=threshold,
            probabilities=dict(verdict.shares),
        )


class Answers(BaseModel):
    """The answers to several photos, in their order; or what is wrong with a photo."""

    model_config = ConfigDict(frozen=True)

    answers: list[Answer | Error]


def component_schemas() -> dict[str, Any]:
    """Return the JSON schema of every model that is taken or answered with, by its name."""
    answered: list[type[BaseModel]] = [
        Answer,
        Answers,
        Error,
        schemas.InferResponse,
        schemas.ModelMetadata,
        schemas.Models,
        schemas.ProtocolError,
        schemas.Readiness,
        schemas.ServerMetadata,
    ]
    _, schema = models_json_schema(
        [(schemas.InferRequest, "validation"), *((one, "serialization") for one in answered)],
        ref_template="#/components/schemas/{model}",
    )
    found: dict[str, Any] = schema["$defs"]
    return found
