"""Lines about what recipes and runs have reached."""

from __future__ import annotations

from pathlib import Path

import click

from model_training.bundles.bundle import Bundle
from model_training.bundles.history import Epoch
from model_training.bundles.reading import read_bundles
from model_training.recipes import RECIPES


def print_recipes(folder: Path) -> None:
    """Print for each recipe what was reported of it and what its bundle in `folder` reached.

    The difference is in percentage points.
    """
    bundles, _damaged = read_bundles(folder)
    ours = {one.name: one.card for one in bundles if one.name == one.card.recipe}
    line = "{:<30}{:>11}{:>10}{:>8}{:>12}{:>10}  {}".format
    click.echo(line("recipe", "parameters", "reported", "ours", "difference", "averaged", "title"))
    for recipe in RECIPES.values():
        reported = f"{recipe.reported.test_accuracy:.3f}" if recipe.reported else "-"
        card = ours.get(recipe.name)
        plain = f"{card.test.accuracy:.4f}" if card else "-"
        points = f"{card.difference * 100:+.1f}" if card and card.difference is not None else "-"
        averaged = f"{card.averaged['test'].accuracy:.4f}" if card and card.averaged else "-"
        # What a recipe does not state, its first training tells.
        count = recipe.parameters or (card.parameters if card else None)
        parameters = f"{count:,}" if count else "-"
        click.echo(line(recipe.name, parameters, reported, plain, points, averaged, recipe.title))


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
    click.echo(f"Written to {bundle.path}. Restart the site to see it.")
