"""One photo, or one test image, looked at closely: why the answer is what it is, and what other
networks say."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from PIL import Image

from model_training.datasets.pictures import opener as photos
from model_training.explaining.methods import METHODS
from webapp.answering import answers, data_uris, explaining
from webapp.answering.answers import SHOWN_SIDE, Answer
from webapp.answering.explaining import Explained
from webapp.errors import Refusal
from webapp.library import Library
from webapp.serving.classifier import Classifier

TINY_SHOWN_SIDE = 320  # pixels; a tiny picture under a map


class CannotExplain(Refusal):
    """A request for a map that cannot be made."""

    code = "cannot-explain"


@dataclass(frozen=True)
class Wish:
    """What a visitor asks for beside the answer.

    Args:
        all: whether the other networks for the same data set are asked, too.
        why: a class, to be shown what speaks for it instead.
        method: a name in `METHODS`, for a map that takes longer than the quick one.
    """

    all: bool = False
    why: str | None = None
    method: str | None = None

    @classmethod
    def read(cls, sent: Mapping[str, str]) -> Wish:
        """Return the wish in the fields of a form or address."""
        # The class is chosen beside the button, so it is sent along with every other one too.
        why = sent.get("class") if sent.get("why") else None
        return cls("all" in sent, why or None, sent.get("method") or None)


def answer_photo(
    photo: photos.Photo,
    classifier: Classifier,
    library: Library,
    wish: Wish = Wish(),
    *,
    explains: str | None = None,
) -> Answer:
    """Answer `photo`, with what `wish` asks for and a map, which are made after it was timed.

    Args:
        explains: the class that the map is about; None for the one of the answer.

    Raises:
        CannotExplain: there is no such class or method.
    """
    shown = photo.image.copy()
    # As good as bicubic where a picture only becomes smaller, in half of the time.
    shown.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.HAMMING)
    return replace(
        _look(photo.image, shown, classifier, library, wish, explains),
        photo_uri=data_uris.as_data_uri(shown, long_side=SHOWN_SIDE),
        photo_size=photo.original_size,
    )


def answer_test_image(
    index: int, classifier: Classifier, library: Library, wish: Wish = Wish()
) -> Answer:
    """Answer the test image `index` of the network's data set as `answer_photo` answers a photo."""
    test = library.data_set_of(classifier.bundle).test
    assert test is not None
    image = Image.fromarray(test.images[index])
    return replace(
        _look(image, image, classifier, library, wish),
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


def enlarged(image: Image.Image) -> Image.Image:
    """Return `image`, its pixels as squares if it is tiny: a map over it is smooth."""
    longest = max(image.size)
    if longest > data_uris.TINY:
        return image
    times = TINY_SHOWN_SIDE // longest
    size = (image.width * times, image.height * times)
    return image.resize(size, Image.Resampling.NEAREST)


def _look(
    image: Image.Image,
    shown: Image.Image,
    classifier: Classifier,
    library: Library,
    wish: Wish,
    explains: str | None = None,
) -> Answer:
    views = classifier.judge.views(image)
    started = time.perf_counter()
    features = classifier.features([views])
    (judgement,) = classifier.judge_features(features)
    milliseconds = (time.perf_counter() - started) * 1000
    answer = answers.make_answer(classifier, views, judgement, milliseconds)

    shown = enlarged(shown)
    near = explaining.nearest_images(classifier, library.data_set_of(classifier.bundle), features)
    return replace(
        answer,
        heat=_explain(answer, classifier, shown, explains or answer.label, wish.method),
        why=_explain(answer, classifier, shown, wish.why, None) if wish.why else None,
        finer=_finer(classifier),
        near=tuple(near),
        no_maps=classifier.no_maps,
        opinions=tuple(_opinion(one, image) for one in others(classifier, library))
        if wish.all
        else (),
    )


def _opinion(classifier: Classifier, image: Image.Image) -> answers.Opinion:
    views = classifier.judge.views(image)
    (judged,) = answers.ask(classifier, [views])
    return answers.make_answer(classifier, views, *judged).opinion


def _explain(
    answer: Answer, classifier: Classifier, shown: Image.Image, label: str, method: str | None
) -> Explained | None:
    if label not in classifier.classes or method not in (None, *METHODS):
        raise CannotExplain(
            "That explanation cannot be shown: this network has no such class, or there is no such "
            f"method. The methods are {', '.join(METHODS)}."
        )
    # The first view is the whole picture, so its map lies over the whole picture.
    return explaining.explain(classifier, answer.views[0].pixels, shown, label, method=method)


def _finer(classifier: Classifier) -> str | None:
    """Return the costlier method that was found to explain `classifier` best, if there is one."""
    measured = classifier.explanation
    if measured is None or measured.method == classifier.quick_method:
        return None
    return measured.method
