"""`flask models`: the bundles that are here, and what trainings have left behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup

from model_training.bundles.bundle import Bundle, BundleError
from model_training.bundles.manage import (
    describe,
    half_written,
    remove_bundle,
    rename_bundle,
    size,
)
from model_training.bundles.reading import read_bundles
from model_training.bundles.writing import make_report
from model_training.networks.frozen.pieces import kept
from model_training.training import checkpoint
from model_training.training.checkpoint import CheckpointError, Unfinished
from webapp.cli.common.bundles import TAKE_UP, check_address, find_bundle, say_unsigned
from webapp.library import reloading

FEATURES, TRIALS = "features", "tuning"

models_commands = AppGroup("models", help="The trained models that are here: list, rename, remove.")


@dataclass(frozen=True)
class Leftover:
    """Something that a training left behind and nobody may need any more; `size` is in bytes."""

    name: str
    what: str
    size: int
    remove: Callable[[], None]


@models_commands.command("list")
def list_command() -> None:
    """Show every model, and what unfinished training runs have left behind."""
    bundles, damaged = read_bundles(_folder())
    for line in _table([_row(bundle) for bundle in bundles]):
        click.echo(line)
    if not bundles:
        click.echo("No model is here yet: `flask train custom-cnn` trains the first.")
    for name, problem in damaged.items():
        click.echo(
            f"{name} is damaged and left out ({_megabytes(size(_folder() / name))}): {problem}"
        )
    leftovers = _leftovers()
    if leftovers:
        click.echo("\nLeft behind by training runs (`flask models clean` removes it):")
    for one in leftovers:
        click.echo(f"  {one.name}: {one.what}, {_megabytes(one.size)}")


@models_commands.command("remove")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove_command(names: tuple[str, ...], yes: bool) -> None:
    """Remove the models NAME, for good."""
    bundles, damaged = read_bundles(_folder())
    there = [*(bundle.name for bundle in bundles), *damaged]
    for name in names:
        if name not in there:
            known = ", ".join(sorted(there)) or "none"
            raise click.BadParameter(
                f"there is no model called {name!r} here. Available: {known}.", param_hint="NAME"
            )
    for name in dict.fromkeys(names):
        path = _folder() / name
        click.echo(f"{name}: {describe(path)}; {_megabytes(size(path))}")
    if not yes:
        click.confirm(
            "Remove it for good?" if len(names) == 1 else "Remove them for good?", abort=True
        )
    for name in dict.fromkeys(names):
        with _explained(name):
            remove_bundle(_folder() / name)
        click.echo(
            f"{name} is removed. Run `flask models reload` to unload it from a running site."
        )
        _say_if_default(name)


@models_commands.command("rename")
@click.argument("name", metavar="NAME")
@click.argument("new_name", metavar="NEW-NAME")
def rename_command(name: str, new_name: str) -> None:
    """Rename the model NAME to NEW-NAME.

    Its network stays as it is, byte for byte.
    """
    bundle = find_bundle(name)
    check_address(new_name, "NEW-NAME")
    was_signed = bundle.is_signed
    with _explained(name):
        rename_bundle(bundle, new_name)
    click.echo(f"{name} is called {new_name} now. {TAKE_UP}")
    say_unsigned(new_name, was_signed)
    _say_if_default(name)
    if checkpoint.exists(current_app.config["TRAINING_FOLDER"] / name):
        click.echo(f"An unfinished training of {name} is there too, and keeps that name.")


@models_commands.command("report-only")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
def report_only_command(names: tuple[str, ...], yes: bool) -> None:
    """Keep the reports of the models NAME, and remove their networks for good.

    Their pages stay as they are and say which command makes the network again. A report takes about
    half a megabyte.
    """
    bundles = [find_bundle(name) for name in dict.fromkeys(names)]
    for bundle in bundles:
        network = bundle.model_path
        there = f"{_megabytes(network.stat().st_size)}" if network else "a report already"
        click.echo(f"{bundle.name}: {there}; `{bundle.card.training.command}` makes it again")
    bundles = [bundle for bundle in bundles if bundle.model_path is not None]
    if bundles and not yes:
        click.confirm("Remove the networks for good?", abort=True)
    for bundle in bundles:
        was_signed = bundle.is_signed
        with _explained(bundle.name):
            report = make_report(bundle)
        click.echo(f"{report.name} is a report now, {_megabytes(size(report.path))}.")
        say_unsigned(report.name, was_signed)
        _say_if_default(report.name)


@models_commands.command("reload")
@click.option(
    "--wait",
    metavar="SECONDS",
    type=click.IntRange(1),
    default=300,
    show_default=True,
    help="How long to wait until every worker has loaded the changes.",
)
def reload_command(wait: int) -> None:
    """Make the running site load models that are new or changed, and drop those that are removed.

    Every worker loads a changed model beside the one in use and then switches over, so no request
    waits. A model that cannot be loaded is reported, and its previous version stays in use.
    """
    path = Path(current_app.instance_path) / reloading.REQUEST
    try:
        number = reloading.ask(path)
    except OSError as error:
        raise click.ClickException(
            f"{path} cannot be written ({error.strerror}). Send SIGHUP to the server instead: "
            "`kill -HUP` and the number of gunicorn's first process, 1 in a container."
        ) from error
    at_work: set[str] = set()
    failed = False
    try:
        for said in reloading.follow(path, number, wait):
            if said["state"] == "begun":
                at_work.add(said["worker"])
            elif said["state"] == "replaced":
                at_work.clear()
            else:
                at_work.discard(said["worker"])
                failed = failed or bool(said["failed"])
                click.echo(f"{said['worker']}: {_what_was_taken(said)}")
    except TimeoutError as error:
        raise click.ClickException(
            "No running site has responded. A site that is starting loads the models by itself; "
            f"one that is already running must use the folder {current_app.instance_path}."
        ) from error
    if at_work:
        raise click.ClickException(f"Not done after {wait} seconds: {', '.join(sorted(at_work))}.")
    if failed:
        raise click.ClickException(
            "Some models could not be loaded. Where a previous version was in use, it still is."
        )


@models_commands.command("clean")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--yes", is_flag=True, help="Do not ask.")
def clean_command(names: tuple[str, ...], yes: bool) -> None:
    """Remove what training runs left behind: all of it, or NAME as `flask models list` shows it.

    These are unfinished training runs, which --resume would go on with; features of frozen layers,
    which are computed again when they are needed; and models that were not written to the end.
    """
    found = {one.name: one for one in _leftovers()}
    for name in names:
        if name not in found:
            known = ", ".join(found) or "nothing"
            raise click.BadParameter(
                f"nothing called {name!r} was left behind. Available: {known}.", param_hint="NAME"
            )
    chosen = [found[name] for name in dict.fromkeys(names)] or list(found.values())
    if not chosen:
        click.echo("Nothing was left behind.")
        return
    for one in chosen:
        click.echo(f"{one.name}: {one.what}, {_megabytes(one.size)}")
    if not yes:
        click.confirm("Remove it for good?", abort=True)
    for one in chosen:
        with _explained(one.name):
            one.remove()
    click.echo(f"{_megabytes(sum(one.size for one in chosen))} freed")


def _what_was_taken(said: dict[str, Any]) -> str:
    parts = [
        f"{name} {what}"
        for what, names in (("loaded", said["loaded"]), ("gone", said["gone"]))
        for name in names
    ]
    parts += [f"{name} could not be loaded: {why}" for name, why in said["failed"].items()]
    return f"{'; '.join(parts) or 'nothing has changed'} ({said['seconds']:.1f} s)"


def _row(bundle: Bundle) -> tuple[str, ...]:
    card = bundle.card
    default = bundle.name == current_app.config["DEFAULT_MODEL"]
    return (
        bundle.name,
        f"{card.metrics['test'].accuracy:.4f}",
        card.training.data_set,
        _megabytes(size(bundle.path)),
        "report only" if bundle.model_path is None else "default" if default else "here",
        card.title,
    )


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    if not rows:
        return
    rows = [("name", "accuracy", "data set", "size", "network", "title"), *rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        for number in (1, 3):  # Numbers stand below each other by their ends.
            cells[number] = row[number].rjust(widths[number])
        yield "  ".join(cells).rstrip()


def _leftovers() -> list[Leftover]:
    folder: Path = current_app.config["TRAINING_FOLDER"]
    trainings, trials = checkpoint.unfinished(folder), checkpoint.unfinished(folder / TRIALS)
    found = [
        Leftover(one.name, _progress(one), one.size, partial(checkpoint.throw_away, one.path))
        for one in trainings
    ]
    if files := kept(folder / FEATURES):
        found.append(
            Leftover(
                FEATURES if FEATURES not in {one.name for one in trainings} else f"{FEATURES}/",
                f"features of frozen layers, in {len(files)} files",
                sum(file.stat().st_size for file in files),
                partial(_remove_features, folder),
            )
        )
    for one in trials:
        if not one.is_running:
            name, what = f"{TRIALS}/{one.name}", "a trial of a search that was killed"
            found.append(Leftover(name, what, one.size, partial(shutil.rmtree, one.path)))
    for path in half_written(_folder()):
        what = "a model that was not written to the end"
        found.append(Leftover(path.name, what, size(path), partial(shutil.rmtree, path)))
    return found


def _remove_features(folder: Path) -> None:
    # Looked at now: one may have begun while a question waited for its answer.
    trainings = [*checkpoint.unfinished(folder), *checkpoint.unfinished(folder / TRIALS)]
    if running := [one.name for one in trainings if one.is_running]:
        raise CheckpointError(f"A training may be reading it: {', '.join(running)} is running.")
    for file in kept(folder / FEATURES):
        file.unlink(missing_ok=True)


def _progress(one: Unfinished) -> str:
    saved = f"last saved on {one.saved:%Y-%m-%d at %H:%M} UTC"
    if one.state is None:
        return f"an unfinished training that cannot be read ({one.problem}), {saved}"
    state = one.state
    phases = len(state.settings["phases"])
    where = f"after {len(state.history)} of {state.epochs} epochs"
    if phases > 1:
        where += f", in phase {state.phase + 1} of {phases}"
    if state.is_trained:
        where = "trained to the end and not yet measured"
    running = "running now, " if one.is_running else ""
    return f"{running}an unfinished training {where}, {saved}; begun with `{state.command}`"


def _folder() -> Path:
    folder: Path = current_app.config["MODELS_FOLDER"]
    return folder


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _say_if_default(name: str) -> None:
    if name == current_app.config["DEFAULT_MODEL"]:
        click.echo(
            f"{name} was the model that answers visitors. Set DEFAULT_MODEL to another "
            "(docs/settings.md); otherwise the first that is there answers."
        )


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what may go wrong with `name` into a sentence."""
    try:
        yield
    except (BundleError, CheckpointError, ValueError) as error:
        sentence = str(error).rstrip(".")
        raise click.ClickException(f"{name} is left as it is: {sentence}.") from error
    except OSError as error:
        raise click.ClickException(f"{name} is left as it is: {error}.") from error
