"""Why a figure measured here differs from the reported one: a sentence, from what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model_training.bundles.card import Metrics, TrainingFacts
from model_training.recipes import Recipe

SAME = 0.005
"""Accuracies nearer to each other than this are said to agree."""
PAST = 0.01
"""By how much an epoch was better than the last one, on validation, where that is said."""
SURER = 1.05
"""How many times the reported loss is called higher, where the accuracy is not lower."""


@dataclass(frozen=True)
class Reached:
    """What a run reached, in the figures from which the sentence is made.

    Args:
        test, train: accuracy, each image as it is.
        images: that it learned from.
        epochs: that it went through, of `planned`.
        best_epoch: whose weights it has, where early stopping chose it.
        minutes: after which it began no new epoch, where that ended it.
        loss: on the test images.
        balance: how many images of each class the run was given, if not all.
        validation: the accuracy after each epoch, if there were images to validate on.
    """

    test: float
    train: float
    images: int
    epochs: int
    planned: int
    best_epoch: int | None
    minutes: float | None = None
    loss: float | None = None
    balance: str | None = None
    validation: Sequence[float] = ()

    @classmethod
    def of(
        cls,
        training: TrainingFacts,
        metrics: Mapping[Any, Metrics],
        validation: Sequence[float | None],
    ) -> Reached:
        """Return what a card says that its run reached.

        Args:
            validation: the accuracy after each epoch.
        """
        return cls(
            test=metrics["test"].accuracy,
            train=metrics["train"].accuracy,
            images=training.images,
            epochs=training.epochs,
            planned=training.planned_epochs or training.epochs,
            best_epoch=training.best_epoch,
            minutes=training.minutes,
            loss=metrics["test"].loss,
            balance=training.changes.get("balance"),
            validation=[one for one in validation if one is not None],
        )


def why(recipe: Recipe, reached: Reached) -> str | None:
    """Return one sentence on why `reached` differs from what was reported; None if nothing was."""
    told = recipe.reported
    if told is None:
        return None
    reported = f"{told.test_accuracy * 100:.4g}%"
    points = (reached.test - told.test_accuracy) * 100
    if told.task:
        verdict = f"Ours cannot be compared with the reported {reported} of {told.task}"
    elif abs(points) < SAME * 100:
        verdict = f"Ours agrees with the reported {reported}"
    else:
        where = "above" if points > 0 else "below"
        verdict = f"Ours is {abs(points):.1f} points {where} the reported {reported}"
    facts = [*told.differs, *_facts(recipe, reached)]
    if told.task or points < SAME * 100:
        facts.append(_fit(reached))
    surer = told.test_loss is not None and (reached.loss or 0) > SURER * told.test_loss
    if surer and not told.task and points > -SAME * 100:
        facts.append(
            f"its loss is the higher one, {reached.loss:.2f} against {told.test_loss:.2f}, so "
            "it is surer where it is wrong"
        )
    return f"{verdict}: {'; '.join(facts)}."


def _facts(recipe: Recipe, reached: Reached) -> list[str]:
    facts = [f"this run had {recipe.change}"] if recipe.change else []
    before = sum(phase.epochs for phase in recipe.phases[:-1])
    stopped = any(phase.early_stopping for phase in recipe.phases[:-1])
    if before and not stopped and len(reached.validation) > before:
        share = reached.validation[before - 1]
        facts.append(f"before its last phase it was right on {share:.1%} of the validation images")
    facts.append(_length(recipe, reached))
    if past := _past(reached):
        facts.append(past)
    return facts


def _length(recipe: Recipe, reached: Reached) -> str:
    """Return for how long it learned, and from how much."""
    usual = sum(phase.epochs for phase in recipe.phases)
    length = f"it was trained for {_epochs(reached.epochs)}"
    if usual != reached.planned:
        length += f" where its recipe has {usual}"
    could_end = reached.best_epoch is not None or reached.minutes is not None
    if could_end and reached.epochs < reached.planned:
        length = f"it stopped after {reached.epochs} of {_epochs(reached.planned)}"
    comma = ""
    if reached.minutes is not None:
        length += f", when its {reached.minutes:g} minutes were over"
        comma = ","
    if reached.best_epoch is not None:
        length += f"{comma} and has the weights of epoch {reached.best_epoch}"
    length += f", on {reached.images:,} images"
    if reached.balance is not None and reached.balance.isdigit():
        length += (
            f", since it was given {int(reached.balance):,} of each class, validation included"
        )
    return length


def _past(reached: Reached) -> str:
    """Return by how much an earlier epoch was better, where early stopping did not choose it."""
    if reached.best_epoch is not None or not reached.validation:
        return ""
    best, last = max(reached.validation), reached.validation[-1]
    if best < last + PAST:
        return ""
    epoch = list(reached.validation).index(best) + 1
    return (
        f"on the validation images it was best after epoch {epoch} ({best:.1%}, and {last:.1%} at "
        "the end), so further epochs did not help"
    )


def _fit(reached: Reached) -> str:
    """Return how well it fits what it learned from: a reason for being no better than it is."""
    gap = reached.train - reached.test
    right = f"it is right on {reached.train:.1%} of the images that it learned from"
    if gap <= 0:
        return right
    return f"{right}, {gap * 100:.1f} points more than on those of the test{_reading(gap)}"


def _reading(gap: float) -> str:
    if gap > 0.1:
        return ", so it has memorised many of them"
    if gap < 0.02:
        return ", so it could probably learn more from more epochs"
    return ""


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' if count != 1 else ''}"
