"""How far a search is: a bar over all its epochs, and a line for each trial."""

from __future__ import annotations

from model_training.recipes.space import write_values
from model_training.tuning.record import TrialRecord
from webapp.cli.common.bars import Bars


class TrialProgress:
    """A bar over the epochs of all trials, and a line for each trial that is over."""

    def __init__(self, bars: Bars, epochs: int, trials: int | None) -> None:
        self._bars, self._epochs, self._trials = bars, epochs, trials
        self._finished = 0
        self._best: TrialRecord | None = None

    def begin(self, trials: list[TrialRecord]) -> None:
        """Show how far the study is already."""
        self._finished = sum(one.is_finished for one in trials)
        for one in trials:
            self._is_best(one)
        self._show(0)

    def epoch(self, _number: int, epoch: int, _accuracy: float) -> None:
        """Show that `epoch` of a trial is done."""
        self._show(min(epoch, self._epochs - 1))

    def features(self, _count: int, _total: int) -> None:
        """Show that the trial is alive while frozen layers look at images."""
        self._show(0)

    def over(self, trial: TrialRecord) -> None:
        """Print the line of a trial that is over."""
        self._finished += trial.is_finished
        self._is_best(trial)
        self._bars.echo(_trial_line(trial, self._best))
        self._show(0)

    def _is_best(self, trial: TrialRecord) -> None:
        if trial.state == "complete" and trial.accuracy is not None:
            if self._best is None or trial.accuracy > (self._best.accuracy or 0):
                self._best = trial

    def _show(self, epochs: int) -> None:
        if self._trials is not None:
            done, total = self._finished * self._epochs + epochs, self._trials * self._epochs
            self._bars.show(f"epochs of {self._trials} trials", min(done, total), total)


def _trial_line(trial: TrialRecord, best: TrialRecord | None) -> str:
    reached = "" if trial.accuracy is None else f"{trial.accuracy:.4f}"
    verdict = {
        "complete": reached,
        "pruned": trial.reason or f"{reached} ended early after {epochs_of(len(trial.accuracies))}",
    }.get(trial.state, "given to another worker, as this one had not been heard of")
    mark = "  best so far" if best is not None and best.number == trial.number else ""
    seconds = f"  {trial.seconds:.0f} s" if trial.seconds is not None else ""
    return f"trial {trial.number:3d}  {verdict}{mark}  {write_values(trial.values)}{seconds}"


def epochs_of(count: int) -> str:
    """Return so many epochs in words."""
    return f"{count} epoch{'s' if count != 1 else ''}"
