"""The search: trial after trial, proposed by Optuna, until there are as many as were asked for.

Proposals are those of the tree-structured Parzen estimator (S. Watanabe, "Tree-Structured Parzen
Estimator: Understanding Its Algorithm Components", 2023); bad trials end early by the median of
those before them, or by Hyperband (L. Li et al., 2018).
"""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from model_training.recipes.space import Range
from model_training.tuning.record import About, StudyError, differences
from model_training.tuning.spaces import Bounded
from model_training.tuning.storage import OWN, REASON, SECONDS, StorageLost, Store, fail

T = TypeVar("T")
Pruner = Literal["median", "hyperband", "none"]
STARTUP = 6
"""Trials that are drawn by chance before there is anything to learn from."""
LEAST_COMPLETE = 4
"""Complete trials before one is ended early."""
LOOK_EVERY = 2.0
"""Seconds between two looks at what other workers do, where there is nothing else to do."""
_ABOUT = "about"


class TrialStopped(Exception):
    """A trial was asked to stop; it is none that counts."""


class TrialUnusable(Exception):
    """The settings of a trial cannot be used; the message says why."""


class Report(Protocol):
    """A function that is told the accuracy on validation images after each epoch of a trial."""

    def __call__(self, epoch: int, accuracy: float) -> None: ...


Work = Callable[[Mapping[str, float], Report], float]
"""A function that trains with the values that it is given, and returns the accuracy on validation
images.  It may raise TrialStopped and TrialUnusable, and what its report raises goes through it."""


@dataclass(frozen=True)
class Goal:
    """When a search is over: after so many trials of the whole study, or when no more may begin.

    Args:
        trials: complete and pruned ones, of all workers together.
        minutes: after which this worker begins no other trial.
    """

    trials: int | None
    minutes: float | None = None


@dataclass(frozen=True)
class Watch:
    """Functions of a caller that are told how a search goes.

    `on_trial` is told of each trial of this worker when it is over, and `on_change` after it, and
    when the search ends; `on_epoch` of each epoch of a trial; `on_wait` once of how many trials
    other workers are finishing, where there is nothing to do but wait.
    """

    on_trial: Callable[[FrozenTrial], None] = lambda trial: None
    on_epoch: Callable[[int, int, float], None] = lambda number, epoch, accuracy: None
    on_change: Callable[[], None] = lambda: None
    on_wait: Callable[[int], None] = lambda running: None


class Search:
    """One worker at a study.

    Args:
        name: of the study, which is made where it is not there.
        own: the recipe's own values, which are the first trial, if they lie in the space.
        seed: of proposals by a worker that is alone.

    Raises:
        StudyError: the study that is there is about something else.
        StorageLost: the storage is gone.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        about: About,
        bounds: Bounded,
        own: Mapping[str, float],
        pruner: Pruner = "median",
        seed: int = 0,
    ) -> None:
        _be_quiet()
        self._store, self._about, self._bounds = store, about, bounds
        self.study = self._in_turn(lambda: self._open(name, pruner, own, seed))

    def run(
        self, goal: Goal, work: Work, watch: Watch, stop: Callable[[], bool] = lambda: False
    ) -> None:
        """Try settings until the `goal` is reached.

        Raises:
            TrialStopped: `stop` said so; the settings of the trial that was going on wait.
            StorageLost: the storage is gone.
        """
        try:
            self._until(goal, work, watch, stop)
        except StorageLost:
            raise
        except BaseException:  # Ctrl-C too.
            watch.on_change()
            raise
        watch.on_change()

    def trials(self) -> list[FrozenTrial]:
        """Return all trials of the study, in order."""
        return self._store.surely(lambda: self.study.get_trials(deepcopy=False))

    @staticmethod
    def finished(trials: Iterable[FrozenTrial]) -> int:
        """Return how many of `trials` count: complete and pruned ones."""
        return sum(one.state in (TrialState.COMPLETE, TrialState.PRUNED) for one in trials)

    def _until(self, goal: Goal, work: Work, watch: Watch, stop: Callable[[], bool]) -> None:
        until = None if goal.minutes is None else time.monotonic() + 60 * goal.minutes
        waited = False
        while until is None or time.monotonic() < until:
            if stop():
                raise TrialStopped
            trial, running = self._next(goal)
            if trial is not None:
                self._try(trial, work, watch)
                continue
            if not running:
                return
            if not waited:
                watch.on_wait(running)
            waited = True
            _sleep(LOOK_EVERY, stop)

    def _open(self, name: str, pruner: Pruner, own: Mapping[str, float], seed: int) -> optuna.Study:
        study = optuna.create_study(
            storage=self._store.storage,
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            pruner=_pruner(pruner, self._about.epochs),
        )
        trials = study.get_trials(deepcopy=False)
        # Workers that begin together, or a search that goes on, must not draw the same again.
        chance = None if self._store.shared else (seed + 1000 * len(trials)) % 2**32
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=chance)
        told = study.user_attrs.get(_ABOUT)
        if told is None and not trials:
            if all(value in self._bounds[setting] for setting, value in own.items()):
                study.enqueue_trial(dict(own), user_attrs={OWN: True})
            study.set_user_attr(_ABOUT, self._about.model_dump(mode="json"))
        elif told is None and trials[0].user_attrs.get(OWN) and len(trials) == 1:
            study.set_user_attr(_ABOUT, self._about.model_dump(mode="json"))
        else:
            _check_same(name, told, self._about)
        return study

    def _next(self, goal: Goal) -> tuple[Trial | None, int]:
        """Return the next trial, if there is one to begin, and how many others are going on."""
        return self._in_turn(lambda: self._decide(goal))

    def _in_turn(self, action: Callable[[], T]) -> T:
        """Return what `action` does while no other worker decides anything."""

        def whole() -> T:
            with self._store.turn():
                return action()

        # A turn ends with its connection, so that what is tried again takes a new one.
        return self._store.surely(whole)

    def _decide(self, goal: Goal) -> tuple[Trial | None, int]:
        self._store.fail_lost(self.study)
        trials = self.study.get_trials(deepcopy=False)
        running = sum(one.state == TrialState.RUNNING for one in trials)
        if goal.trials is not None and running + self.finished(trials) >= goal.trials:
            return None, running
        with warnings.catch_warnings():
            # Optuna's own loop would give signs of life; here `Store.alive` does.
            warnings.filterwarnings("ignore", "Heartbeat of storage")
            trial = self.study.ask()
        for name in self._bounds:
            self._suggest(trial, name)
        self._store.sign(trial)
        return trial, running

    def _suggest(self, trial: Trial, name: str) -> float:
        bounds = self._bounds[name]
        if isinstance(bounds, Range):
            return trial.suggest_float(name, bounds.low, bounds.high, log=bounds.log)
        return float(trial.suggest_categorical(name, list(bounds.values)))

    def _try(self, trial: Trial, work: Work, watch: Watch) -> None:
        began, surely = time.monotonic(), self._store.surely
        values = {name: float(trial.params[name]) for name in self._bounds}

        def report(epoch: int, accuracy: float) -> None:
            surely(lambda: trial.report(accuracy, epoch))
            watch.on_epoch(trial.number, epoch, accuracy)
            if epoch < self._about.epochs and surely(trial.should_prune):
                raise optuna.TrialPruned

        def over(state: TrialState, accuracy: float | None = None, reason: str = "") -> None:
            def tell() -> None:
                trial.set_user_attr(SECONDS, round(time.monotonic() - began, 2))
                if reason:
                    trial.set_user_attr(REASON, reason)
                self.study.tell(trial, accuracy, state)

            # Others may have taken this worker for lost, and begun the same settings again.
            with suppress(optuna.exceptions.UpdateFinishedTrialError):
                surely(tell)

        with self._store.alive(trial):
            try:
                accuracy = work(values, report)
            except optuna.TrialPruned:
                over(TrialState.PRUNED)
            except TrialUnusable as error:
                over(TrialState.PRUNED, reason=str(error))
            except StorageLost:
                raise
            except optuna.exceptions.UpdateFinishedTrialError:
                # Others took this worker for lost, and its settings wait already.
                pass
            except (TrialStopped, KeyboardInterrupt, StudyError):
                # The settings wait for somebody, however often: it was not they that failed.
                surely(lambda: fail(self.study, trial, lost=False))
                raise
            except BaseException:
                surely(lambda: fail(self.study, trial))
                raise
            else:
                over(TrialState.COMPLETE, accuracy)
        kept = surely(lambda: self.study.get_trials(deepcopy=False)[trial.number])
        watch.on_trial(kept)
        watch.on_change()


def _check_same(name: str, told: Any, about: About) -> None:
    try:
        before = About.model_validate(told)
    except ValueError as error:
        raise StudyError(
            f"The study {name} was not made by this version of `flask tune`. Give another name "
            "with --study."
        ) from error
    if found := differences(before, about):
        what = "; ".join(f"{key}: {one}, and now {other}" for key, (one, other) in found.items())
        raise StudyError(
            f"The study {name} is about something else, and its trials cannot be compared with "
            f"new ones ({what}). Give the arguments with which it began, or another name with "
            "--study."
        )


def _pruner(name: Pruner, epochs: int) -> optuna.pruners.BasePruner:
    if name == "median":
        # Where the rate falls, what has learned at a high one is far behind until half-way.
        return optuna.pruners.MedianPruner(
            n_startup_trials=LEAST_COMPLETE,
            n_warmup_steps=math.ceil(epochs / 2),
            n_min_trials=LEAST_COMPLETE,
        )
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs)
    return optuna.pruners.NopPruner()


def _be_quiet() -> None:
    # What is worth saying is said by whoever watches.
    optuna.logging.set_verbosity(logging.ERROR)


def _sleep(seconds: float, stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stop():
        time.sleep(0.1)
