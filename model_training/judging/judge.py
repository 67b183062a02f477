"""The judge: from a picture to an answer, the same wherever the answer is requested.

    picture -> views -> features of each (the backend) -> their mean -> head -> calibrated
    probabilities -> how far out of distribution -> known or not

Everything but the features is arithmetic on what the judge itself holds, so the site, the API, the
commands, the benchmarks and an exported network cannot differ.  The models that cast doubt on
labels in an audit are something else: an ensemble (`auditing.models_audit`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, ValidationError, model_validator

from model_training.datasets.pictures.views import View, ViewPlan
from model_training.faults import first_fault
from model_training.judging.backend import Backend
from model_training.judging.calibration import Calibrator
from model_training.judging.out_of_distribution import Reference
from model_training.judging.parts.pretrained_head import PretrainedHead
from model_training.judging.parts.verdicts import Part, Threshold, VerdictName

Floats = NDArray[np.float32]

KEPT = 0.95
"""The share of the validation images that the threshold keeps."""
AT_A_TIME = 32
"""The most views in one call of a backend: more of 161 pixels take memory and save no time."""
SMALL_AT_A_TIME = 64
"""The same of 32 pixels: 256 take a tenth more of a processor's time for each."""

Spread = tuple[float, Annotated[float, Field(gt=0)]]


class _Signs(Part):
    distance: Spread
    logit: Spread
    rooted: bool = False


class _Pretrained(Part):
    kinds: Annotated[tuple[str, ...], Field(min_length=2, max_length=100_000)]
    scale: Annotated[float, Field(gt=0)]
    offsets: tuple[float, ...]


class _Header(Part):
    """The parts of a judge that are not arrays, version 2; what is new since 1 may be missing."""

    schema_version: Literal[1, 2] = 2
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=256)]
    plan: ViewPlan
    calibration: Calibrator
    threshold: Threshold
    signs: _Signs | None
    pretrained: _Pretrained | None = None

    @model_validator(mode="after")
    def _classes_differ(self) -> _Header:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("two classes have one name")
        return self


@dataclass(frozen=True)
class Judgement:
    """The verdict on one image, its views taken together.

    Args:
        probabilities: calibrated, float64 (classes,), of an image that is one of the classes.
        novelty: how far out of distribution the image is: by `out_of_distribution`, or, in a judge
            without a reference, 1 minus the largest probability.
        verdict: known, unsure, or a stranger: what the thresholds say of the novelty.
        familiarity: the probability, 0 to 1, that an image of this novelty is one of the classes
            at all, as measured on photos (`verdicts.Familiarity`); None where none were judged.
        strangeness: the place of the novelty on a scale from 0 to 1, on which the verdict is known
            up to a third, and a stranger from two thirds on.
        resembles: for a network that knows more kinds of thing than the classes, the one that the
            image resembles most, such as "teapot"; None where it is one of the classes.
    """

    probabilities: NDArray[np.float64]
    novelty: float
    verdict: VerdictName
    familiarity: float | None = None
    strangeness: float = 0.0
    resembles: str | None = None

    @property
    def known(self) -> bool:
        """Return whether the image may be one of the classes, be it unsure."""
        return self.verdict != "stranger"


class _Opinions(NamedTuple):
    """What both heads say of images: the logits of its own and of both, and what the second adds.

    Without a second head, both are the same, and `novelty` and `resembles` are 0 and None.
    """

    own: Floats
    logits: Floats
    novelty: NDArray[np.float64]
    resembles: Sequence[str | None]


@dataclass(frozen=True)
class Judge:
    """Everything that turns the features of a network into answers.

    Args:
        classes: the meaning of each probability.
        plan: how pictures are cut.
        kernel, bias: of the network's last dense layer: float32 (features, classes), (classes,).
        calibration: that of the probabilities.
        reference: what novelty is measured against; None where it is taken from probabilities.
        threshold: the novelty above which an image is unsure, or called none of the classes.
        pretrained: the head that the network came with, whose opinion counts too; None without.
    """

    classes: tuple[str, ...]
    plan: ViewPlan
    kernel: Floats
    bias: Floats
    calibration: Calibrator
    reference: Reference | None
    threshold: Threshold
    pretrained: PretrainedHead | None = None

    @property
    def width(self) -> int:
        """Return the number of features that the head takes."""
        return len(self.kernel)

    def views(self, image: Image.Image) -> list[View]:
        """Return the views of an RGB `image` that the network is shown."""
        return self.plan.cut(image)

    def judge(self, images: Sequence[Sequence[View]], backend: Backend) -> list[Judgement]:
        """Judge each of `images`, given as its views.

        Views of the same size go through the network together, whichever images they are of.
        """
        return self.judge_features(mean_features(images, backend))

    def judge_features(self, features: Floats) -> list[Judgement]:
        """Judge images by their features, float32 (count, features), averaged over their views."""
        opinions = self._opinions(features)
        probabilities = self.calibration.of_logits(opinions.logits)
        novelty = self._novelty(features, opinions)
        verdicts = [self.threshold.verdict(value) for value in novelty]
        return [
            Judgement(
                row,
                float(value),
                verdict,
                self.threshold.familiarity_at(value),
                self.threshold.strangeness(value),
                None if verdict == "known" else kind,
            )
            for row, value, verdict, kind in zip(
                probabilities, novelty, verdicts, opinions.resembles, strict=True
            )
        ]

    def own_logits(self, features: Floats) -> Floats:
        """Return the logits of the network's own head, float32 (count, classes)."""
        return np.asarray(features @ self.kernel + self.bias)

    def logits(self, features: Floats) -> Floats:
        """Return the logits for `features` of all that is known, float32 (count, classes)."""
        return self._opinions(features).logits

    def probabilities(self, features: Floats) -> NDArray[np.float64]:
        """Return calibrated probabilities for `features`, float64 (count, classes)."""
        return self.calibration.of_logits(self.logits(features))

    def novelty(self, features: Floats) -> NDArray[np.float64]:
        """Return how far out of distribution images with these `features` are, (count,)."""
        return self._novelty(features, self._opinions(features))

    def _opinions(self, features: Floats) -> _Opinions:
        own, head = self.own_logits(features), self.pretrained
        if head is None:
            return _Opinions(own, own, np.zeros(len(own)), [None] * len(own))
        kinds = head.log_probabilities(features)
        shares = head.log_shares(kinds)
        combined, novelty = head.combined(own, shares), head.novelty(shares)
        return _Opinions(own, combined, novelty, head.resembles(kinds))

    def _novelty(self, features: Floats, opinions: _Opinions) -> NDArray[np.float64]:
        if self.reference is None:
            stated = self.calibration.of_logits(opinions.logits)
            return np.asarray(1 - stated.max(axis=1))
        return self.reference.score(features, opinions.own) + opinions.novelty

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that the judge holds as arrays by name, for a file."""
        reference, pretrained = self.reference, self.pretrained
        header = _Header(
            classes=self.classes,
            plan=self.plan,
            calibration=self.calibration,
            threshold=self.threshold,
            signs=_Signs(
                distance=reference.distance, logit=reference.logit, rooted=reference.rooted
            )
            if reference
            else None,
            pretrained=_Pretrained(
                kinds=pretrained.kinds, scale=pretrained.scale, offsets=tuple(pretrained.offsets)
            )
            if pretrained
            else None,
        )
        arrays: dict[str, NDArray[Any]] = {
            "header": np.array(header.model_dump_json()),
            "kernel": self.kernel,
            "bias": self.bias,
        }
        if reference is not None:
            arrays |= {
                "axes": reference.axes,
                "remembered": reference.remembered,
                "remembered_labels": reference.remembered_labels,
            }
        if pretrained is not None:
            arrays |= {
                "pretrained_kernel": pretrained.kernel,
                "pretrained_bias": pretrained.bias,
                "pretrained_classes": pretrained.classes,
            }
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Judge:
        """Return the judge that `arrays` were made from.

        Raises:
            ValueError: a part is missing, of another type or shape, or out of its range.
        """
        try:
            header = _Header.model_validate_json(str(arrays["header"]))
        except KeyError as error:
            raise ValueError("it has no header") from error
        except ValidationError as error:
            raise ValueError(first_fault(error, "its header")) from error
        count = len(header.classes)
        kernel, bias = (
            _array(arrays, "kernel", np.float32, 2),
            _array(arrays, "bias", np.float32, 1),
        )
        if kernel.shape[1:] != (count,) or bias.shape != (count,) or not len(kernel):
            raise ValueError("its head is not one of as many classes")
        return cls(
            header.classes,
            header.plan,
            kernel,
            bias,
            header.calibration,
            _reference(arrays, header.signs, len(kernel), count) if header.signs else None,
            header.threshold,
            _pretrained(arrays, header.pretrained, len(kernel), count)
            if header.pretrained
            else None,
        )


def mean_features(images: Sequence[Sequence[View]], backend: Backend) -> Floats:
    """Return the mean of the features of each image's views, float32 (images, features)."""
    features = np.empty((len(images), backend.width), np.float32)
    for side in {len(views[0].pixels) for views in images}:
        places = [place for place, views in enumerate(images) if len(views[0].pixels) == side]
        pixels = np.stack([view.pixels for place in places for view in images[place]])
        most = max(AT_A_TIME, SMALL_AT_A_TIME * 32**2 // side**2)
        found = np.concatenate(
            [
                backend.features(pixels[start : start + most])
                for start in range(0, len(pixels), most)
            ]
        )
        if len(pixels) == len(places):  # One view of each, as of small pictures.
            features[places] = found
            continue
        ends = np.cumsum([len(images[place]) for place in places])
        for place, part in zip(places, np.split(found, ends[:-1]), strict=True):
            features[place] = part.mean(axis=0)
    return features


def _reference(
    arrays: Mapping[str, NDArray[Any]], signs: _Signs, features: int, classes: int
) -> Reference:
    axes = _array(arrays, "axes", np.float16, 2)
    remembered = _array(arrays, "remembered", np.int8, 2)
    labels = _array(arrays, "remembered_labels", np.uint8, 1)
    if len(axes) != features or remembered.shape != (len(labels), axes.shape[1]) or not len(labels):
        raise ValueError("the parts of its reference do not fit each other")
    if int(labels.max()) >= classes:
        raise ValueError("it remembers an image of no class")
    return Reference(axes, remembered, labels, signs.distance, signs.logit, signs.rooted)


def _pretrained(
    arrays: Mapping[str, NDArray[Any]], said: _Pretrained, features: int, classes: int
) -> PretrainedHead:
    kernel = _array(arrays, "pretrained_kernel", np.float16, 2)
    bias = _array(arrays, "pretrained_bias", np.float32, 1)
    belongs = _array(arrays, "pretrained_classes", np.int16, 1)
    count = len(said.kinds)
    if kernel.shape != (features, count) or len(bias) != count or len(belongs) != count:
        raise ValueError("the parts of its pretrained head do not fit each other")
    known = np.unique(belongs[belongs >= 0])
    if len(said.offsets) != classes or not np.array_equal(known, np.arange(classes)):
        raise ValueError("its pretrained head is not one for its classes")
    return PretrainedHead(
        kernel, bias, said.kinds, belongs, said.scale, np.array(said.offsets, np.float64)
    )


def _array(
    arrays: Mapping[str, NDArray[Any]], name: str, kind: type[np.generic], axes: int
) -> NDArray[Any]:
    if name not in arrays:
        raise ValueError(f"it has no {name}")
    array = arrays[name]
    if array.dtype != kind or array.ndim != axes:
        raise ValueError(f"{name} is {array.dtype} with {array.ndim} axes")
    if np.issubdtype(kind, np.floating) and not np.isfinite(array).all():
        raise ValueError(f"{name} holds what is no number")
    return array
