"""`flask models explain`: measure which maps explain a network, and keep it in its card."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from model_training.bundles.bundle import Bundle
from model_training.bundles.card import Explanation
from model_training.bundles.writing import replace_explanation
from model_training.datasets.kept import find_description, read_kept
from webapp.cli.common.bars import Bars
from webapp.cli.common.bundles import TAKE_UP, find_bundle, kept_whole, say_unsigned

IMAGES = 40


@click.command("explain")
@click.argument("name", metavar="NAME")
@click.option(
    "--photos",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Measure on real photos: a folder with a folder of photos for each class.",
)
@click.option(
    "--images",
    type=click.IntRange(min=4),
    default=IMAGES,
    show_default=True,
    help="How many pictures to choose by; as many others are reported.",
)
@with_appcontext
def explain_command(name: str, photos: Path | None, images: int) -> None:
    """Measure how well heat maps explain the answers of the model NAME, and choose the best method.

    Each method is compared with a blob in the middle of the picture, which knows nothing of the
    network (insertion minus deletion; docs/explanations.md). The best is chosen on one half of the
    pictures and reported on the other. Only the card changes.
    """
    bundle = find_bundle(name)
    # Here, so that `flask --help` does not wait for a deep-learning framework.
    from model_training.explaining.comparing import compare_methods
    from model_training.explaining.methods import METHODS
    from model_training.explaining.samples import of_photos, of_test_images
    from webapp.serving.classifier import Classifier, ClassifierError

    try:
        classifier = Classifier(bundle)
        if photos is not None:
            most = current_app.config["MAX_PHOTO_PIXELS"]
            halves, set_on = of_photos(photos, classifier.classes, images, most), "photos"
        else:
            kept = read_kept(_kept_folder(bundle))
            if kept.test is None:
                raise click.ClickException(
                    f"The test images of {kept.description.title} are damaged: `flask data pack` "
                    "writes them anew."
                )
            halves, set_on = of_test_images(kept.test, images), "test images"
    except (ClassifierError, ValueError) as error:
        raise click.ClickException(f"{name}: {error}.") from error
    with Bars() as bars:
        chosen, reported = (
            compare_methods(
                classifier.backend,
                classifier.judge,
                [classifier.judge.views(picture)[0].pixels for picture in half],
                bars.until(stage),
            )
            for half, stage in zip(halves, ("choosing", "reporting"), strict=True)
        )
    command = f"flask models explain {shlex.quote(name)} --images {images}"
    command += " --photos" if photos else ""
    explanation = Explanation(
        method=chosen.best(),
        quick=chosen.best(quick=True),
        scores={one: round(score, 4) for one, score in reported.means.items()},
        margins={
            one: (round(low, 4), round(high, 4)) for one, (low, high) in reported.margins.items()
        },
        milliseconds={one: round(spent, 1) for one, spent in reported.milliseconds.items()},
        images=images,
        set_on=set_on,
        command=command,
    )
    was_signed = bundle.is_signed
    with kept_whole(bundle.name):
        bundle = replace_explanation(bundle, explanation)
    click.echo(f"{'':22}{'score':>8}{'lead over the blob':>22}{'ms':>8}")
    for one, score in sorted(explanation.scores.items(), key=lambda item: -item[1]):
        low, high = explanation.margins[one]
        spent = explanation.milliseconds.get(one)
        click.echo(
            f"{one:22}{score:8.3f}{f'{low:+.3f} to {high:+.3f}':>22}"
            + (f"{spent:8.0f}" if spent is not None else "")
        )
    for said, one in (
        ("Best of all", explanation.method),
        ("Best of the quick ones", explanation.quick),
    ):
        beats = "beats" if explanation.beats_blob(one) else "does not beat"
        click.echo(f"{said}: {METHODS[one].title}, which {beats} the blob beyond chance.")
    click.echo(f"Written to {bundle.path}. {TAKE_UP}")
    say_unsigned(bundle.name, was_signed)


def _kept_folder(bundle: Bundle) -> Path:
    folder: Path = current_app.config["DATA_FOLDER"]
    found = find_description(folder, bundle.card.training.data_digest)
    if found is None:
        raise click.ClickException(
            f"The test images of {bundle.card.training.data_set}, on which {bundle.name} was "
            "tested, are not here: `flask data pack` keeps them. Or give photos with --photos."
        )
    return folder / found.name
