"""Trainings as the terminal shows them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_training.bundles.bundle import BundleError
from model_training.datasets.dataset import DataError, DataSet
from model_training.recipes import Recipe
from model_training.training.options import Options
from webapp.cli.common.bars import Bars
from webapp.cli.common.preparing import say_if_emulated
from webapp.cli.common.results import epoch_line
from webapp.cli.common.together import Together

if TYPE_CHECKING:
    from model_training.bundles.bundle import Bundle
    from model_training.training.loop import Place

WAITS = (
    "Another training is computing what the same frozen layers say of these images: this one waits "
    "for it, and then uses that too. Ctrl-C stops."
)


def train_shown(
    recipe: Recipe,
    data: DataSet,
    options: Options,
    bundle_path: Path,
    place: Place,
    calibrated: Path,
    told: dict[str, bool],
    together: Together,
) -> Bundle:
    """Run a training, and show on the terminal how it goes.

    Raises:
        click.ClickException: it ended otherwise than with a bundle; the message says how to go on.
    """
    # Here, so that `flask --help` does not wait for a deep-learning framework.
    from model_training.networks.frozen.pieces import FullDisk
    from model_training.networks.pretrained import WeightsError
    from model_training.training.learning.outcome import Interrupted
    from model_training.training.learning.watcher import Watcher
    from model_training.training.measuring import MeasuringInterrupted
    from model_training.training.run import run

    say_if_emulated(recipe)
    done = total = features_done = features_total = 0
    # Until a training that begins anew has been saved, there may be the state of another.
    is_saved = told["resume"]

    def start(parameters: int, steps_done: int, steps: int) -> None:
        nonlocal done, total, is_saved
        done, total, is_saved = steps_done, steps, True
        note = f" (resumed after {done:,} of {total:,} steps)" if done else ""
        click.echo(f"Training {recipe.title}: {parameters:,} parameters{note}")
        if done < total and recipe.phases[0].learns_from is None:
            bars.show("training", done, total)  # The first step takes longest.

    def step(count: int) -> None:
        nonlocal done
        done += count
        bars.show("training", done, total)

    def features(count: int, images: int) -> None:
        nonlocal features_done, features_total
        if images != features_total or features_done >= images:  # Each phase has its own.
            features_done, features_total = 0, images
        features_done += count
        bars.show("frozen layers", features_done, images)

    with Bars() as bars:
        watcher = Watcher(
            on_start=start,
            on_step=step,
            on_epoch=lambda row: bars.echo(epoch_line(row)),
            on_features=features,
            on_wait=lambda: click.echo(WAITS, err=True),
            on_stage=bars.show,
            on_warning=lambda message: click.echo(f"Warning: {message}", err=True),
        )
        try:
            with together.joined() as team:
                return run(
                    recipe,
                    data,
                    options,
                    bundle_path,
                    place,
                    calibrated=calibrated,
                    watcher=watcher,
                    team=team,
                    **told,
                )
        except MeasuringInterrupted as error:
            raise click.ClickException(
                "Stopped while measuring. The trained network is kept: give the same command with "
                "--resume and only the measuring is repeated."
            ) from error
        except Interrupted as error:
            raise click.ClickException(
                "Stopped. Everything is kept: give the same command with --resume to go on."
            ) from error
        except KeyboardInterrupt as error:
            kept = (
                "What was saved last is kept: give the same command with --resume to go on from it."
                if is_saved
                else "Nothing had been saved yet."
            )
            raise click.ClickException(f"Stopped at once. {kept}") from error
        except FullDisk as error:
            again = "with --resume" if is_saved else "again"
            raise click.ClickException(f"{error} Then give the same command {again}.") from error
        except (WeightsError, BundleError, DataError, ValueError) as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            again = "go on with --resume" if is_saved else "start again"
            raise click.ClickException(
                f"A file could not be read or written ({error}). The bundle that was there before "
                f"is whole. Where the disk is full, make room and {again}."
            ) from error


def help_shown(
    recipe: Recipe,
    data: DataSet,
    options: Options,
    place: Place,
    together: Together,
    *,
    resume: bool,
) -> None:
    """Take the steps of a training that another process leads.

    Raises:
        click.ClickException: it ended early.
    """
    from model_training.networks.frozen.pieces import FullDisk
    from model_training.networks.pretrained import WeightsError
    from model_training.training.checkpoint import CheckpointError
    from model_training.training.learning.outcome import Interrupted
    from model_training.training.run import help_with

    try:
        with together.joined() as team:
            click.echo(f"Rank {team.rank} of {team.processes} trains along; rank 0 tells the rest.")
            help_with(recipe, data, options, place, team, resume=resume)
    except Interrupted as error:
        raise click.ClickException("Stopped: rank 0 says how to go on.") from error
    except (WeightsError, FullDisk, CheckpointError, DataError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"A file could not be read or written ({error}).") from error
    click.echo("Done: rank 0 measures the network and writes its bundle.")
