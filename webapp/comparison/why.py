"""Why a figure that was measured here differs from the one that its source reports."""

from __future__ import annotations

from model_training.bundles.card import Card
from model_training.recipes import Recipe

SAME = 0.005
"""A smaller difference is within the rounding of a reported figure, and needs no reason."""
BY_HEART = 0.15
"""From this lead of the training images on, a network is said to know them by heart."""


def why_different(card: Card, recipe: Recipe | None = None) -> str | None:
    """Return a sentence on why the figures differ, from what is known of both trainings.

    None where nothing is reported, or where nothing is known that could be the reason.

    Args:
        recipe: that of the card, if there still is one.  It may know more of its source than a card
            that was written before.
    """
    reported, training = card.reported, card.training
    if reported is None:
        return None
    source = recipe.reported if recipe and recipe.reported else reported
    ahead = card.difference
    if ahead is None:
        return f"The reported figure is of {reported.task}, another task: not to be compared."
    if card.why is not None:
        return card.why  # Made when it was trained, of more than a card keeps.
    if abs(ahead) < SAME:
        return "That is what its source reports, but for less than half a point."
    reasons = []
    if source.training:
        epochs = f"{training.epochs} epoch{'s' if training.epochs != 1 else ''}"
        reasons.append(f"its source trained with {source.training}, and here it took {epochs}")
    if source.chosen_on_test:
        reasons.append(
            "its source made choices on the test images, which flatters its figure, and here they "
            "were read at the end only"
        )
    if not training.all_data and ahead < 0:
        reasons.append(f"{training.validation_images:,} images were not learned from, to choose by")
    train = card.metrics.get("train")
    if ahead < 0 and train is not None and train.accuracy - card.test.accuracy > BY_HEART:
        reasons.append(
            f"it knows the images that it learned from by heart ({train.accuracy:.1%} are right)"
        )
    if not reasons:
        return None
    words = "more" if ahead > 0 else "fewer"
    points = f"{abs(ahead) * 100:.1f}"
    return f"{points} percentage points {words} than its source reports: {'; '.join(reasons)}."
