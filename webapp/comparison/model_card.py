"""The model card: what a model is for, what it is not for, and what it was trained on, in words.

After M. Mitchell et al., "Model Cards for Model Reporting", 2019.  What is particular to a network
is written in its recipe; the rest follows from its bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model_training.bundles.card import Card, Explanation, TunedSettings
from model_training.datasets.registry import known_data_sets
from model_training.explaining.methods import BLOB, METHODS
from model_training.judging.metrics import ClassificationReport
from model_training.recipes import Recipe, Use
from model_training.recipes.space import write_values
from webapp import filters

MOST_LISTED = 20
"""With more classes than this, they are counted, not named."""
AT_FIRST = "None at first. Then "
"""The beginning of what a recipe says of its augmentation where its first phase has none."""


@dataclass(frozen=True)
class ModelCard:
    """Sentences for whoever may use a model; `command` trains it again."""

    good_for: list[str]
    not_for: list[str]
    trained_on: list[str]
    explained: list[str]
    command: str


def make_model_card(
    card: Card, classification: ClassificationReport, recipes: Mapping[str, Recipe]
) -> ModelCard:
    """Write the model card of `card`, even if its recipe no longer exists.

    Args:
        classification: its scores on the test images, for its weakest class.
    """
    training = card.training
    recipe = recipes.get(card.recipe)
    # What a recipe says of its use, it says of the images that it is made for.
    made_for = known_data_sets().get(recipe.data_set) if recipe else None
    its_own = made_for is not None and made_for.digest == training.data_digest
    use = recipe.use if recipe and its_own else Use()
    return ModelCard(
        good_for=[
            *use.good_for,
            f"Telling {_listed(card.classes)} apart, in pictures that show exactly one of them.",
        ],
        not_for=[
            f"Anything but its {len(card.classes)} classes: other things are recognised by how "
            "little they resemble these, and some are missed.",
            *_weakest(classification),
            *use.not_for,
            "Deciding anything about people, or anything that must not go wrong.",
        ],
        trained_on=[
            _data(card),
            *([f"Before that: {_source(training.pretrained)}."] if training.pretrained else []),
            _varied(training.augmentation),
            *_tuned(training.tuned),
        ],
        explained=_explained(card.explanation),
        command=training.command,
    )


def _weakest(classification: ClassificationReport) -> list[str]:
    tested = sorted(
        (score for score in classification.classes if score.support), key=lambda one: one.recall
    )
    if not tested or tested[0].recall == 1:
        return []
    worst, *others = tested
    alone = others and others[0].recall > worst.recall
    than = "more than of any other class" if alone else "and of no other class more"
    return [f"Finding every {worst.name}: it misses {1 - worst.recall:.1%} of them, {than}."]


def _data(card: Card) -> str:
    training, test = card.training, card.metrics.get("test")
    text = f"{training.data_set}: it learned from {training.images:,} images"
    if training.all_data:
        text += ", after every choice had been made on a part of them"
    else:
        text += f", every choice was made on {training.validation_images:,} others"
    text += f", and it was measured on {test.images:,} more." if test else "."
    if (reads := card.test_reads) is not None:
        text += f" For this model, the test images were read {filters.times(reads)}."
    if training.all_data:
        text += (
            " Its validation figure and its calibration are another network's: that of "
            f"“{training.calibrated_by}”, which had not learned from the validation images."
        )
    return text


def _explained(measured: Explanation | None) -> list[str]:
    if measured is None:
        return []
    best = measured.method
    title, score, blob = METHODS[best].title, measured.scores[best], measured.scores[BLOB]
    on = f"on {measured.images:,} {measured.set_on}"
    figures = f"insertion minus deletion is {score:.2f}, and the blob's {blob:.2f}"
    if measured.beats_blob(best):
        return [
            f"{title} marks the evidence for its answers best, and better than a blob in the "
            f"middle of the picture does ({figures}, {on})."
        ]
    return [
        "No map of the evidence for its answers is reliably better than a blob in the middle of "
        f"the picture: for {title}, the best one, {figures}, {on}."
    ]


def _source(pretrained: str) -> str:
    # Which file it was, and its digest, stand further down on the page.
    return pretrained.partition(":")[0]


def _varied(augmentation: str) -> str:
    if augmentation == "None.":
        return "While it learned, it saw each image as it is."
    if augmentation.startswith(AT_FIRST):
        then = augmentation.removeprefix(AT_FIRST)
        return f"At first it saw each image as it is; later each was varied: {_small(then)}"
    return f"While it learned, each image was varied: {_small(augmentation)}"


def _tuned(tuned: TunedSettings | None) -> list[str]:
    if tuned is None:
        return []
    epochs = f"{tuned.epochs} epoch{'s' if tuned.epochs != 1 else ''}"
    return [
        f"A search found its settings: they are those of trial {tuned.trial} of the study "
        f"{tuned.study}, of {tuned.trials} trials, which was right on {tuned.accuracy:.1%} of the "
        f"validation images after {epochs} on {tuned.images:,} images: "
        f"{write_values(tuned.values)}."
    ]


def _listed(names: list[str]) -> str:
    if len(names) > MOST_LISTED:
        return f"its {len(names)} classes"
    return filters.listed(names)


def _small(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
