"""One photo, or one test image, looked at closely: an answer with a heat map and other opinions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PIL import Image

from model_training.datasets.dataset import ImageSet
from model_training.datasets.pictures import opener as photos
from model_training.datasets.pictures.views import View
from webapp.answering import answers, data_uris, heat
from webapp.answering.answers import SHOWN_SIDE, Answer, HeatMap
from webapp.library import Library
from webapp.serving.classifier import Classifier

HEAT_SIDE = 320  # pixels; a tiny picture under its heat map


def answer_photo(
    photo: photos.Photo, classifier: Classifier, *, ask: Sequence[Classifier] = ()
) -> Answer:
    """Answer `photo` with the network's quick heat map, made after the answer was timed.

    Args:
        ask: other networks, whose opinions are asked too.
    """
    shown = photo.image.copy()
    shown.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return replace(
        _explained(photo.image, shown, classifier, ask),
        photo_uri=data_uris.as_data_uri(shown, long_side=SHOWN_SIDE),
        photo_size=photo.original_size,
    )


def answer_test_image(
    test: ImageSet, index: int, classifier: Classifier, *, ask: Sequence[Classifier] = ()
) -> Answer:
    """Answer test image `index` as `answer_photo` answers a photo."""
    image = Image.fromarray(test.images[index])
    return replace(
        _explained(image, image, classifier, ask),
        photo_uri=data_uris.as_data_uri(image, long_side=SHOWN_SIDE),
        photo_size=image.size,
        example=index,
        true_class=classifier.classes[test.labels[index]],
    )


def others(classifier: Classifier, library: Library) -> list[Classifier]:
    """Return the other networks for the same data set: the rest know other classes."""
    digest = classifier.bundle.card.training.data_digest
    return [
        one
        for one in library.classifiers.values()
        if one is not classifier and one.bundle.card.training.data_digest == digest
    ]


def draw_heat(
    image: Image.Image, whole: View, label: str, classifier: Classifier
) -> tuple[Image.Image, str] | None:
    """Return where `classifier` looked for `label`: a heat map over `image`, and in words.

    Args:
        whole: the view of the whole of `image`, so that its map lies over all of it.

    Returns:
        None for a network that has no feature maps.
    """
    try:
        found = classifier.heat(whole.pixels, label)
    except ValueError:
        return None
    return heat.overlay(_enlarged(image), found), heat.in_words(found)


def _explained(
    image: Image.Image, shown: Image.Image, classifier: Classifier, ask: Sequence[Classifier]
) -> Answer:
    """Answer `image` with a heat map over `shown`, and with the opinions of the networks `ask`."""
    said = []
    for asked in (classifier, *ask):
        views = asked.judge.views(image)
        (judged,) = answers.ask(asked, [views])
        said.append(answers.make_answer(asked, views, *judged))
    first, *rest = said
    drawn = draw_heat(shown, first.views[0], first.label, classifier)
    return replace(
        first,
        heat=drawn and HeatMap(data_uris.as_data_uri(drawn[0], long_side=SHOWN_SIDE), drawn[1]),
        opinions=tuple(one.opinion for one in rest),
    )


def _enlarged(image: Image.Image) -> Image.Image:
    """Return `image`, its pixels as squares if it is tiny: a heat map over it is smooth."""
    longest = max(image.size)
    if longest > data_uris.TINY:
        return image
    times = HEAT_SIDE // longest
    size = (image.width * times, image.height * times)
    return image.resize(size, Image.Resampling.NEAREST)
