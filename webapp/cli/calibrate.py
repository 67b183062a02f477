"""`flask calibrate`: fit the judge of a bundle again, without training its network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from flask import current_app
from flask.cli import with_appcontext
from numpy.typing import NDArray

from model_training.bundles.bundle import Bundle
from model_training.bundles.card import Calibration
from model_training.bundles.writing import replace_judge
from model_training.datasets.dataset import DataError
from model_training.judging.calibration import Calibrator, fit_calibrator
from model_training.training.options import Parts
from webapp.cli.common.bars import Bars
from webapp.cli.common.bundles import TAKE_UP, find_bundle, kept_whole, say_unsigned
from webapp.cli.common.data_sources import data_options, data_set_of, find_source
from webapp.cli.common.photos import PhotoFiles, judged_features


@click.command("calibrate")
@click.argument("name", metavar="NAME")
@click.option(
    "--photos",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Set the thresholds on photos, with one folder for each kind: folders named after a class "
    "hold photos of it, all others strangers. One half sets them, the other half measures.",
)
@data_options
@with_appcontext
def calibrate_command(
    name: str,
    photos: Path | None,
    dataset: str | None,
    data_path: Path | None,
    data_name: str | None,
) -> None:
    """Fit the judge of the bundle NAME again: what tells its classes from anything else.

    `flask train` does this at its end; this command does it for an existing bundle. The network
    stays unchanged, bit for bit. The images are those that it was trained on; if they are your
    own, give their location with --data. With --photos, only the verdicts and the probabilities
    change, and no data set is needed.
    """
    bundle = find_bundle(name)
    if bundle.model_path is None:
        raise click.ClickException(f"{name} is only a report: its network is not here.")
    if photos is not None:
        if dataset is not None or data_path is not None:
            raise click.UsageError("--photos needs no data set: leave out --dataset and --data.")
        _set_on_photos(bundle, photos)
        return
    _fit_again(bundle, dataset, data_path, data_name)


def _calibrator(bundle: Bundle) -> Calibrator:
    """Return the calibration of `bundle` fitted again on what it said of validation images."""
    facts, stored = bundle.card.training, bundle.predictions
    set_on = f"the validation images of the run `{facts.calibrated_by or facts.command}`"
    return fit_calibrator(stored.validation, stored.validation_labels, set_on)


def _set_on_photos(bundle: Bundle, folder: Path) -> None:
    judge = bundle.judge
    if judge is None:
        raise click.ClickException(
            f"{bundle.name} has no judge yet: `flask calibrate {bundle.name}` makes one."
        )
    # Here, so that `flask --help` does not wait for a deep-learning framework.
    from model_training.judging.parts.on_photos import JudgedPhotos, set_on_photos
    from model_training.judging.parts.verdicts import VERDICTS
    from model_training.networks.backend import KerasBackend
    from model_training.networks.loading import NetworkError, load_network

    files = PhotoFiles.of(folder)
    classes = [*judge.classes]
    if not set(files.kinds) & set(classes):
        raise click.ClickException(
            f"{folder} has no folder with photos of a class of {bundle.name} "
            f"({', '.join(classes[:3])} …)."
        )
    assert bundle.model_path is not None
    try:
        backend = KerasBackend(load_network(bundle.model_path))
    except NetworkError as error:
        raise click.ClickException(f"{bundle.name}: {error}") from error
    with Bars() as bars:
        features, opened = judged_features(
            files,
            judge,
            backend,
            current_app.config["MAX_PHOTO_PIXELS"],
            bars.until("photos"),
            lambda path, problem: click.echo(f"left out: {path}: {problem}", err=True),
        )
    own = files.labels(classes)[opened]
    calibrator = _calibrator(bundle)
    if judge.pretrained is None:  # Else it has a calibration of its own, of both heads.
        judge = replace(judge, calibration=calibrator)
    judged = JudgedPhotos(
        judge.novelty(features), judge.probabilities(features).argmax(axis=1) == own, own < 0
    )
    chosen = ~np.array(files.second)[opened]
    try:
        threshold, rates = set_on_photos(judged, chosen, f"the photos in {folder.name}")
    except ValueError as error:
        raise click.ClickException(f"{error}.") from error
    said = Calibration.of(calibrator, *_tested(bundle))
    was_signed = bundle.is_signed
    with kept_whole(bundle.name):
        replace_judge(bundle, replace(judge, threshold=threshold), said)
    click.echo(f"{bundle.name}: set on {threshold.set_on}.")
    counted = f"{rates.photos:,} photos of the classes, {rates.strangers:,} strangers"
    click.echo(f"Measured on {rates.measured_on}: {counted}.")
    for number, verdict in enumerate(VERDICTS):
        click.echo(
            f"  {verdict:9} {rates.of_photos[number]:6.1%} of the photos "
            f"({rates.right[number]:.1%} of them named right), "
            f"{rates.of_strangers[number]:6.1%} of the strangers"
        )
    click.echo(TAKE_UP)
    say_unsigned(bundle.name, was_signed)


def _tested(bundle: Bundle) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    return bundle.predictions.test, bundle.predictions.test_labels


def _fit_again(
    bundle: Bundle, dataset: str | None, data_path: Path | None, data_name: str | None
) -> None:
    card, name = bundle.card, bundle.name
    if card.training.all_data:
        raise click.ClickException(
            f"{name} learned from the validation images too, so no image is left that it has not "
            f"seen. `flask train {card.recipe} --all-data --force` does this at its end, with what "
            "the run before it knows, if that has a judge. --photos sets its verdicts on photos."
        )
    given = dataset is not None or data_path is not None
    source = find_source(dataset, data_path, data_name) if given else None
    data = data_set_of(bundle, source)
    # Here, so that `flask --help` does not wait for a deep-learning framework.
    from model_training.datasets.pictures.views import default_plan
    from model_training.judging.fitting import fit_judge
    from model_training.networks.backend import KerasBackend
    from model_training.networks.loading import NetworkError, load_network
    from model_training.networks.memory import batch_within_memory

    assert bundle.model_path is not None
    try:
        model = load_network(bundle.model_path)
    except NetworkError as error:
        raise click.ClickException(f"{name}: {error}") from error
    calibrator = _calibrator(bundle)
    data = data.for_network(card.input_size, takes_any=model.input_shape[1] is None)
    with Bars() as bars:
        try:
            parts = Parts.of_card(data, card.training.changes)
            validation = parts.validation
            assert validation is not None  # It has not learned from all of them.
            judge = fit_judge(
                KerasBackend(model),
                data.classes,
                bundle.judge.plan if bundle.judge else default_plan(card.input_size, data.side),
                parts.fitted,
                validation,
                calibrator,
                calibrator.set_on,
                pretrained=bundle.judge.pretrained if bundle.judge else None,
                batch_size=batch_within_memory(model),
                on_images=bars.until("images"),
            )
        except (DataError, ValueError) as error:
            raise click.ClickException(f"{name}: {str(error).rstrip('.')}.") from error
    was_signed = bundle.is_signed
    with kept_whole(name):
        bundle = replace_judge(bundle, judge, Calibration.of(calibrator, *_tested(bundle)))
    size = sum(file.stat().st_size for file in bundle.files.values())
    click.echo(
        f"{name} now calls pictures with a novelty above {judge.threshold.novelty:.2f} none of its "
        f"classes; {judge.threshold.kept:.0%} of the {len(validation):,} validation images are "
        "below that."
    )
    click.echo(f"Written to {bundle.path}, {size / 1e6:.1f} MB. {TAKE_UP}")
    say_unsigned(bundle.name, was_signed)
