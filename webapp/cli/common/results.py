"""Lines about what recipes and runs have reached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from model_training.bundles.bundle import Bundle
from model_training.bundles.card import Card
from model_training.bundles.history import Epoch
from model_training.bundles.reading import read_bundles
from model_training.datasets.registry import DEFAULT_DATA_SET
from model_training.recipes import RECIPES, Recipe
from webapp.cli.common.bundles import TAKE_UP

KINDS = {"scratch": "from scratch", "transfer": "from ImageNet", "other": "other data sets"}


def print_recipes(folder: Path) -> None:
    """Print for each recipe what was reported of it and what its bundle in `folder` reached.

    The difference is in percentage points.
    """
    bundles, _damaged = read_bundles(folder)
    ours = {one.name: one.card for one in bundles if one.name == one.card.recipe}
    width = max(len(name) for name in RECIPES) + 1
    heads = ("parameters", "reported", "ours", "difference", "averaged")
    for kind, title in KINDS.items():
        recipes = [recipe for recipe in RECIPES.values() if _kind(recipe) == kind]
        if not recipes:
            continue
        columns = "".join(f"{head:>11}" for head in heads)
        click.echo(f"\n{title:<{width}}{columns}  title")
        for recipe in recipes:
            cells = "".join(f"{cell:>11}" for cell in _cells(recipe, ours.get(recipe.name)))
            click.echo(f"{recipe.name:<{width}}{cells}  {recipe.title}")


def _kind(recipe: Recipe) -> str:
    if recipe.data_set != DEFAULT_DATA_SET:
        return "other"
    return "scratch" if recipe.pretrained is None else "transfer"


def _cells(recipe: Recipe, card: Card | None) -> Iterator[str]:
    # What a recipe does not state, its first training tells.
    count = recipe.parameters or (card.parameters if card else None)
    reported = recipe.reported.test_accuracy if recipe.reported else None
    plain = card.metrics["test"].accuracy if card else None
    averaged = card.averaged["test"].accuracy if card and card.averaged else None
    # What was reached at another task is no difference.
    same_task = recipe.reported is not None and not recipe.reported.task
    both = same_task and plain is not None
    yield f"{count:,}" if count else "-"
    yield f"{reported:.3f}" if reported is not None else "-"
    yield f"{plain:.4f}" if plain is not None else "-"
    yield f"{plain - reported:+.3f}" if both else "-"  # type: ignore[operator]
    yield f"{averaged:.4f}" if averaged is not None else "-"


def epoch_line(row: Epoch) -> str:
    """Return one epoch of a training as a line."""
    validation = ""
    if row.validation_loss is not None and row.validation_accuracy is not None:
        validation = f"validation {row.validation_loss:.4f} {row.validation_accuracy:.4f}  "
    return (
        f"epoch {row.epoch:3d}  loss {row.loss:.4f}  accuracy {row.accuracy:.4f}  "
        f"{validation}{row.seconds:.0f} s"
    )


def print_outcome(bundle: Bundle) -> None:
    """Print what a run reached, and where it is."""
    card = bundle.card
    epochs = f"{card.training.epochs} epoch{'s' if card.training.epochs != 1 else ''}"
    click.echo(f"\n{card.title}, {epochs}, {card.training.seconds:.0f} s")
    for part, metrics in card.metrics.items():
        click.echo(
            f"  {part:<11} accuracy {metrics.accuracy:.4f}  loss {metrics.loss:.4f}  "
            f"({metrics.images:,} images)"
        )
    for part, metrics in card.averaged.items():
        click.echo(f"  {part:<11} accuracy {metrics.accuracy:.4f}  with test-time augmentation")
    if card.reported:
        click.echo(f"  reported    accuracy {card.reported.test_accuracy:.4f}")
    if card.why:
        click.echo(f"  {card.why}")
    click.echo(f"Written to {bundle.path}. {TAKE_UP}")
