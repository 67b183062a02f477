"""Why a network answers as it does: maps over the picture, and the training images most like it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_training.explaining.methods import BLOB, METHODS
from model_training.explaining.neighbours import NEAREST
from model_training.explaining.target import NoExplanation
from webapp.answering import data_uris, heat
from webapp.data_sets import ServedDataSet
from webapp.serving.classifier import Classifier

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Explained:
    """A map over a picture.

    Args:
        method, title: the method's name, for addresses and for people.
        says: what such a map shows, in a sentence.
        worth: how well the method did when it was measured on this network, in a sentence; None if
            nobody has measured it.
        label, against: the class that is explained, and the one that it is set against, if any.
        uri: the picture under its map, as a `data:` address.
        words: where the evidence lies, as the end of a sentence that begins with "It looked".
    """

    method: str
    title: str
    says: str
    worth: str | None
    label: str
    against: str | None
    uri: str
    words: str


@dataclass(frozen=True)
class NearImage:
    """A training image that is like a photo.

    Args:
        number: its place in the training set.
        label: its class.
        uri: the image as a `data:` address.
        side: its side, in pixels.
    """

    number: int
    label: str
    uri: str
    side: int


def explain(
    classifier: Classifier,
    view: Pixels,
    shown: Image.Image,
    label: str,
    *,
    method: str | None = None,
    against: str | None = None,
) -> Explained | None:
    """Draw where in `view` the evidence for `label` lies over the whole picture `shown`.

    Args:
        view: the whole picture as the network is shown it, uint8 (side, side, 3).
        shown: RGB of any size; its long side is that of the result.
        method: a name in `METHODS`; None for the network's quick method.
        against: explain why it is `label` rather than this class.

    Returns:
        None where the network cannot be explained by the method.

    Raises:
        KeyError: there is no such method.
        ValueError: there is no such class, or `against` is `label`.
    """
    name = method or classifier.quick_method
    about = METHODS[name]
    try:
        found = classifier.explain(view, label, name, against)
    except NoExplanation:
        return None
    uri = data_uris.as_data_uri(heat.overlay(shown, found), long_side=max(shown.size))
    return Explained(
        method=name,
        title=about.title,
        says=about.says,
        worth=worth(classifier, name),
        label=label,
        against=against,
        uri=uri,
        words=heat.in_words(found),
    )


def worth(classifier: Classifier, method: str) -> str | None:
    """Return a sentence on how well `method` explains the network; None if it was not measured."""
    measured = classifier.explanation
    if measured is None or method not in measured.scores:
        return None
    score, blob = measured.scores[method], measured.scores[BLOB]
    better = measured.beats_blob(method)
    says = "marks the evidence better than" if better else "is not reliably better than"
    return (
        f"On {measured.images:,} {measured.set_on}, this method {says} a blob in the middle of the "
        f"picture, which ignores what that shows. Scores, of which the higher is better: "
        f"{score:.2f}, the blob {blob:.2f} (insertion minus deletion)."
    )


def nearest_images(
    classifier: Classifier,
    data_set: ServedDataSet,
    features: Floats,
    count: int = NEAREST,
) -> list[NearImage]:
    """Return the training images that the network finds most like a photo, the most alike first.

    Args:
        data_set: the one that the network learned from.
        features: of the photo, float32 (1, width), as `Classifier.features` returns them.

    Returns:
        An empty list where its judge remembers none, or how they look is not kept here.
    """
    images, reference = data_set.remembered, classifier.judge.reference
    if images is None or reference is None:
        return []
    places, near = images.draw_of(reference.remembered_labels), classifier.nearest(features, count)
    if places is None or near is None:
        return []
    return images_at(images.indices[places[near.places[0]]].tolist(), data_set)


def images_at(numbers: Sequence[int], data_set: ServedDataSet) -> list[NearImage]:
    """Return the training images of `numbers`, as far as it is kept here how they look."""
    images = data_set.remembered
    if images is None:
        return []
    kept = {number: place for place, number in enumerate(images.indices.tolist())}
    return [
        NearImage(
            number=number,
            label=data_set.classes[images.labels[kept[number]]],
            uri=_webp(images.picture(kept[number])),
            side=images.side,
        )
        for number in numbers
        if number in kept
    ]


def nearest_in_words(near: Sequence[NearImage], label: str) -> str:
    """Return a sentence on how many of `near`, one or more, are of the class `label`."""
    count = sum(one.label == label for one in near)
    if count == len(near) > 1:
        return f"All {count} are labelled {label}."
    share = "None" if not count else str(count)
    return f"{share} of the {len(near)} {'is' if count == 1 else 'are'} labelled {label}."


def _webp(picture: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(picture).decode('ascii')}"
