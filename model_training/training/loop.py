"""The one trainer: a recipe and data in, a trained network and its history out."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from model_training.datasets.dataset import ImageSet
from model_training.networks.checking import checked, find_doubts
from model_training.networks.frozen.features import Stopped
from model_training.networks.precision import dtype_policy, in_float32
from model_training.networks.pretrained import describe_file
from model_training.recipes import Phase, Recipe
from model_training.training import checkpoint
from model_training.training.environment import versions
from model_training.training.learning.asked import ASKED_NOTHING, Asked
from model_training.training.learning.first_weights import give_first_weights
from model_training.training.learning.freezing import check_room_for, resize_to
from model_training.training.learning.learner import Learner, epoch_order
from model_training.training.learning.outcome import Diverged, Ending, Interrupted, Trained
from model_training.training.learning.settings import (
    check_batches,
    check_same_settings,
    settings_of,
)
from model_training.training.learning.watcher import Watcher
from model_training.training.signals import stop_signals
from model_training.training.together.alone import by_itself, own_copy
from model_training.training.together.state import read_of
from model_training.training.together.team import ALONE, Team


@dataclass(frozen=True)
class Place:
    """The folders in which a run keeps its state and the features of frozen layers.

    The features belong to no run: a later one with the same frozen layers finds them.  `logs`, if
    any, is where TensorBoard's files and a CSV of the epochs are written.
    """

    state: Path
    features: Path
    logs: Path | None = None


def train(
    recipe: Recipe,
    phases: tuple[Phase, ...],
    seed: int,
    fit: ImageSet,
    validation: ImageSet | None,
    place: Place,
    *,
    classes: int = 10,
    data_digest: str = "",
    weights: Path | None = None,
    resume: bool = False,
    asked: Asked = ASKED_NOTHING,
    begins: contextlib.AbstractContextManager[None] | None = None,
    watcher: Watcher | None = None,
    stop: Callable[[], bool] | None = None,
    team: Team = ALONE,
) -> Trained:
    """Train `recipe`'s network on `fit`, and measure it on `validation` after each epoch.

    The state goes to disk before the first step, after each epoch, and when SIGINT (Ctrl-C) or
    SIGTERM asks the training to stop; with `resume` the run goes on from there, to the same weights
    as a run that was not interrupted.  The caller discards the state when it needs it no more.

    Args:
        phases: the recipe's, or changed ones.
        fit, validation: images uint8 (count, height, width, 3); None to validate on nothing.
        classes: how many the labels tell apart.
        data_digest: names the images, so that a run goes on with those that it began with.
        weights: a file of pretrained weights, for a recipe that begins with some.
        asked: what else the run is told, kept with the state.  Minutes before an interruption
            count, and at least one epoch is learned.
        begins: entered around the first save of a run that begins, which replaces the state of an
            earlier one.
        stop: asked now and then whether to stop; by default SIGINT and SIGTERM say so.
        team: the processes that train together; one that does not lead writes nothing.

    Raises:
        Interrupted: after SIGINT or SIGTERM, or because of `stop`.
        TeamError: the processes cannot train together, or one of them is gone.
        Diverged: the loss of an epoch is not finite; the state of the epoch before stays, if any.
        FullDisk: there is no room for what frozen layers are to say.
        CheckpointError: `resume` without a usable state, or with a state of other settings.
        WeightsError: the pretrained weights cannot be had.
        ValueError: there are fewer images than the batch size, or the network is not what its
            recipe states.
    """
    check_batches(phases, len(fit), team)

    def build(classes: int = classes) -> keras.Model:
        built = recipe.build(classes=classes)
        return checked(built, recipe.name, classes, recipe.parameters)

    team.check_same({"choice of --resume": str(resume)})
    tested, told = dataclasses.replace(recipe, build=build), watcher or Watcher()
    run = _Run(tested, phases, seed, fit, validation, place, data_digest, told, team)
    if resume:
        run.restore(weights, asked)
    else:
        run.begin(weights, asked, begins or contextlib.nullcontext())
    with contextlib.ExitStack() as listening:
        run.learn(stop or listening.enter_context(stop_signals()).is_set)
    return run.outcome()


class _Run:
    """A network on its way through the phases of its training."""

    def __init__(
        self,
        recipe: Recipe,
        phases: tuple[Phase, ...],
        seed: int,
        fit: ImageSet,
        validation: ImageSet | None,
        place: Place,
        data_digest: str,
        watcher: Watcher,
        team: Team,
    ) -> None:
        self._team = team
        self._recipe, self._phases, self._seed = recipe, phases, seed
        self._fit, self._validation = fit, validation
        self._place, self._watcher = place, watcher
        self._on_wait = functools.cache(watcher.on_wait)  # Once, for however many views.
        self._steps = [len(fit) // phase.batch_size * phase.epochs for phase in phases]
        self._learner_state: list[Any] | None = None
        self._resumed = False
        keras.utils.set_random_seed(seed)
        with dtype_policy(recipe.precision):
            self._model = recipe.build()
        self._always_frozen = {layer.name for layer in self._model.layers if not layer.trainable}
        settings = settings_of(recipe, phases, seed, len(fit), data_digest)
        self._state = checkpoint.State(settings)
        facts = {"images": data_digest, "settings": json.dumps(settings)}
        team.check_same(facts | {"versions": json.dumps(versions())})

    def begin(
        self, weights: Path | None, asked: Asked, begins: contextlib.AbstractContextManager[None]
    ) -> None:
        """Start with a fresh network, and keep that."""
        self._state = asked.begun(self._state)
        told = give_first_weights(self._recipe, self._model, weights, self._fit.images)
        self._state.pretrained = told
        for doubt in find_doubts(self._model, self._fit.images, self._fit.labels):
            self._watcher.on_warning(doubt)
        self._check_room()
        # Before anything takes long: a full disk is found here, and what is stopped goes on.
        with begins:
            self._save(None)

    def restore(self, weights: Path | None, asked: Asked) -> None:
        """Go on from the state on disk."""
        saved = read_of(self._team, self._place.state)
        state = checkpoint.State.of(saved.folder, saved.progress)
        check_same_settings(state.settings, self._state.settings)
        if weights and state.pretrained and describe_file(weights) not in state.pretrained:
            raise checkpoint.CheckpointError(
                f"The unfinished training began from {state.pretrained}, not from {weights}. "
                "Resume it without --weights, or start anew with --restart."
            )
        self._state = asked.added_to(state)
        saved.put_into(self._model)
        self._learner_state = saved.learner
        self._resumed = True
        self._check_room()

    def _check_room(self) -> None:
        if not self._is_out_of_time():
            check_room_for(
                self._phases[self._state.phase :],
                self._model,
                self._always_frozen,
                self._recipe.input_size,
                self._fit,
                self._validation,
                self._place.features,
                self._team,
            )

    def learn(self, stop: Callable[[], bool]) -> None:
        """Go through all that is left of the phases."""
        done = sum(self._steps[: self._state.phase]) + self._state.step
        self._watcher.on_start(self._model.count_params(), done, sum(self._steps))
        while self._state.phase < len(self._phases):
            self._learn_phase(stop)
            self._state.phase += 1
            self._state.step = 0
            self._save(None)

    def outcome(self) -> Trained:
        """Return the trained network."""
        state = self._state
        with by_itself():
            model = in_float32(self._recipe.build, self._model)
        resize_to(self._recipe.input_size, self._model)  # A phase may have had its own.
        learned = self._model
        if self._team.processes > 1 and self._phases[-1].learns_from is not None:
            learned = own_copy(learned)
        return Trained(
            model=model,
            learned=learned,
            history=state.history,
            started=state.started,
            seconds=_seconds(state),
            command=state.command,
            pretrained=state.pretrained,
            trainable_parameters=state.trainable_parameters,
            best_epoch=state.best_epoch,
            stopped=state.stopped,
            minutes=state.minutes if state.stopped == "time" else None,
        )

    def _learn_phase(self, stop: Callable[[], bool]) -> None:
        state = self._state
        phase, steps = self._phases[state.phase], self._steps[state.phase]
        if state.step == 0 and self._is_out_of_time():  # What frozen layers say may take hours.
            state.stopped = "time"
        else:
            learner = self._set_up(phase, steps, stop)
            try:
                state.stopped = self._learn_steps(learner, phase, steps, stop) or state.stopped
            finally:
                learner.between.all.on_train_end()  # The best weights are put back, logs closed.
            state.best_epoch = learner.between.best_epoch
        if state.step < steps:
            self._watcher.on_step(steps - state.step)

    def _is_out_of_time(self) -> bool:
        state = self._state
        over = state.minutes is not None and _seconds(state) >= 60 * state.minutes
        return self._team.any(bool(state.history) and over)

    def _learn_steps(
        self, learner: Learner, phase: Phase, steps: int, stop: Callable[[], bool]
    ) -> Ending | None:
        state, watcher = self._state, self._watcher
        steps_per_epoch = steps // phase.epochs
        clock = time.monotonic()
        order = epoch_order(len(self._fit), self._seed, len(state.history))
        begun = False
        while state.step < steps:
            if state.step % steps_per_epoch == 0 and self._is_out_of_time():
                return "time"
            if not begun:
                learner.between.all.on_epoch_begin(len(state.history))
                begun = True
            epoch, batch = divmod(state.step, steps_per_epoch)
            chosen = order[batch * phase.batch_size : (batch + 1) * phase.batch_size]
            state.step += 1
            loss, accuracy = learner.step(chosen, epoch, batch, state.step)
            state.epoch_loss += loss / steps_per_epoch
            state.epoch_accuracy += accuracy / steps_per_epoch
            watcher.on_step(1)

            epoch_ends = state.step % steps_per_epoch == 0
            measured = learner.validate() or (None, None) if epoch_ends else (None, None)
            # The last step of an epoch may spoil what only the validation images show.
            if not math.isfinite(state.epoch_loss + (measured[0] or 0)):
                if self._team.leads and not state.history:
                    checkpoint.discard(self._place.state)  # Nothing was learned that could go on.
                raise Diverged(
                    f"The training diverged in epoch {len(state.history) + 1}: its loss is no "
                    "longer a number. A smaller learning rate or another seed may help."
                )
            state.epoch_seconds += time.monotonic() - clock
            clock = time.monotonic()
            if epoch_ends:
                row = state.finish_epoch(learner.learning_rate, *measured)
                watcher.on_epoch(row)
                learner.between.epoch_ends(row)
                begun = False
                if learner.between.stops:
                    return "early"
                order = epoch_order(len(self._fit), self._seed, len(state.history))
            # After the very last step there is nothing to stop.
            last = state.phase + 1 == len(self._phases) and state.step == steps
            stopping = self._team.any(stop()) and not last
            if epoch_ends or stopping:
                self._save(learner)
            if stopping:
                raise Interrupted
        return None

    def _set_up(self, phase: Phase, steps: int, stop: Callable[[], bool]) -> Learner:
        images = len(self._fit) * len(phase.views) + len(self._validation or ())
        total = images * (1 if phase.through is None else 2)
        try:
            learner = Learner(
                self._model,
                self._always_frozen,
                self._recipe.input_size,
                phase,
                steps,
                self._fit,
                self._validation,
                self._seed,
                self._place.features,
                on_features=lambda count: self._watcher.on_features(count, total),
                stop=stop,
                on_wait=self._on_wait,
                first=len(self._state.history) - self._state.step // (steps // phase.epochs),
                logs=self._place.logs if self._team.leads else None,
                resumed=self._resumed,
                team=self._team,
            )
        except Stopped as error:
            raise Interrupted from error
        if self._state.step == 0:
            self._state.count_features(learner.features_seconds)
        variables = self._model.trainable_variables
        self._state.trainable_parameters = sum(math.prod(one.shape) for one in variables)
        # Where callbacks begin, they forget.
        learner.between.all.on_train_begin()
        if self._learner_state is not None:
            if not learner.restore(self._learner_state, self._state.between):
                raise checkpoint.of_another_network(self._place.state)
            self._learner_state = None
        return learner

    def _save(self, learner: Learner | None) -> None:
        if not self._team.leads:
            return
        self._state.between = learner.between.memory() if learner is not None else {}
        checkpoint.save(
            self._place.state,
            self._model,
            learner.state() if learner is not None else None,
            dataclasses.asdict(self._state),
        )


def _seconds(state: checkpoint.State) -> float:
    # Of whole epochs: one that was interrupted is not over.
    return state.features_seconds + sum(row.seconds for row in state.history)
