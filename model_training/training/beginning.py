"""Check, before hours go into it, that a run may begin and that nothing would be lost by it."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from model_training.bundles.manage import is_quick_try_of, refuse_to_replace
from model_training.recipes import Recipe
from model_training.training import checkpoint
from model_training.training.options import Options


class UnusableLogs(ValueError):
    """Logs cannot be written where they were asked for."""


def check_beginning(
    recipe: Recipe,
    options: Options,
    output: Path,
    state: Path,
    *,
    resume: bool,
    restart: bool,
    replace: bool,
    logs: Path | None = None,
) -> tuple[Options, bool]:
    """Check that a run may begin, or go on, and that nothing would be lost by it.

    Args:
        output, resume, restart, replace: as for `run`.
        state: the folder of the run's state.
        logs: the folder for TensorBoard's, if any; it is made.

    Returns:
        `options` with what a run that is resumed was told when it began, and whether it was told,
        now or then, that it may replace the bundle `output`.

    Raises:
        CheckpointError: there is an unfinished run and neither `resume` nor `restart` is given, or
            none to resume, or it is to become deterministic on its way.
        BundleExists: `output` is a bundle that may not be replaced.
        UnusableLogs: nothing can be written into `logs`.
    """
    unfinished = checkpoint.exists(state)
    if resume and not unfinished:
        raise checkpoint.nothing_to_resume(state)
    if unfinished and not (resume or restart):
        raise checkpoint.CheckpointError(
            f"There is an unfinished training of {output.name}. Continue it with --resume, "
            "or throw it away with --restart."
        )
    if resume:
        begun = checkpoint.read_state(state)
        options, replace = _resumed(options, begun), replace or begun.replace
    check_output(recipe, options, output, replace)
    if logs is not None:
        _check_logs(logs)
    return options, replace


def _resumed(options: Options, begun: checkpoint.State) -> Options:
    if options.deterministic and begun.deterministic is False:
        raise checkpoint.CheckpointError(
            "The unfinished training began without --deterministic, which cannot be made up for. "
            "Resume it without, or start anew with --restart."
        )
    return dataclasses.replace(
        options,
        report_only=options.report_only or begun.report_only,
        deterministic=options.deterministic or bool(begun.deterministic),
    )


def check_output(recipe: Recipe, options: Options, output: Path, replace: bool) -> None:
    """Check that a run may write the bundle `output`.

    A quick try of the same recipe makes room for another without being told to.

    Raises:
        BundleExists: it is there, and may not be replaced.
    """
    if replace or (options.limit is not None and is_quick_try_of(output, recipe.name)):
        return
    refuse_to_replace(output)


def _check_logs(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UnusableLogs(
            f"--tensorboard: nothing can be written into {folder} ({error.strerror or error}). "
            "Give another folder, or leave it out."
        ) from error
