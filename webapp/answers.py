"""What the networks say about images, in the form in which pages and programs are told."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_training.data import CLASSES, ImageSet
from webapp import photos
from webapp.classifiers import Classifier
from webapp.errors import Refusal
from webapp.library import Library

SHOWN_SIDE = 640  # pixels; the photo's long side on the page
SHOWN_SIDE_AMONG_MANY = 320

Pixels = NDArray[np.uint8]
Probabilities = NDArray[np.floating[Any]]


class NoModel(Refusal):
    """No network is loaded, so nothing can be answered."""

    status = 503
    code = "no-model"


class UnknownModel(Refusal):
    """A network was asked that is not here."""

    code = "unknown-model"


@dataclass(frozen=True)
class Answer:
    """One image's answer.  `shares` are calibrated probabilities, the largest first.

    `novelty` is higher the less the image resembles what the network learned from, and `known` is
    false where that is too much for an answer to mean anything (see `novelty_of`).
    `cut` is what the network was given, uint8 RGB (side, side, 3).
    `photo_uri` is a `data:` address: the photo is shown without being stored.
    `milliseconds` is the network's time for the whole batch that this image was in.
    `true_class` is known for test images only.
    """

    model: str
    model_title: str
    shares: list[tuple[str, float]]
    novelty: float
    known: bool
    cut: Pixels
    milliseconds: float
    photo_uri: str | None = None
    photo_size: tuple[int, int] | None = None
    example: int | None = None
    true_class: str | None = None

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.shares[0][0]

    @property
    def share(self) -> float:
        """The probability of the most probable class."""
        return self.shares[0][1]

    @property
    def cut_size(self) -> int:
        """The side of the square that the network was given, in pixels."""
        return len(self.cut)

    @cached_property
    def cut_uri(self) -> str:
        """That square as a `data:` address, pixel for pixel."""
        return photos.cut_as_data_uri(self.cut)


@dataclass(frozen=True)
class Prepared:
    """A photo made ready: what the network is given, and what the page shows of it.

    A few hundred kilobytes where the photo had megabytes, so that many can wait for one batch.
    """

    cut: Pixels
    photo_uri: str | None
    photo_size: tuple[int, int]


def why_no_answer(library: Library) -> str:
    """What a visitor is told where `library` has no network."""
    if library.problems:
        named = "; ".join(f"{name}: {problem}" for name, problem in library.problems.items())
        return f"No model could be loaded, so no photo can be answered now ({named})."
    return (
        "No model is here yet, so no photo can be answered. Whoever runs this site trains one "
        "with `flask train custom-cnn` and restarts it."
    )


def choose_classifier(library: Library, name: str | None) -> Classifier:
    """The network called `name`; where nothing is asked, the one that answers by default.

    Raises:
        NoModel: there is none at all.
        UnknownModel: there is none of that name.
    """
    if library.default_model is None:
        raise NoModel(why_no_answer(library))
    name = name or library.default_model
    if name not in library.classifiers:
        choices = ", ".join(sorted(library.classifiers))
        raise UnknownModel(f"There is no model called “{name[:64]}” here. There is: {choices}.")
    return library.classifiers[name]


def prepare(
    photo: photos.Photo, classifier: Classifier, *, shown_side: int | None = SHOWN_SIDE
) -> Prepared:
    """Cut `photo` for `classifier`.

    Args:
        shown_side: the long side that the page shows, in pixels; None for answers without a page.
    """
    shown = None if shown_side is None else photos.as_data_uri(photo.image, long_side=shown_side)
    return Prepared(_cut(photo.image, classifier), shown, photo.original_size)


def answer_photos(prepared: Sequence[Prepared], classifier: Classifier) -> list[Answer]:
    """Ask `classifier` about all of `prepared` at once; the answers are in the same order."""
    asked = _ask(classifier, [one.cut for one in prepared])
    return [
        _answer(classifier, one.cut, *said, photo_uri=one.photo_uri, photo_size=one.photo_size)
        for one, said in zip(prepared, asked, strict=True)
    ]


def answer_test_image(test: ImageSet, index: int, classifier: Classifier) -> Answer:
    """Ask `classifier` about test image `index`."""
    cut = _cut(Image.fromarray(test.images[index]), classifier)
    (said,) = _ask(classifier, [cut])
    return _answer(classifier, cut, *said, example=index, true_class=CLASSES[test.labels[index]])


def examples(test: ImageSet | None) -> list[tuple[int, str]]:
    """Index and class of the first test image of each class: not picked for being easy."""
    if test is None:
        return []
    return [
        (int(np.flatnonzero(test.labels == number)[0]), name) for number, name in enumerate(CLASSES)
    ]


def novelty_of(
    classifier: Classifier, pixels: Pixels, probabilities: Probabilities
) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_]]:
    """How strange `pixels` are to `classifier`, and whether it knows such things at all.

    For now the novelty of an image is the belief that its most probable class does not have, from
    0 to 0.9: a network that is undecided may be looking at something it never learned.  Whatever
    is above the threshold in its card is a stranger; a card without one calls nothing strange.

    Args:
        pixels: uint8 RGB (count, size, size, 3), as the network was given them.
        probabilities: calibrated, (count, classes).

    Returns:
        Novelty, (count,), and whether each image is known, bool (count,).
    """
    novelty = 1 - probabilities.max(axis=1)
    threshold = classifier.bundle.card.rejection_threshold
    known = np.ones(len(pixels), bool) if threshold is None else novelty <= threshold
    return novelty, known


def _cut(image: Image.Image, classifier: Classifier) -> Pixels:
    # Whatever enlarges small pictures while a network learns should do so when it serves.
    return photos.cut(image, classifier.input_size, enlarge=not classifier.resizes)


_Said = tuple[Probabilities, float, bool, float]
"""Of one image: probabilities (classes,), novelty, known, milliseconds of its batch."""


def _ask(classifier: Classifier, cuts: Sequence[Pixels]) -> list[_Said]:
    """Ask about `cuts`: one call for all that are of one size, which nearly always is all."""
    said: dict[int, _Said] = {}
    for size in {len(cut) for cut in cuts}:
        places = [place for place, cut in enumerate(cuts) if len(cut) == size]
        pixels = np.stack([cuts[place] for place in places])
        started = time.perf_counter()
        probabilities = classifier.calibrated(pixels)
        milliseconds = (time.perf_counter() - started) * 1000
        novelty, known = novelty_of(classifier, pixels, probabilities)
        for row, place in enumerate(places):
            said[place] = (probabilities[row], float(novelty[row]), bool(known[row]), milliseconds)
    return [said[place] for place in range(len(cuts))]


def _answer(
    classifier: Classifier,
    cut: Pixels,
    probabilities: Probabilities,
    novelty: float,
    known: bool,
    milliseconds: float,
    **more: Any,
) -> Answer:
    order = np.argsort(-probabilities, kind="stable")
    return Answer(
        model=classifier.name,
        model_title=classifier.bundle.card.title,
        shares=[(classifier.classes[number], float(probabilities[number])) for number in order],
        novelty=novelty,
        known=known,
        cut=cut,
        milliseconds=milliseconds,
        **more,
    )
