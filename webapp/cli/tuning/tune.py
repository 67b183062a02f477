"""`flask tune`: a search for better settings of a recipe, trial by trial."""

from __future__ import annotations

import importlib.util
import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from flask import current_app
from flask.cli import with_appcontext

from model_training.datasets.dataset import DataError
from model_training.networks.importing import compute_with_onednn
from model_training.recipes import Recipe
from model_training.recipes.space import write_values
from model_training.training.options import Options
from model_training.training.signals import stop_signals
from model_training.tuning.record import (
    About,
    StudyError,
    StudyRecord,
    write_record,
)
from model_training.tuning.spaces import SpaceError
from webapp.cli.common.bars import Bars
from webapp.cli.common.data_sources import data_options, find_source
from webapp.cli.common.preparing import (
    Minutes,
    recipe_called,
    say_if_emulated,
    say_what_is_resized,
    weights_for,
)
from webapp.cli.common.training import WAITS
from webapp.cli.tuning.progress import TrialProgress, epochs_of
from webapp.cli.tuning.studies import JOURNAL, check_study_name, studies_folder
from webapp.filters import counted

if TYPE_CHECKING:
    from model_training.tuning.search import Goal, Report, Search
    from model_training.tuning.storage import Database, Journal
    from model_training.tuning.trials import ShortRuns

TRIALS = 20
"""Trials of a study where nothing is said."""
TRAINED_WITH = ("dataset", "data_path", "data_name", "weights")
"""Options that the training with what was found needs as well."""
WITHOUT_OPTUNA = "flask tune needs Optuna: `pip install -r requirements-tune.txt`."


@click.command("tune")
@click.argument("name", metavar="RECIPE", required=False)
@click.option(
    "--trials",
    type=click.IntRange(1),
    help="End the search when the study has this many trials, including those of earlier runs and "
    f"of other machines. By default {TRIALS}, or as many as --minutes allows.",
)
@click.option(
    "--minutes",
    type=Minutes(),
    help="Start no new trial after this many minutes.",
)
@click.option(
    "--limit",
    type=click.IntRange(100),
    help="Number of training images per trial. By default 10,000, or all if there are fewer.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Epochs in a trial's last phase. By default an eighth of the recipe's, but at least 3.",
)
@click.option(
    "--study",
    metavar="NAME",
    help="The study's name. By default the recipe's, followed by the data set's if it is not the "
    "recipe's own.",
)
@click.option(
    "--storage",
    metavar="URL",
    help="postgresql://user:password@host/name, to share the study among machines that all run the "
    "same command. By default it is a local file, for one process.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="SETTING",
    help="Search this setting only, such as learning_rate; may be given several times.",
)
@click.option(
    "--pruner",
    type=click.Choice(["median", "hyperband", "none"]),
    default="median",
    show_default=True,
    help="The rule that stops unpromising trials early.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="A file of ImageNet weights, as of `flask train`.",
)
@click.option(
    "--heartbeat",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="With --storage: seconds between heartbeats. A worker that misses four is presumed dead, "
    "and its trial is started again.",
)
@data_options
@with_appcontext
def tune_command(
    name: str | None,
    dataset: str | None,
    data_path: Path | None,
    data_name: str | None,
    trials: int | None,
    minutes: float | None,
    limit: int | None,
    study: str | None,
    storage: str | None,
    pruner: str,
    heartbeat: int,
    only: tuple[str, ...],
    **options: Any,
) -> None:
    """Search for better hyperparameters of RECIPE, in short training runs.

    Each trial trains on a part of the training images and is evaluated on the validation images,
    never on the test images.  The recipe's own settings are the first trial.  Ctrl-C keeps every
    finished trial; the same command then continues the search.  `flask train RECIPE --from-study
    NAME` trains with the best settings found.
    """
    compute_with_onednn()
    recipe = recipe_called(name)
    if importlib.util.find_spec("optuna") is None:
        raise click.UsageError(WITHOUT_OPTUNA)
    options["weights"] = weights_for(recipe, options["weights"])
    source = find_source(dataset, data_path, data_name, default=recipe.data_set, otherwise=study)
    called = source.name if source.name != recipe.data_set else None
    usual = "-".join(part for part in (recipe.name, called) if part)[:64].rstrip("-.")
    study = check_study_name(study or usual)
    asked = Options(
        dataset=called if source.known else None, data=source.own_path, name=data_name, **options
    )
    url = storage or current_app.config["STUDIES_STORAGE"]
    with _said_plainly(), _opened(url, study, heartbeat) as store:
        # Here, so that `flask --help` does not wait for a deep-learning framework.
        from model_training.tuning.search import Goal, Search
        from model_training.tuning.trials import ShortRuns

        data = source.read(recipe.input_size)
        say_what_is_resized(recipe, data, recipe.input_size, fitted=source.is_folder)
        say_if_emulated(recipe)
        folder: Path = current_app.config["TRAINING_FOLDER"]
        runs = ShortRuns.of(recipe, data, asked, limit, folder / "features", folder / "tuning")
        bounds, own = runs.space(only)
        about = runs.about(bounds)
        search = Search(store, study, about, bounds, own, pruner, asked.seed)  # type: ignore[arg-type]
        goal = Goal(trials or (None if minutes else TRIALS), minutes)
        _say_what_begins(recipe, about, search, goal.trials)
        _tune(search, goal, runs, about, trials)


def _tune(search: Search, goal: Goal, runs: ShortRuns, about: About, trials: int | None) -> None:
    from model_training.tuning.recording import record_of, trial_record
    from model_training.tuning.search import TrialStopped, Watch

    data_options, options = _given(*TRAINED_WITH), _given(but=("trials",))
    record: StudyRecord | None = None

    def on_change() -> None:
        nonlocal record
        found = search.trials()
        done = search.finished(found)
        # As many as there are already would do nothing.
        more = 2 * done if goal.trials is not None and done >= goal.trials else trials
        words = ["flask tune", about.recipe, f"--trials {more}" if more else "", options]
        command = " ".join(word for word in words if word)
        record = record_of(search.study, found, about, command, data_options)
        write_record(studies_folder(), record)

    with Bars() as bars, stop_signals() as asked_to_stop:
        progress = TrialProgress(bars, about.epochs, goal.trials)
        watch = Watch(
            on_trial=lambda trial: progress.over(trial_record(trial)),
            on_epoch=progress.epoch,
            on_change=on_change,
            on_wait=lambda running: bars.echo(
                f"Nothing is left to begin; waiting for {running} of other workers."
            ),
        )

        def work(values: Mapping[str, float], report: Report) -> float:
            return runs.train(
                values,
                report,
                asked_to_stop.is_set,
                progress.features,
                on_wait=lambda: bars.echo(WAITS),
            )

        progress.begin([trial_record(one) for one in search.trials()])
        try:
            search.run(goal, work, watch, asked_to_stop.is_set)
        except (TrialStopped, KeyboardInterrupt) as error:
            done = record.finished if record else 0
            raise click.ClickException(
                f"Stopped. {counted(done, 'finished trial')} {'is' if done == 1 else 'are'} kept: "
                "give the same command to go on."
            ) from error
    assert record is not None  # The search ends by telling of it.
    _print_outcome(record)


def _say_what_begins(recipe: Recipe, about: About, search: Search, trials: int | None) -> None:
    before = search.finished(search.trials())
    click.echo(
        f"The study {search.study.study_name}: "
        f"{counted(trials, 'trial') if trials else 'as many trials as there is time for'}"
        f"{f', {before} of them before' if before else ''}, each {epochs_of(about.epochs)} of "
        f"{recipe.title} on {about.images:,} images of {about.data_title}, judged on "
        f"{about.validation_images:,} others; searching {', '.join(about.bounds)}."
    )


def _print_outcome(record: StudyRecord) -> None:
    pruned, failed = record.count("pruned"), record.count("failed")
    again = (
        "was interrupted, and its settings tried again"
        if failed == 1
        else "were interrupted, and their settings tried again"
    )
    click.echo(
        f"\nThe study {record.name}: {counted(record.finished, 'trial')} finished, "
        + f"{pruned} of them early"
        + (f"; {failed} {again}" if failed else "")
    )
    if record.best is None:
        click.echo(
            "No trial is complete yet, so nothing can be said of the best settings. To go on: "
            f"`{record.command}`."
        )
        return
    best, own = record.best, record.own
    click.echo(f"  best        accuracy {best.accuracy:.4f}  {write_values(best.values)}")
    if own is not None:
        click.echo(f"  the recipe  accuracy {own.accuracy:.4f}  {write_values(own.values)}")
    for name, share in list(record.importance.items())[:3]:
        click.echo(f"  {share:5.0%} of what differs is due to {name.replace('_', ' ')}")
    click.echo(
        f"/studies/{record.name} shows it. `{record.train_command}` trains with the best settings."
    )


@contextmanager
def _opened(url: str | None, study: str, heartbeat: int) -> Iterator[Journal | Database]:
    from model_training.tuning.storage import Database, Journal

    store: Journal | Database
    if url:
        store = Database(url, study, heartbeat)
    else:
        store = Journal(studies_folder() / f"{study}{JOURNAL}")
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _said_plainly() -> Iterator[None]:
    try:
        yield
    except (StudyError, SpaceError, DataError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(
            f"A file could not be read or written ({error}). Every finished trial is kept. Where "
            "the disk is full, make room and give the same command to go on."
        ) from error


def _given(*only: str, but: Collection[str] = ()) -> str:
    """Return the options that were given, as words for a shell.

    Nothing is told of a database, in whose address is a password.

    Args:
        only: names of parameters, where not all are wanted, or all `but` some.
    """
    context = click.get_current_context()
    words: list[str] = []
    for one in context.command.params:
        name = one.name or ""
        if not isinstance(one, click.Option) or name in but or (only and name not in only):
            continue
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        value = context.params[name]
        for each in value if one.multiple else (value,):
            written = f"{each:g}" if isinstance(each, float) else shlex.quote(str(each))
            told = "postgresql://…" if name == "storage" else written
            words.append(f"{one.opts[0]} {told}")
    return " ".join(words)
