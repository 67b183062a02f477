"""Answers of the networks about images, in the form that pages and programs are given."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.pictures import opener as photos
from model_training.datasets.pictures.views import View
from model_training.judging.judge import Judgement
from model_training.judging.parts.verdicts import Threshold, VerdictName, VerdictRates
from webapp.answering import data_uris
from webapp.answering.explaining import Explained, NearImage
from webapp.data_sets import ServedDataSet
from webapp.errors import Refusal
from webapp.library import Library
from webapp.serving.classifier import Classifier

SHOWN_SIDE = 640  # pixels; the photo's long side on the page
SHOWN_SIDE_AMONG_MANY = 320
MOST_EXAMPLES = 20
SECONDS_TO_LOAD = 5
"""In which a network that is being loaded may answer: when to ask again."""

Pixels = NDArray[np.uint8]


class NoModel(Refusal):
    """A request for an answer while no network is loaded."""

    status = 503
    code = "no-model"


class ModelLoading(NoModel):
    """A request for a network that is being loaded just now."""

    code = "model-loading"
    retry_after = SECONDS_TO_LOAD


class UnknownModel(Refusal):
    """A request for a network that is not here."""

    code = "unknown-model"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A model's verdict on one image.  `shares` are calibrated probabilities, the largest first.

    `novelty` is higher the less the image resembles what the network learned from; `verdict`,
    `familiarity`, `strangeness` and `resembles` are what follows from it (see `Judgement`).
    """

    model: str
    model_title: str
    shares: list[tuple[str, float]]
    novelty: float
    verdict: VerdictName
    familiarity: float | None = None
    strangeness: float = 0.0
    resembles: str | None = None

    @property
    def known(self) -> bool:
        """Return whether the image may be one of the classes, be it unsure."""
        return self.verdict != "stranger"

    @property
    def label(self) -> str:
        """Return the most probable class."""
        return self.shares[0][0]

    @property
    def share(self) -> float:
        """Return the probability of the most probable class, of an image that is of a class."""
        return self.shares[0][1]

    @property
    def stated(self) -> float:
        """Return the probability of the most probable class, of any image: less near a threshold.

        Where photos were judged, it is times the probability that the image is of a class at all.
        """
        return self.stated_shares[0][1]

    @cached_property
    def stated_shares(self) -> list[tuple[str, float]]:
        """Return every class with its stated probability; with `something_else` they make 1."""
        familiarity = 1.0 if self.familiarity is None else self.familiarity
        return [(name, share * familiarity) for name, share in self.shares]

    @property
    def something_else(self) -> float | None:
        """Return the probability that the image is of no class; None where nobody measured it."""
        return None if self.familiarity is None else 1 - self.familiarity


@dataclass(frozen=True)
class Opinion:
    """What a model says of an image, in short: `stated` is the probability of `label`."""

    model: str
    label: str
    verdict: VerdictName
    stated: float
    milliseconds: float


@dataclass(frozen=True, kw_only=True)
class Answer(Verdict):
    """A verdict with all else that a page shows about the image.

    `threshold` is the novelty above which it is not known, `rates` how often each verdict is right,
    and `limits` are the thresholds with what they were set on.
    `views` are what the network was given.
    `photo_uri` is a `data:` address: the photo is shown without being stored.
    `milliseconds` is the network's time for the whole batch that this image was in.
    `opinions` are those of other models that were asked about the same image.
    `heat` is a map of where the network looked for its label, `why` one for another class, `finer`
    the name of a method that makes a better map in more time, and `near` are the training images
    that are most like it; `no_maps` says why there is no map.
    `true_class` is known for test images only, and `ours` says that the photo is an example of the
    site's own.
    """

    threshold: float
    rates: VerdictRates | None = None
    limits: Threshold
    views: list[View]
    milliseconds: float
    opinions: tuple[Opinion, ...] = ()
    heat: Explained | None = None
    why: Explained | None = None
    finer: str | None = None
    near: tuple[NearImage, ...] = ()
    no_maps: str | None = None
    photo_uri: str | None = None
    photo_size: tuple[int, int] | None = None
    example: int | None = None
    ours: bool = False
    true_class: str | None = None

    @property
    def side(self) -> int:
        """Return the side of the squares that the network was given, in pixels."""
        return len(self.views[0].pixels)

    @property
    def opinion(self) -> Opinion:
        """Return this answer in short."""
        return Opinion(self.model, self.label, self.verdict, self.stated, self.milliseconds)

    @property
    def is_tiny(self) -> bool:
        """Return whether the photo is so small that its pixels are shown as squares."""
        return self.photo_size is not None and max(self.photo_size) <= data_uris.TINY

    @cached_property
    def seen(self) -> list[tuple[str, str]]:
        """Return a caption for each view, and the view as a `data:` address, in its own size."""
        return [(view.shows, data_uris.cut_as_data_uri(view.pixels)) for view in self.views]


@dataclass(frozen=True)
class Prepared:
    """A photo made ready: what the network is given, and what the page shows of it.

    A few hundred kilobytes where the photo had megabytes, so that many can wait for one batch.
    """

    views: list[View]
    photo_uri: str | None
    photo_size: tuple[int, int]


def why_no_answer(library: Library) -> str:
    """Return the sentence for a visitor when `library` has no network."""
    if library.loading:
        return "The models are being loaded. Please try again in a moment."
    if library.problems:
        named = "; ".join(f"{name}: {problem}" for name, problem in library.problems.items())
        return (
            f"No model could be loaded, so photos cannot be classified now ({named}). The site’s "
            "operator can train one again with “flask train NAME --force”, then “flask models "
            "reload”."
        )
    there_is = (
        "Only results of models are here, and no network that could classify a photo."
        if library.results
        else "There is no model here yet, so photos cannot be classified."
    )
    return (
        f"{there_is} The site’s operator can train one with “flask train custom-cnn”, then “flask "
        "models reload”."
    )


def choose_classifier(library: Library, name: str | None) -> Classifier:
    """Return the network called `name`; without a name, the default one.

    Raises:
        NoModel: there is none at all.
        ModelLoading: it does not answer yet.
        UnknownModel: there is none of that name, or only its results.
    """
    if name in library.loading:
        raise ModelLoading(f"The model “{name}” is being loaded. Please try again in a moment.")
    if library.default_model is None:
        if library.loading:
            raise ModelLoading(why_no_answer(library))
        raise NoModel(why_no_answer(library))
    name = name or library.default_model
    if name not in library.classifiers:
        choices = ", ".join(sorted(library.classifiers))
        if name in library.problems:
            raise NoModel(
                f"The model “{name}” could not be loaded: {library.problems[name]}. Available: "
                f"{choices}."
            )
        if name in library.results:
            raise UnknownModel(
                f"Of the model “{name}” only the results are here. Available: {choices}."
            )
        raise UnknownModel(f"There is no model called “{name[:64]}” here. Available: {choices}.")
    return library.classifiers[name]


def prepare(
    photo: photos.Photo, classifier: Classifier, *, shown_side: int | None = SHOWN_SIDE
) -> Prepared:
    """Cut `photo` for `classifier`.

    Args:
        shown_side: the long side that the page shows, in pixels; None for answers without a page.
    """
    shown = None if shown_side is None else data_uris.as_data_uri(photo.image, long_side=shown_side)
    return Prepared(classifier.judge.views(photo.image), shown, photo.original_size)


def answer_photos(prepared: Sequence[Prepared], classifier: Classifier) -> list[Answer]:
    """Ask `classifier` about all of `prepared` at once; the answers are in the same order."""
    if not prepared:
        return []
    asked = ask(classifier, [one.views for one in prepared])
    return [
        make_answer(
            classifier, one.views, *judged, photo_uri=one.photo_uri, photo_size=one.photo_size
        )
        for one, judged in zip(prepared, asked, strict=True)
    ]


def examples(data_set: ServedDataSet | None) -> list[tuple[int, str]]:
    """Return index and class of the first test image of each class: not picked for being easy.

    Of many classes, some are taken, spread evenly over all.
    """
    if data_set is None or data_set.test is None:
        return []
    labels, first = np.unique(data_set.test.labels, return_index=True)
    shown = np.unique(np.linspace(0, len(labels) - 1, MOST_EXAMPLES).round().astype(int))
    return [(int(first[place]), data_set.classes[labels[place]]) for place in shown]


def ask(
    classifier: Classifier, images: Sequence[Sequence[View]]
) -> Iterator[tuple[Judgement, float]]:
    """Return the judgement of each image, given as its views, and the milliseconds of them all."""
    started = time.perf_counter()
    judgements = classifier.judge_views(images)
    milliseconds = (time.perf_counter() - started) * 1000
    return ((judgement, milliseconds) for judgement in judgements)


def make_answer(
    classifier: Classifier,
    views: list[View],
    judgement: Judgement,
    milliseconds: float,
    **more: Any,
) -> Answer:
    """Return the answer that `judgement` is; `more` are other fields of it."""
    probabilities = judgement.probabilities
    order = np.argsort(-probabilities, kind="stable")
    return Answer(
        model=classifier.name,
        model_title=classifier.bundle.card.title,
        shares=[(classifier.classes[number], float(probabilities[number])) for number in order],
        novelty=judgement.novelty,
        threshold=classifier.judge.threshold.novelty,
        rates=classifier.judge.threshold.rates,
        limits=classifier.judge.threshold,
        verdict=judgement.verdict,
        familiarity=judgement.familiarity,
        strangeness=judgement.strangeness,
        resembles=judgement.resembles,
        views=views,
        milliseconds=milliseconds,
        **more,
    )
