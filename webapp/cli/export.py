"""`flask export`: a bundle's network for other programs."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from flask import current_app
from flask.cli import with_appcontext
from numpy.typing import NDArray

from model_training.bundles.bundle import Bundle
from model_training.bundles.exporting.checking import TOLERANCE
from model_training.bundles.exporting.export import CHECKED_IMAGES, Exported, ExportError, export
from model_training.bundles.exporting.formats import FORMATS, Format
from model_training.datasets.kept import find_description, read_kept
from model_training.files import DamagedFile
from webapp.cli.common.bundles import find_bundle
from webapp.cli.common.data_sources import kept_folder


@click.command("export")
@click.argument("name", metavar="NAME")
@click.option("--format", "format_name", type=click.Choice(list(FORMATS)), required=True)
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The output path; by default NAME.onnx, NAME.tflite or NAME-saved-model in "
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

    The export outputs features and probabilities, and its metadata has what turns them into the
    site's answer: docs/using-an-export.md shows how. It is first run on real test images, and kept
    only if its outputs match the network's.
    """
    form = FORMATS[format_name]
    bundle = find_bundle(name)
    path = _place(to, form, name)
    images, title = _test_images(bundle)
    # Spread over all of them, so that every class is among these.
    chosen = images[np.linspace(0, len(images) - 1, min(CHECKED_IMAGES, len(images))).astype(int)]
    try:
        done = export(bundle, form, path, chosen, size=size, replace=force)
    except ExportError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(
            f"{path} could not be written ({error}). What was there before is whole. Where the "
            "disk is full, make room and start again."
        ) from error
    _print(done, form, title)


def _test_images(bundle: Bundle) -> tuple[NDArray[np.uint8], str]:
    """Return the kept test images of the data set that `bundle` was tested on, and its title.

    Raises:
        click.ClickException: they are not here, or damaged.
    """
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
            return kept.test.images, description.title
    raise click.ClickException(
        f"The export is checked on the test images of {description.title}, and they cannot be read "
        f"({problem}). `flask data pack` writes them again."
    )


def _print(done: Exported, form: Format, title: str) -> None:
    batch, *rest = ("any" if side is None else str(side) for side in done.input_shape)
    metadata, difference = done.metadata, done.difference
    click.echo(f"Written to {done.path} ({done.size / 1e6:.1f} MB)")
    click.echo(
        f"Checked in {form.runs_on} on {difference.images} test images of {title}: no feature is "
        f"off by more than {difference.features:.1e}, no probability by more than "
        f"{difference.probabilities:.1e} ({TOLERANCE:g} is allowed)"
    )
    if difference.pictures:
        click.echo(
            f"Judged {difference.pictures} pictures with its features: the site's answers, to "
            f"{difference.answers:.1e}"
        )
    else:
        side = metadata.plan.side
        click.echo(
            f"Not compared with the site's answers: the site gives this network {side}x{side} "
            "pixels, so an export of another size cannot reproduce them"
        )
    more = f", {form.several}" if form.several else ""
    click.echo(f"Takes    image: RGB from 0 to 255 as float32 ({batch}, {', '.join(rest)}){more}")
    click.echo(f"Gives    features, {done.width} of each picture")
    click.echo(f"         probabilities of {', '.join(metadata.classes)}, in this order")
    click.echo(
        f"Says     classes, temperature ({metadata.temperature:.3f}), views and threshold: "
        "docs/using-an-export.md"
    )
    if metadata.second_head:
        click.echo(
            "Needs    the bundle's judge.npz for the site's answer: it asks a second head, which "
            "is there"
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
