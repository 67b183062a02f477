"""Studies as commands name them: the settings that one found, for a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
from flask import current_app

from model_training.datasets.dataset import DataSet
from model_training.naming import is_slug
from model_training.recipes import Recipe
from model_training.recipes.space import write_values
from model_training.training import checkpoint
from model_training.tuning.record import SUFFIX, StudyError, StudyRecord, find_record
from model_training.tuning.settings import with_values

JOURNAL = ".log"
"""Behind the name of a study, that of the file in which its trials are kept."""

Command = TypeVar("Command", bound=Callable[..., Any])


def from_study_options(command: Command) -> Command:
    """Give `command` the options `--from-study` and `--trial`."""
    for decorate in (
        click.option(
            "--trial",
            type=click.IntRange(0),
            metavar="NUMBER",
            help="With --from-study: another trial than the best.",
        ),
        click.option(
            "--from-study",
            metavar="NAME",
            help="Train with the settings of the best trial of a study that `flask tune` made.",
        ),
    ):
        command = decorate(command)
    return command


def studies_folder() -> Path:
    """Return the folder in which studies are kept."""
    folder: Path = current_app.config["STUDIES_FOLDER"]
    return folder


def check_study_name(name: str) -> str:
    """Return `name`, which can be that of a study.

    Raises:
        click.BadParameter: it cannot.
    """
    if not is_slug(name):
        raise click.BadParameter(
            "a study's name has lower-case letters, digits, dots and dashes, and begins with a "
            f"letter or digit; {name!r} has not.",
            param_hint="--study",
        )
    if name.endswith(SUFFIX):
        raise click.BadParameter(
            f"a study's name does not end in {SUFFIX}, as the address of its record does.",
            param_hint="--study",
        )
    if name.endswith(JOURNAL):
        raise click.BadParameter(
            f"a study's name does not end in {JOURNAL}, as its file does.", param_hint="--study"
        )
    return name


def check_overridden(recipe: Recipe, options: Mapping[str, Any]) -> None:
    """Check that no option overrides a setting that a study found.

    Raises:
        click.UsageError: one does; the card would name a setting with which nothing was trained.
    """
    found = recipe.tuned.values if recipe.tuned is not None else {}
    for name in ("batch_size", "augmentation"):
        if name in found and options[name] is not None:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(
                f"{option} would override what the study found. Leave one of the two out: {option} "
                "or --from-study."
            )


def tuned_recipe(recipe: Recipe, study: str | None, trial: int | None) -> Recipe:
    """Return `recipe` with the settings that the `study` found, or as it is without one.

    Args:
        trial: whose settings; None for the best.

    Raises:
        click.ClickException: the study is not there, is about another recipe, or has no such trial.
    """
    if study is None:
        if trial is not None:
            raise click.UsageError("--trial says which one of a study: give --from-study too.")
        return recipe
    try:
        record = _record(study)
        tuned = record.tuned(trial)
    except StudyError as error:
        raise click.ClickException(str(error)) from error
    if record.about.recipe != recipe.name:
        raise click.ClickException(
            f"The study {study} searched settings for {record.about.recipe}, not for {recipe.name}."
            f" Train that, or make a study of this with `flask tune {recipe.name}`."
        )
    click.echo(
        f"With the settings of trial {tuned.trial} of the study {study}: "
        f"{write_values(tuned.values)}"
    )
    changed = with_values(recipe, tuned.values)
    return replace(changed, change="tuned settings", tuned=tuned)


def check_same_data(study: str | None, data: DataSet) -> None:
    """Make sure that the settings of `study` were found on `data`.

    Raises:
        click.ClickException: they were found on other images.
    """
    if study is None:
        return
    about = _record(study).about
    if about.data_digest != data.digest:
        raise click.ClickException(
            f"The study {study} searched settings for the images of {about.data_title}, and these "
            f"of {data.title} are others. Give those, or make a study of these with `flask tune`."
        )


def trial_of(state: Path, study: str | None, trial: int | None) -> int | None:
    """Return the trial with whose settings the unfinished training in `state` began.

    A study may have found better ones since; a training goes on with its own.
    """
    if study is None or trial is not None or not checkpoint.exists(state):
        return trial
    began = checkpoint.read_state(state).settings.get("tuned") or {}
    found: int | None = began.get("trial") if began.get("study") == study else None
    return found


def _record(study: str) -> StudyRecord:
    try:
        return find_record(studies_folder(), study)
    except StudyError as error:
        raise click.ClickException(str(error)) from error
