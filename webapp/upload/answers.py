"""What the visitor is told about one image."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_training.data import CLASSES, ImageSet
from webapp import photos
from webapp.classifiers import Classifier

SHOWN_SIDE = 640  # pixels; the photo's long side on the page


@dataclass(frozen=True)
class Answer:
    """One image's answer.  `shares` are calibrated probabilities, the largest first.

    `photo_uri` and `cut_uri` are `data:` addresses: the photo is shown without being stored.
    `cut_size` is the side of the square that the network was given, in pixels.
    `true_class` is known for test images only.
    """

    model: str
    model_title: str
    shares: list[tuple[str, float]]
    photo_uri: str | None
    photo_size: tuple[int, int] | None
    cut_uri: str
    cut_size: int
    milliseconds: float
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


def answer_photo(photo: photos.Photo, classifier: Classifier) -> Answer:
    """Ask `classifier` about `photo`."""
    # Whatever enlarges small pictures while a network learns should do so when it serves.
    pixels = photos.cut(photo.image, classifier.input_size, enlarge=not classifier.resizes)
    return _ask(
        classifier,
        pixels,
        photo_uri=photos.as_data_uri(photo.image, long_side=SHOWN_SIDE),
        photo_size=photo.original_size,
    )


def answer_test_image(test: ImageSet, index: int, classifier: Classifier) -> Answer:
    """Ask `classifier` about test image `index`."""
    image = Image.fromarray(test.images[index])
    pixels = photos.cut(image, classifier.input_size, enlarge=not classifier.resizes)
    return _ask(classifier, pixels, example=index, true_class=CLASSES[test.labels[index]])


def examples(test: ImageSet | None) -> list[tuple[int, str]]:
    """Index and class of the first test image of each class: not picked for being easy."""
    if test is None:
        return []
    return [
        (int(np.flatnonzero(test.labels == number)[0]), name) for number, name in enumerate(CLASSES)
    ]


def _ask(
    classifier: Classifier,
    pixels: NDArray[np.uint8],
    *,
    photo_uri: str | None = None,
    photo_size: tuple[int, int] | None = None,
    example: int | None = None,
    true_class: str | None = None,
) -> Answer:
    started = time.perf_counter()
    probabilities = classifier.calibrated(pixels[np.newaxis])[0]
    milliseconds = (time.perf_counter() - started) * 1000
    order = np.argsort(-probabilities, kind="stable")
    return Answer(
        model=classifier.name,
        model_title=classifier.bundle.card.title,
        shares=[(classifier.classes[number], float(probabilities[number])) for number in order],
        photo_uri=photo_uri,
        photo_size=photo_size,
        cut_uri=photos.cut_as_data_uri(pixels),
        cut_size=len(pixels),
        milliseconds=milliseconds,
        example=example,
        true_class=true_class,
    )
