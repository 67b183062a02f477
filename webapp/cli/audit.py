"""`flask data audit`: find what is wrong with CIFAR-10, or with a folder of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from flask import current_app
from flask.cli import with_appcontext
from numpy.typing import NDArray

from model_training.auditing.audit import able_judges
from model_training.bundles.bundle import read_bundles
from model_training.datasets.class_folders import has_class_folders
from model_training.datasets.dataset import CLASSES, Cifar10
from webapp.cli.bars import Bars
from webapp.cli.shared import find_data, photo_opener
from webapp.library import AUDIT_FILE

if TYPE_CHECKING:
    from model_training.auditing.audit import Audit
    from model_training.bundles.bundle import Bundle


@click.command("audit")
@click.argument("judges", metavar="[MODEL]...", nargs=-1)
@click.option(
    "--data",
    "data_path",
    type=click.Path(path_type=Path),
    help="A folder or archive of CIFAR-10, otherwise it is found or fetched; or a folder of your "
    "own, with a folder of pictures for each class.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="For a folder of your own: the table to write. By default NAME-audit.csv, in the folder "
    "of CIFAR-10.",
)
@click.option(
    "--features",
    "features_of",
    metavar="MODEL",
    default="mobilenetv2-frozen",
    show_default=True,
    help="The network by which images are compared.",
)
@with_appcontext
def audit_command(
    judges: tuple[str, ...], data_path: Path | None, report: Path | None, features_of: str
) -> None:
    """Find the data's own faults: near-copies and suspected label errors.

    Of CIFAR-10: test images with a near-copy among the training images, and test images whose label
    the MODELs doubt: all that are right on nine in ten of the validation images, unless some are
    named. Pages show what was found after a restart. Of a folder of your own: pictures that are
    there twice, and labels that their neighbours contradict. What the network makes of the images
    is kept in the folder of trainings.
    """
    bundles, _damaged = read_bundles(current_app.config["MODELS_FOLDER"])
    there = {bundle.name: bundle for bundle in bundles}
    for name in (features_of, *judges):
        if name not in there:
            known = ", ".join(there) or "none yet"
            choose = " Choose with --features." if name == features_of else ""
            raise click.UsageError(
                f"There is no model called {name!r} here. There is: {known}.{choose}"
            )
    if data_path is not None and has_class_folders(data_path):
        if judges:
            raise click.UsageError("No model was tested on a folder of your own: name none.")
        report = (
            report or current_app.config["DATA_FOLDER"] / f"{data_path.resolve().name}-audit.csv"
        )
        _audit_folder(data_path, there[features_of], report)
        return
    data = find_data(data_path)
    judging = [there[name] for name in judges] or able_judges(bundles, data.test.labels)
    audit = _audit(data, there[features_of], judging)
    path: Path = current_app.config["DATA_FOLDER"] / AUDIT_FILE
    _print_audit(audit, path)


def _audit(data: Cifar10, features_of: Bundle, judges: list[Bundle]) -> Audit:
    # Here, so that `flask --help` does not wait for a deep-learning framework.
    from model_training.auditing.audit import make_audit, write_audit
    from model_training.auditing.embedding import QUICK_SIDE, embed

    folder: Path = current_app.config["TRAINING_FOLDER"] / "features"
    with Bars() as bars:

        def embedding(bundle: Bundle, images: NDArray[np.uint8]) -> NDArray[np.float16]:
            looking = bars.each(f"{bundle.name} looks", len(images))
            # All images for the one, a few for the judges.
            side = QUICK_SIDE if bundle is features_of else None
            return embed(bundle, images, folder, looking, side)

        try:
            audit = make_audit(data, features_of, judges, embedding, bars.until("comparing pairs"))
            write_audit(current_app.config["DATA_FOLDER"] / AUDIT_FILE, audit)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            raise click.ClickException(
                f"A file could not be read or written ({error}). The audit that was there before "
                "is whole."
            ) from error
    return audit


def _audit_folder(folder: Path, features_of: Bundle, report: Path) -> None:
    from model_training.auditing.embedding import QUICK_SIDE, embed
    from model_training.auditing.folder_audit import SIDE, audit_folder, write_findings
    from model_training.datasets.class_folders import FolderError
    from model_training.datasets.folder import read_folder

    with Bars() as bars:
        try:
            data = read_folder(folder, SIDE, photo_opener(SIDE), bars.until("reading"))
            if features_of.card.input_size <= SIDE // 3:
                raise click.UsageError(
                    f"{features_of.name} sees only {features_of.card.input_size} pixels: give "
                    "--features a network that sees more."
                )
            kept: Path = current_app.config["TRAINING_FOLDER"] / "features"
            on_images = bars.each("looking at images", len(data.images))
            features = embed(features_of, data.images, kept, on_images, QUICK_SIDE)
            audit = audit_folder(data, features, bars.until("comparing pairs"))
            rows = write_findings(report, audit)
        except (FolderError, ValueError) as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            raise click.ClickException(f"A file could not be read or written ({error}).") from error
    click.echo(
        f"{len(data.images):,} pictures of {len(data.classes)} classes: "
        f"{len(audit.copies):,} pairs of near-copies, {len(audit.contradictions):,} of them with "
        "different labels; "
        f"{len(audit.suspects):,} labels that their neighbours contradict; "
        f"{len(data.unreadable):,} files that are no pictures."
    )
    for number in audit.suspects[:5].tolist():
        click.echo(
            f"  {data.names[number]}: rather {data.classes[audit.doubts.suggested[number]]} "
            f"(doubt {audit.doubts.doubt[number]:.3f})"
        )
    click.echo(f"All {rows:,} findings are in {report}.")


def _print_audit(audit: Audit, path: Path) -> None:
    doubts, first = audit.doubts, audit.rank.argsort()[:5]
    click.echo(
        f"{len(audit.copies):,} test images have a near-copy among the training images, "
        f"{audit.is_contradicted.sum():,} of them with another label."
    )
    click.echo(
        f"{doubts.suspected.sum():,} labels are suspected to be wrong, as judged by "
        f"{', '.join(audit.provenance.models)}. The most doubtful:"
    )
    for number in first.tolist():
        click.echo(
            f"  test image {number}: labelled {CLASSES[audit.labels[number]]}, rather "
            f"{CLASSES[doubts.suggested[number]]} (doubt {doubts.doubt[number]:.3f})"
        )
    click.echo(f"Written to {path}. Restart the site to see it.")
