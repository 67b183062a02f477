"""`flask calibrate`: fit the judge of a bundle again, without training its network."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import with_appcontext

from model_training.bundles.writing import replace_judge
from model_training.datasets.dataset import split
from webapp.cli.common.bars import Bars
from webapp.cli.common.bundles import find_bundle
from webapp.cli.common.data_sources import data_options, data_set_of, find_source


@click.command("calibrate")
@click.argument("name", metavar="NAME")
@data_options
@with_appcontext
def calibrate_command(
    name: str, dataset: str | None, data_path: Path | None, data_name: str | None
) -> None:
    """Give the bundle NAME what tells its classes from anything else.

    `flask train` does the same at its end: this is for a bundle that is there already. Its network
    stays as it is, to the last bit. The images are those that it learned from; of pictures of your
    own, say with --data where they are.
    """
    bundle = find_bundle(name)
    card = bundle.card
    if bundle.model_path is None:
        raise click.ClickException(f"{name} is only a report: its network is not here.")
    if card.training.all_data:
        raise click.ClickException(
            f"{name} learned from the validation images too, so no image is left that it has not "
            f"seen. `flask train {card.recipe} --all-data --force` does this at its end, with what "
            "the run before it knows."
        )
    given = dataset is not None or data_path is not None
    source = find_source(dataset, data_path, data_name) if given else None
    data = data_set_of(bundle, source)
    # Here, so that `flask --help` does not wait for a deep-learning framework.
    from model_training.datasets.pictures.views import default_plan
    from model_training.judging.fitting import fit_judge
    from model_training.judging.judge import TemperatureScaling
    from model_training.networks.backend import KerasBackend
    from model_training.networks.loading import NetworkError, load_network
    from model_training.networks.memory import batch_within_memory

    try:
        model = load_network(bundle.model_path)
    except NetworkError as error:
        raise click.ClickException(f"{name}: {error}") from error
    set_on = f"the validation images of the run `{card.training.command}`"
    data = data.for_network(card.input_size, takes_any=model.input_shape[1] is None)
    learned, validation = (data.train.take(part) for part in split(data.train.labels))
    with Bars() as bars:
        try:
            judge = fit_judge(
                KerasBackend(model),
                data.classes,
                default_plan(card.input_size, data.side),
                learned,
                validation,
                TemperatureScaling(temperature=card.calibration.temperature, set_on=set_on),
                set_on,
                batch_size=batch_within_memory(model),
                on_images=bars.until("images"),
            )
        except ValueError as error:
            raise click.ClickException(f"{name}: {error}.") from error
    bundle = replace_judge(bundle, judge)
    size = sum(file.stat().st_size for file in bundle.files.values())
    click.echo(
        f"{name} calls none of its classes what is more novel than "
        f"{judge.threshold.novelty:.2f}, which keeps {judge.threshold.kept:.0%} of the "
        f"{len(validation):,} validation images."
    )
    click.echo(f"Written to {bundle.path}, {size / 1e6:.1f} MB. Restart the site to see it.")
