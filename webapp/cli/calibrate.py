"""`flask calibrate`: teach a bundle to tell strangers, without training it again."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import with_appcontext

from model_training.bundles.bundle import replace_novelty
from model_training.datasets.dataset import DIGEST, split
from webapp.cli.bars import Bars
from webapp.cli.shared import find_bundle, find_data


@click.command("calibrate")
@click.argument("name", metavar="NAME")
@click.option(
    "--data",
    "data_path",
    type=click.Path(path_type=Path),
    help="A folder or archive of CIFAR-10; otherwise it is found or fetched.",
)
@with_appcontext
def calibrate_command(name: str, data_path: Path | None) -> None:
    """Give the bundle NAME what tells its classes from anything else.

    `flask train` does the same at its end: this is for a bundle that is there already. Its network
    stays as it is, to the last bit.
    """
    bundle = find_bundle(name)
    if bundle.model_path is None:
        raise click.ClickException(f"{name} is only a report: its network is not here.")
    if bundle.card.training.all_data:
        raise click.ClickException(
            f"{name} learned from the validation images too, so no image is left that it has not "
            f"seen. `flask train {bundle.card.recipe} --all-data --force` does this at its "
            "end, with what the run before it knows."
        )
    if bundle.card.training.data_digest != DIGEST:
        raise click.ClickException(
            f"{name} learned from {bundle.card.training.data_set}, and only CIFAR-10 is at hand "
            f"here. Train it again: {bundle.card.training.command}"
        )
    data = find_data(data_path)
    # Here, so that `flask --help` does not wait for a deep-learning framework.
    import keras

    from model_training.judging.out_of_distribution import KEPT, fit

    learned, validation = (data.train.take(part) for part in split(data.train.labels))
    model = keras.saving.load_model(bundle.model_path, compile=False)
    with Bars() as bars:
        done = 0

        def on_images(count: int, total: int) -> None:
            nonlocal done
            done += count
            bars.show("images", done, total)

        try:
            novelty = fit(model, learned, validation, on_images=on_images)
        except ValueError as error:
            raise click.ClickException(f"{name}: {error}.") from error
    bundle = replace_novelty(bundle, novelty)
    size = sum(file.stat().st_size for file in bundle.files.values())
    click.echo(
        f"{name} calls strange what is more novel than {novelty.threshold:.2f}, which keeps "
        f"{KEPT:.0%} of the {len(validation):,} validation images."
    )
    click.echo(f"Written to {bundle.path}, {size / 1e6:.1f} MB. Restart the site to see it.")
