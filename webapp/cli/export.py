"""`flask export`: a bundle's network for other programs."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from flask import current_app
from flask.cli import with_appcontext
from numpy.typing import NDArray

from model_training.bundles.bundle import Bundle
from model_training.bundles.export import (
    CHECKED_IMAGES,
    FORMATS,
    TOLERANCE,
    ExportError,
    Format,
    export,
)
from model_training.datasets.kept import find_description, read_kept
from model_training.files import DamagedFile
from webapp.cli.data_sources import kept_folder
from webapp.cli.shared import find_bundle


@click.command("export")
@click.argument("name", metavar="NAME")
@click.option("--format", "format_name", type=click.Choice(list(FORMATS)), required=True)
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Where it goes; by default NAME.onnx, NAME.tflite or NAME-saved-model in "
    "instance/exports.",
)
@click.option(
    "--size",
    type=click.IntRange(8, 1024),
    metavar="PIXELS",
    help="The side of the pictures that it will take, for a network that takes any size. By "
    "default the size that the network works at; in a saved_model it stays open.",
)
@click.option("--force", is_flag=True, help="Replace an export that is there already.")
@with_appcontext
def export_command(
    name: str, format_name: str, to: Path | None, size: int | None, force: bool
) -> None:
    """Write the network of the bundle NAME for TensorFlow, ONNX Runtime or LiteRT.

    What is written is run on real test images first: it is kept if its probabilities are the
    network's own.
    """
    form = FORMATS[format_name]
    bundle = find_bundle(name)
    path = _place(to, form, name)
    images = _test_images(bundle)
    try:
        # Spread over all of them, so that every class is among these.
        chosen = images[
            np.linspace(0, len(images) - 1, min(CHECKED_IMAGES, len(images))).astype(int)
        ]
        done = export(bundle, form, path, chosen, size=size, replace=force)
    except ExportError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(
            f"{path} could not be written ({error}). What was there before is whole. Where the "
            "disk is full, make room and start again."
        ) from error
    batch, *rest = ("any" if side is None else str(side) for side in done.input_shape)
    click.echo(f"Written to {done.path} ({done.size / 1e6:.1f} MB)")
    click.echo(
        f"Checked in {form.runs_on} on {done.images} test images: no probability is off by more "
        f"than {done.difference:.1e} ({TOLERANCE:g} is allowed)"
    )
    click.echo(f"Takes    RGB from 0 to 255 as float32 ({batch}, {', '.join(rest)})")
    click.echo(f"Answers  probabilities of {', '.join(bundle.card.classes)}, in this order")
    click.echo(
        "The site divides their logarithms by the temperature "
        f"{bundle.card.calibration.temperature:.3f} before it shows them."
    )


def _test_images(bundle: Bundle) -> NDArray[np.uint8]:
    """Return the kept test images of the data set that `bundle` was tested on."""
    facts = bundle.card.training
    description = find_description(current_app.config["DATA_FOLDER"], facts.data_digest)
    if description is None:
        raise click.ClickException(
            f"The export is checked on the test images of {facts.data_set}, which "
            f"{bundle.name} was tested on, and they are not here. `flask data pack` keeps them; "
            "where they are your own, with --data."
        )
    try:
        kept = read_kept(kept_folder(description.name))
        problem = "; ".join(f"{name}: {what}" for name, what in kept.problems.items())
    except (DamagedFile, OSError) as error:
        problem = str(error)
    else:
        if kept.test is not None:
            return kept.test.images
    raise click.ClickException(
        f"The export is checked on the test images of {description.title}, and they cannot be read "
        f"({problem}). `flask data pack` writes them again."
    )


def _place(to: Path | None, form: Format, name: str) -> Path:
    if to is None:
        return Path(current_app.instance_path) / "exports" / form.file_name(name)
    if form.suffix and to.is_dir():
        return to.absolute() / form.file_name(name)
    if form.suffix and to.suffix != form.suffix:
        raise click.BadParameter(
            f"{form.name} writes a file that ends in {form.suffix}; {to.name!r} does not.",
            param_hint="--to",
        )
    return to.absolute()
