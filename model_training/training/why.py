"""Why a figure measured here differs from the reported one: a sentence, from what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from model_training.recipes import Recipe

SAME = 0.005
"""Accuracies nearer to each other than this are said to agree."""


@dataclass(frozen=True)
class Reached:
    """What a run reached, in the figures from which the sentence is made.

    Args:
        test, train: accuracy, each image as it is.
        images: that it learned from.
        epochs: that it went through, of `planned`.
        usual: the epochs of its recipe, where the run was given fewer or more.
        best_epoch: whose weights it has, where early stopping chose it.
        minutes: after which it began no new epoch, where that ended it.
    """

    test: float
    train: float
    images: int
    epochs: int
    planned: int
    best_epoch: int | None
    minutes: float | None = None
    usual: int | None = None


def why(recipe: Recipe, reached: Reached) -> str | None:
    """Return one sentence on why `reached` differs from what was reported; None if nothing was."""
    if recipe.reported is None:
        return None
    reported = f"{recipe.reported.test_accuracy * 100:.4g}%"
    points = (reached.test - recipe.reported.test_accuracy) * 100
    if recipe.reported.task:
        verdict = f"Ours cannot be held against the reported {reported} of {recipe.reported.task}"
    elif abs(points) < SAME * 100:
        verdict = f"Ours agrees with the reported {reported}"
    else:
        where = "above" if points > 0 else "below"
        verdict = f"Ours is {abs(points):.1f} points {where} the reported {reported}"
    facts = _facts(recipe, reached)
    if recipe.reported.task or points < SAME * 100:
        facts.append(_fit(reached))
    return f"{verdict}: {'; '.join(facts)}."


def _facts(recipe: Recipe, reached: Reached) -> list[str]:
    facts = list(recipe.reported.differs) if recipe.reported is not None else []
    if recipe.change:
        facts.append(f"this run had {recipe.change}")
    length = f"it was trained for {_epochs(reached.epochs)}"
    if reached.usual is not None and reached.usual != reached.planned:
        length += f" where its recipe has {reached.usual}"
    could_end = reached.best_epoch is not None or reached.minutes is not None
    if could_end and reached.epochs < reached.planned:
        length = f"it stopped after {reached.epochs} of {_epochs(reached.planned)}"
    comma = ""
    if reached.minutes is not None:
        length += f", when its {reached.minutes:g} minutes were over"
        comma = ","
    if reached.best_epoch is not None:
        length += f"{comma} and has the weights of epoch {reached.best_epoch}"
    facts.append(f"{length}, on {reached.images:,} images")
    return facts


def _fit(reached: Reached) -> str:
    """Return how well it fits what it learned from: a reason for being no better than it is."""
    gap = reached.train - reached.test
    right = f"it is right on {reached.train:.1%} of the images that it learned from"
    if gap <= 0:
        return right
    return f"{right}, {gap * 100:.1f} points more than on those of the test{_reading(gap)}"


def _reading(gap: float) -> str:
    if gap > 0.1:
        return ", so that it has learned many by heart"
    if gap < 0.02:
        return ", so that it could learn more from more epochs"
    return ""


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' if count != 1 else ''}"
