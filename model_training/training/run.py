"""A whole run: data and a recipe in, a bundle on disk out."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from model_training.bundles.bundle import Bundle, is_bundle
from model_training.bundles.reading import read_bundle
from model_training.datasets.dataset import DataSet
from model_training.files import remove_leftovers
from model_training.recipes import Phase, Recipe
from model_training.training import checkpoint
from model_training.training.beginning import check_beginning
from model_training.training.environment import environment, make_deterministic
from model_training.training.learning.asked import Asked
from model_training.training.learning.watcher import Watcher
from model_training.training.loop import Place, train
from model_training.training.measuring import Finished, Stages, measure_and_write
from model_training.training.options import (
    Options,
    Parts,
    as_trained,
    command,
    for_data_set,
    without_validation,
)
from model_training.training.pretrained_heads import discard_head, head_of, keeping_head
from model_training.training.signals import stop_signals
from model_training.training.together.joining import part
from model_training.training.together.team import ALONE, Team


def run(
    recipe: Recipe,
    data: DataSet,
    options: Options,
    output: Path,
    place: Place,
    *,
    resume: bool = False,
    restart: bool = False,
    replace: bool = False,
    calibrated: Path | None = None,
    watcher: Watcher | None = None,
    team: Team = ALONE,
) -> Bundle:
    """Train `recipe` on `data`, measure it, and write the bundle `output`.

    The training images are divided into nine tenths to fit and one to validate; the test images are
    read once, when nothing is left to choose.  With `all_data` all training images are fitted, and
    what validation tells (its figures, the temperature) is that of an earlier run: the bundle that
    `output` replaces or, where there is none, `calibrated`.  An unfinished run of the same output
    is never thrown away unasked: `resume` goes on with it, `restart` puts this one in its place as
    soon as this one can begin.  Nor is a bundle replaced unasked: with `replace`, or when a run
    that had it is resumed, or a quick try by another of the same recipe.

    SIGINT and SIGTERM stop it.  A run that is stopped while it is measured keeps its trained
    network, and only the measuring is repeated.

    A recipe is made for one data set.  Other images are brought to the size that its network takes;
    shifts are scaled to that, and batches made smaller where there would be few in an epoch.

    Of a `team` of processes this is what the one that leads does; the others `help_with` it.

    Raises:
        Interrupted: stopped by a signal; `resume` goes on.  `MeasuringInterrupted` where only the
            measuring was left.
        BundleExists: `output` is a bundle that may not be replaced.
        CheckpointError: there is an unfinished run and neither `resume` nor `restart` is given,
            the state cannot be resumed, or another training holds it.
        WeightsError: the recipe's pretrained weights cannot be had.
        BundleError: with `all_data`, the bundle of the earlier run is damaged.
        ValueError: the options do not fit the data, `all_data` has no earlier run that could
            calibrate it, or logs cannot be written.
    """
    here, earlier = environment(), None
    with contextlib.ExitStack() as held:
        with team.beginning():
            held.enter_context(checkpoint.claim(place.state))
            for path in (output, place.state / checkpoint.STATE_NAME):
                remove_leftovers(path)
            options, replace = check_beginning(
                recipe,
                options,
                output,
                place.state,
                resume=resume,
                restart=restart,
                replace=replace,
                logs=place.logs,
            )
            planned = _plan(recipe, data, options)
            if options.all_data:
                earlier = _earlier(output, calibrated, planned.recipe, planned.data, options)
                if earlier.judge is None and not options.report_only and not resume:
                    raise ValueError(_no_judge(earlier))
        recipe, data = planned.recipe, planned.data
        phases = _until_the_end(planned.phases, earlier, options, team)
        # What an earlier run left is replaced by the first state of this one, and not before: until
        # then it may turn out that this one cannot begin.
        begins: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if not resume:
            begins = keeping_head(head_of(recipe, options.weights), place.state)
        with stop_signals() as asked_to_stop:
            trained = train(
                recipe,
                phases,
                options.seed,
                planned.parts.fit,
                planned.parts.validation,
                place,
                classes=len(data.classes),
                data_digest=data.digest,
                weights=options.weights,
                resume=resume,
                asked=Asked(
                    command(recipe, options),
                    options.minutes,
                    replace,
                    options.report_only,
                    options.deterministic,
                ),
                begins=begins,
                watcher=watcher,
                stop=asked_to_stop.is_set,
                team=team,
            )
            part(team)
            bundle = measure_and_write(
                Finished(recipe, data, phases, options, trained, planned.parts, earlier, here),
                output,
                place,
                replace=replace,
                stages=Stages(watcher or Watcher(), asked_to_stop.is_set),
            )
            checkpoint.discard(place.state)
            discard_head(place.state)
    return bundle


def help_with(
    recipe: Recipe,
    data: DataSet,
    options: Options,
    place: Place,
    team: Team,
    *,
    resume: bool = False,
    watcher: Watcher | None = None,
) -> None:
    """Take the steps of a `run` in a process of `team` that does not lead, and write nothing.

    Raises:
        Interrupted: some process was stopped by a signal.
        TeamError: the processes are about to do different things, or one of them is gone.
        ValueError: the options do not fit the data.
    """
    with team.beginning():
        planned = _plan(recipe, data, options)
    phases = _until_the_end(planned.phases, None, options, team)
    with stop_signals() as asked_to_stop:
        train(
            planned.recipe,
            phases,
            options.seed,
            planned.parts.fit,
            planned.parts.validation,
            place,
            classes=len(planned.data.classes),
            data_digest=planned.data.digest,
            weights=options.weights,
            resume=resume,
            watcher=watcher,
            stop=asked_to_stop.is_set,
            team=team,
        )
        part(team)


@dataclass(frozen=True)
class _Planned:
    """A recipe, images and phases as the options and each other want them."""

    recipe: Recipe
    data: DataSet
    parts: Parts
    phases: tuple[Phase, ...]


def _plan(recipe: Recipe, data: DataSet, options: Options) -> _Planned:
    data = for_data_set(recipe, data, options.input_size)
    parts = Parts.of(data, options)
    recipe, phases = as_trained(recipe, data, parts, options)
    if options.deterministic:
        make_deterministic()
    return _Planned(recipe, data, parts, phases)


def _until_the_end(
    phases: tuple[Phase, ...], earlier: Bundle | None, options: Options, team: Team
) -> tuple[Phase, ...]:
    """Return `phases` as long as they are trained here.

    Args:
        earlier: the run that calibrates this one, which only the process that leads has to have.
    """
    team.check_same({"choice of --all-data": str(options.all_data)})
    if not options.all_data:
        return phases
    best = ""
    if earlier is not None:
        facts = earlier.card.training
        # A final run before this one has no best epoch: it was as long as it was to be.
        best = json.dumps(facts.epochs if facts.all_data else facts.best_epoch)
    return without_validation(phases, json.loads(team.told(best.encode())), options)


def _earlier(
    output: Path, calibrated: Path | None, recipe: Recipe, data: DataSet, options: Options
) -> Bundle:
    found = []
    for path in (output, calibrated):
        if path is not None and is_bundle(path):
            earlier = read_bundle(path)
            card = earlier.card
            facts = card.training
            same = (card.recipe, facts.data_digest) == (recipe.name, data.digest)
            if same and facts.changes == options.changes:
                found.append(earlier)
    if found:
        return next((one for one in found if one.judge is not None), found[0])
    raise ValueError(
        "--all-data leaves no images to calibrate on, so it takes the calibration of an earlier "
        f"run: first train {recipe.name} without it, on the same images, with the same other "
        "options, and without --output or into the same."
    )


def _no_judge(earlier: Bundle) -> str:
    lacks = "the judge with which a network answers, and --all-data leaves no images to fit one on"
    if earlier.model_path is None:
        return (
            f"{earlier.name} is only a report: it lacks {lacks}. First train it again without "
            "--report-only and --all-data, or give --report-only here too."
        )
    return f"{earlier.name} lacks {lacks}. `flask calibrate {earlier.name}` makes one."
