"""What a model answers with, as tensors by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.pictures.views import View
from model_training.judging.judge import Judgement
from webapp.limits.admission import turn
from webapp.serving.classifier import Classifier

FEATURES = "features"


@dataclass(frozen=True)
class Answers:
    """The judgements of a batch, with the features that they were made from, (count, width)."""

    classes: tuple[str, ...]
    features: NDArray[np.float32]
    judgements: list[Judgement]


@dataclass(frozen=True)
class Output:
    """One tensor of an answer.

    Args:
        datatype: as the Open Inference Protocol names it.
        width: the second axis of its shape, or None where there is one value an image.
        take: makes it from the answers.
    """

    name: str
    datatype: str
    width: int | None
    meaning: str
    take: Callable[[Answers], NDArray[Any]]

    @property
    def shape(self) -> list[int]:
        """Return its shape, with -1 for the number of images."""
        return [-1] if self.width is None else [-1, self.width]


def outputs_of(classifier: Classifier) -> dict[str, Output]:
    """Return every output of a model by its name."""
    judge = classifier.judge
    outputs = [
        Output(
            "probabilities",
            "FP32",
            len(judge.classes),
            "The calibrated probability of each class, in the order of the model's classes",
            lambda found: np.stack([one.probabilities for one in found.judgements]).astype("f4"),
        ),
        Output(
            "label",
            "BYTES",
            None,
            "The most probable class",
            lambda found: _texts(
                found.classes[int(one.probabilities.argmax())] for one in found.judgements
            ),
        ),
        Output(
            "known",
            "BOOL",
            None,
            "False for a picture that resembles nothing the model learned from",
            lambda found: np.array([one.known for one in found.judgements], np.bool_),
        ),
        Output(
            "verdict",
            "BYTES",
            None,
            "known, unsure, or stranger",
            lambda found: _texts(one.verdict for one in found.judgements),
        ),
        Output(
            "novelty",
            "FP32",
            None,
            "Higher the less the picture resembles what the model learned from",
            lambda found: np.array([one.novelty for one in found.judgements], np.float32),
        ),
        Output(
            "resembles",
            "BYTES",
            None,
            "What else the picture resembles most; empty where the model does not say",
            lambda found: _texts(one.resembles or "" for one in found.judgements),
        ),
        Output(
            FEATURES,
            "FP32",
            judge.width,
            "What the last layer is given, the mean over the views",
            lambda found: found.features,
        ),
    ]
    if judge.threshold.familiarity is not None:
        outputs.append(
            Output(
                "familiarity",
                "FP32",
                None,
                "The probability that a picture of this novelty is of any of the classes",
                lambda found: np.array([one.familiarity for one in found.judgements], np.float32),
            )
        )
    return {one.name: one for one in outputs}


def answer(
    classifier: Classifier, images: Sequence[Sequence[View]], wanted: Sequence[Output]
) -> Answers:
    """Ask `classifier` about `images`, each given as its views.

    Where only the features are wanted, nothing is judged: another site's judge does that.
    """
    only = all(output.name == FEATURES for output in wanted)
    with turn():
        features = classifier.features(images)
        judgements = [] if only else classifier.judge_features(features)
    return Answers(classifier.classes, features, judgements)


def _texts(texts: Any) -> NDArray[Any]:
    return np.array(list(texts), dtype=object)
