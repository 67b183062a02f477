"""What is no photo of a class gets a verdict from the default model that a person would accept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from model_training.bundles.reading import read_bundle
from model_training.judging.judge import Judgement
from tests.conftest import PROJECT
from webapp.serving.classifier import Classifier
from webapp.settings import SETTINGS

DEFAULT = next(str(one.default) for one in SETTINGS if one.name == "DEFAULT_MODEL")


@pytest.fixture(scope="module")
def default() -> Classifier:
    return Classifier(read_bundle(PROJECT / "instance" / "models" / DEFAULT))


def blank(colour: str) -> Image.Image:
    return Image.new("RGB", (300, 200), colour)


def page_of_text() -> Image.Image:
    image = blank("white")
    for line in range(12):
        ImageDraw.Draw(image).text(
            (8, 8 + 15 * line), "Nothing here but a few words.", fill="black"
        )
    return image


def drawn_house() -> Image.Image:
    image = Image.new("RGB", (300, 300), "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((80, 140, 220, 260), outline="black", width=4)
    pen.polygon([(70, 140), (150, 60), (230, 140)], outline="black", width=4)
    return image


def cartoon_dog() -> Image.Image:
    image = Image.new("RGB", (300, 300), "#cfe8ff")
    pen = ImageDraw.Draw(image)
    pen.ellipse((90, 80, 210, 220), fill="#a0692b")
    for ear in ((60, 80, 110, 190), (190, 80, 240, 190)):
        pen.ellipse(ear, fill="#6b431a")
    pen.ellipse((115, 160, 185, 225), fill="#e8c99a")
    for dark in ((138, 165, 162, 185), (115, 120, 135, 140), (165, 120, 185, 140)):
        pen.ellipse(dark, fill="black")
    return image


def noise(seed: int, *, coarse: bool) -> Image.Image:
    size = (6, 8, 3) if coarse else (240, 320, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)
    return Image.fromarray(pixels).resize((320, 240), Image.Resampling.NEAREST)


@pytest.mark.parametrize(
    "make",
    [
        lambda: blank("grey"),
        lambda: blank("black"),
        lambda: blank("white"),
        lambda: Image.new("RGB", (1, 1), (200, 30, 40)),
        page_of_text,
        drawn_house,
        lambda: noise(0, coarse=True),
    ],
    ids=["grey", "black", "white", "1x1", "text", "house", "coarse noise"],
)
def test_what_shows_nothing_of_the_kind_is_refused(
    default: Classifier, make: Callable[[], Image.Image]
) -> None:
    judged = ask(default, make())
    assert judged.verdict == "stranger"
    assert judged.familiarity is not None and judged.familiarity < 0.2
    assert judged.resembles


def test_noise_is_never_called_known(default: Classifier) -> None:
    verdicts = [ask(default, noise(seed, coarse=False)).verdict for seed in range(4)]
    assert "known" not in verdicts
    assert "stranger" in verdicts


def test_a_cartoon_is_refused_and_would_be_a_dog(default: Classifier) -> None:
    judged = ask(default, cartoon_dog())
    assert judged.verdict != "known"
    assert default.classes[int(judged.probabilities.argmax())] == "dog"


def test_of_two_classes_in_one_photo_either_is_right(default: Classifier) -> None:
    test = PROJECT / "static" / "examples" / "chelsea.jpg"
    with Image.open(test) as photo:
        twice = Image.new("RGB", (400, 200), "white")
        twice.paste(photo.convert("RGB").resize((200, 200)), (0, 0))
        twice.paste(cartoon_dog().resize((200, 200)), (200, 0))
    judged = ask(default, twice)
    assert default.classes[int(judged.probabilities.argmax())] in ("cat", "dog")


def ask(classifier: Classifier, image: Image.Image) -> Judgement:
    return classifier.judge_views([classifier.judge.views(image)])[0]
