"""`flask data audit`: find what is wrong with a data set, or with a folder of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from flask import current_app
from flask.cli import with_appcontext
from numpy.typing import NDArray

from model_training.auditing.audit import write_audit
from model_training.auditing.label_errors import CleanlabMissing, require_cleanlab
from model_training.auditing.models_audit import make_audit, select_ensemble
from model_training.bundles.reading import read_bundles
from model_training.datasets.dataset import DataError, DataSet
from model_training.datasets.folders.folder import divide
from model_training.datasets.kept import AUDIT, find_description
from webapp.cli.common.bars import Bars
from webapp.cli.common.bundles import TAKE_UP
from webapp.cli.common.data_sources import (
    Source,
    check_kept,
    data_options,
    find_source,
    keep_data,
    kept_folder,
)
from webapp.filters import counted

if TYPE_CHECKING:
    from model_training.auditing.audit import Audit
    from model_training.bundles.bundle import Bundle
    from model_training.datasets.folders.folder import FolderData


@click.command("audit")
@click.argument("judges", metavar="[MODEL]...", nargs=-1)
@data_options
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="For a folder of your own: audit it by nearest neighbours, even if models were tested "
    "on it, and write the findings to this table. By default NAME-audit.csv, in the data folder.",
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
    judges: tuple[str, ...],
    dataset: str | None,
    data_path: Path | None,
    data_name: str | None,
    report: Path | None,
    features_of: str,
) -> None:
    """Find the data's own faults: near-copies and suspected label errors.

    For a data set that models here were tested on, it finds test images with a near-copy among the
    training images, and test images whose label the MODELs doubt (by default all models that are
    right on 90 % of the validation images). `flask models reload` shows the findings on the site.

    For a folder of your own that no model was trained on, it writes a table of duplicate pictures
    and of labels that their nearest neighbours contradict. The features of the images are cached
    in the training folder.
    """
    bundles, _damaged = read_bundles(current_app.config["MODELS_FOLDER"])
    there = {bundle.name: bundle for bundle in bundles}
    for name in (features_of, *judges):
        if name not in there:
            known = ", ".join(there) or "none yet"
            choose = " Choose with --features." if name == features_of else ""
            raise click.UsageError(
                f"There is no model called {name!r} here. Available: {known}.{choose}"
            )
    try:
        require_cleanlab()
    except CleanlabMissing as error:
        raise click.ClickException(str(error)) from error
    source = find_source(dataset, data_path, data_name)
    if source.is_folder:
        from model_training.auditing.folder_audit import SIDE

        found = source.read_folder(SIDE)
        data = _divided(found, source)
        if report is not None or data is None or not select_ensemble(bundles, data):
            if judges:
                raise click.UsageError(
                    "This audit compares neighbours, as --report was given or no model was tested "
                    f"on {data_path}: leave out the MODELs."
                )
            report = report or current_app.config["DATA_FOLDER"] / f"{source.name}-audit.csv"
            _audit_folder(found, there[features_of], report)
            return
    else:
        data = source.read()
    check_kept(data)
    judging = [there[name] for name in judges] or select_ensemble(bundles, data)
    audit = _audit(data, there[features_of], judging)
    keep_data(data)
    path = kept_folder(data.name) / AUDIT
    try:
        write_audit(path, audit)
    except OSError as error:
        raise click.ClickException(
            f"A file could not be written ({error}). The audit that was there before is whole."
        ) from error
    _print_audit(audit, data, path)


def _divided(found: FolderData, source: Source) -> DataSet | None:
    """Return the data set that models may have learned from; None where it is too small for that.

    It is called as it is kept, whatever its folder is called.
    """
    try:
        data = divide(found, source.name)
    except DataError:
        return None
    kept = find_description(current_app.config["DATA_FOLDER"], data.digest)
    return data if kept is None else replace(data, name=kept.name, title=kept.title)


def _audit(data: DataSet, features_of: Bundle, judges: list[Bundle]) -> Audit:
    # Here, so that `flask --help` does not wait for a deep-learning framework.
    from model_training.auditing.embedding import embed
    from model_training.networks.frozen.pieces import FullDisk

    folder: Path = current_app.config["TRAINING_FOLDER"] / "features"
    with Bars() as bars:

        def embedding(
            bundle: Bundle, images: NDArray[np.uint8], largest_side: int | None
        ) -> NDArray[np.float16]:
            looking = bars.each(f"{bundle.name} looks", len(images))
            return embed(bundle, images, folder, looking, largest_side)

        try:
            return make_audit(data, features_of, judges, embedding, bars.until("comparing pairs"))
        except FullDisk as error:
            raise click.ClickException(f"{error} Then give the same command again.") from error
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            raise click.ClickException(
                f"A file could not be read or written ({error}). The audit that was there before "
                "is whole."
            ) from error


def _audit_folder(data: FolderData, features_of: Bundle, report: Path) -> None:
    from model_training.auditing.embedding import embed
    from model_training.auditing.folder_audit import SIDE, audit_folder, write_findings
    from model_training.auditing.near_copies import QUICK_SIDE
    from model_training.networks.frozen.pieces import FullDisk

    with Bars() as bars:
        try:
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
        except FullDisk as error:
            raise click.ClickException(f"{error} Then give the same command again.") from error
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            raise click.ClickException(f"A file could not be read or written ({error}).") from error
    click.echo(
        f"{len(data.images):,} pictures of {len(data.classes)} classes: "
        f"{counted(len(audit.copies), 'pair')} of near-copies, {len(audit.contradictions):,} of "
        f"them with different labels; {counted(len(audit.suspects), 'label')} contradicted by "
        f"what lies near; {counted(len(data.unreadable), 'file')} that cannot be opened."
    )
    for number in audit.suspects[:5].tolist():
        click.echo(
            f"  {data.names[number]}: rather {data.classes[audit.doubts.suggested[number]]} "
            f"(doubt {audit.doubts.doubt[number]:.3f})"
        )
    click.echo(f"All {rows:,} findings are in {report}.")


def _print_audit(audit: Audit, data: DataSet, path: Path) -> None:
    doubts, first = audit.doubts, audit.rank.argsort()[:5]
    copies, suspects = len(audit.copies), int(doubts.suspected.sum())
    click.echo(
        f"{copies:,} test image{'s have' if copies != 1 else ' has'} a near-copy among the "
        f"training images, {audit.is_contradicted.sum():,} of them with another label."
    )
    click.echo(
        f"{suspects:,} label{'s are' if suspects != 1 else ' is'} suspected to be wrong, as judged "
        f"by {', '.join(audit.provenance.models)}. The most doubtful:"
    )
    for number in first.tolist():
        file = f" ({data.test_names[number]})" if data.test_names else ""
        click.echo(
            f"  test image {number}{file}: labelled {data.classes[audit.labels[number]]}, rather "
            f"{data.classes[doubts.suggested[number]]} (doubt {doubts.doubt[number]:.3f})"
        )
    click.echo(f"Written to {path}. {TAKE_UP}")
