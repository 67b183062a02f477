"""What an export says of itself: the same JSON in every format.

Each format keeps it where its own tools look: ONNX in `metadata_props`, LiteRT in the model's
metadata, a SavedModel in a file beside the network.  `docs/using-an-export.md` shows how it turns
probabilities into the site's answer.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model_training.bundles.bundle import MODEL, Bundle
from model_training.datasets.pictures.views import ViewPlan
from model_training.faults import first_fault
from model_training.judging.calibration import Steps, Temperature
from model_training.judging.judge import Judge
from model_training.judging.parts.verdicts import Threshold
from model_training.naming import Sha256, Slug

KEY = "ten_classes"
"""The name under which a format keeps it."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LearnedFrom(_Part):
    """The data set that the network learned from."""

    title: str
    digest: Sha256


class ExportMetadata(_Part):
    """The facts that turn an export's outputs into the site's answer, version 1.

    Args:
        bundle: the name of the model.
        model_sha256: of the bundle's `model.keras`, from which it was made.
        classes: the meaning of each probability, in their order.
        temperature: by which the mean of the views' logarithms of probabilities is divided before
            a last softmax (C. Guo et al., 2017).
        steps: largest probability after that, and what it is replaced by, the others scaled to fit;
            between two steps it is interpolated (isotonic regression).
        second_head: whether the judge asks a second head too, which is not in the export: what it
            gives is the site's answer only through `judge.npz` then.
        plan: the views of a picture that the network is to be shown.
        interpolation: by which the network enlarges a picture of another size than it works at, as
            Keras calls it; None for a network that takes one size only.  Where the export takes
            one size only, a picture that the plan shows as it is, smaller, must be enlarged so.
        threshold: the novelty above which a picture is none of the classes.
        data_set: what the network learned from.
    """

    schema_version: Literal[1] = 1
    bundle: Slug
    model_sha256: Sha256
    data_set: LearnedFrom
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=256)]
    temperature: Temperature
    steps: Steps = ()
    second_head: bool = False
    plan: ViewPlan
    interpolation: str | None
    threshold: Threshold

    @classmethod
    def read(cls, text: str) -> ExportMetadata:
        """Return what the JSON `text` says.

        Raises:
            ValueError: it is not valid, or of another version.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ValueError(first_fault(error, "the JSON")) from error


def metadata_of(bundle: Bundle, judge: Judge, interpolation: str | None) -> ExportMetadata:
    """Return what an export of `bundle` says of itself.

    Args:
        interpolation: by which its network resizes, if it does.
    """
    facts = bundle.card.training
    return ExportMetadata(
        bundle=bundle.name,
        model_sha256=bundle.card.files[MODEL],
        data_set=LearnedFrom(title=facts.data_set, digest=facts.data_digest),
        classes=judge.classes,
        temperature=judge.calibration.temperature,
        steps=judge.calibration.steps,
        second_head=judge.pretrained is not None,
        plan=judge.plan,
        interpolation=interpolation,
        threshold=judge.threshold,
    )
