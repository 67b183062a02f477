"""A study's record as charts, rows and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model_training.recipes.space import SETTINGS, write_value, write_values
from model_training.tuning.record import About, StudyRecord, TrialRecord
from webapp.charts.parallel import (
    Axis,
    ParallelPlot,
    Through,
    middle_of,
    parallel_plot,
    share_axis,
)
from webapp.charts.points import ScatterPlot, Value, sequence_plot

BEST_SHOWN = 10
"""Rows of the table of the best trials; all others are folded."""
GOOD = 0.25
"""The share of the complete trials that parallel coordinates show as good ones."""


@dataclass(frozen=True)
class Row:
    """One trial in the table; `values` are its settings as text, in the order of the space."""

    trial: TrialRecord
    values: list[str]


@dataclass(frozen=True)
class Bound:
    """One setting of the space: from where to where, what the recipe has and what was best."""

    title: str
    reach: str
    own: str
    best: str


@dataclass(frozen=True)
class StudySummary:
    """All that the page shows beside the record itself.

    `gain` is the accuracy of the best trial minus that of the recipe's own settings, `doubt` the
    standard error of an accuracy on so many images.
    """

    settings: list[str]
    best: list[Row]
    others: list[Row]
    bounds: list[Bound]
    history: ScatterPlot | None
    parallel: ParallelPlot | None
    importance: list[tuple[str, float]]
    gain: float | None
    doubt: float | None
    best_values: str
    seconds: float


def summarize(record: StudyRecord) -> StudySummary:
    """Return everything that the page of `record` shows."""
    about, best, own = record.about, record.best, record.own
    names = list(about.bounds)
    # One that was lost early may have a part of its values only.
    whole = (one for one in record.trials if one.own and one.values.keys() == about.bounds.keys())
    recipe = next(whole, None)
    counted = [one for one in record.trials if one.is_finished and one.accuracy is not None]
    ranked = sorted(
        (one for one in record.trials if one.is_finished),
        key=lambda one: (one.state != "complete", -(one.accuracy or 0.0), one.number),
    )
    rows = [Row(one, [write_value(name, one.values[name]) for name in names]) for one in ranked]
    shown = min(BEST_SHOWN, sum(row.trial.state == "complete" for row in rows))
    accuracy = best.accuracy if best is not None else None
    return StudySummary(
        settings=[SETTINGS[name].capitalize() for name in names],
        best=rows[:shown],
        others=rows[shown:],
        bounds=[_bound(about, name, recipe, best) for name in names],
        history=_history(counted, own) if counted else None,
        parallel=_parallel(about, counted, best) if len(counted) > 1 and best else None,
        importance=[(SETTINGS[name], share) for name, share in record.importance.items()],
        gain=accuracy - own.accuracy if accuracy and own and own.accuracy is not None else None,
        doubt=(
            (accuracy * (1 - accuracy) / about.validation_images) ** 0.5
            if accuracy is not None
            else None
        ),
        best_values=write_values(best.values) if best is not None else "",
        seconds=sum(one.seconds or 0.0 for one in record.trials),
    )


def _bound(about: About, name: str, own: TrialRecord | None, best: TrialRecord | None) -> Bound:
    kind, ends = _ends(about, name)
    texts = [write_value(name, end) for end in ends]
    reach = ", ".join(texts) if kind == "choice" else " to ".join(texts)
    return Bound(
        SETTINGS[name].capitalize(),
        f"{reach}, log" if kind == "log" else reach,
        write_value(name, own.values[name]) if own is not None else "–",
        write_value(name, best.values[name]) if best is not None else "–",
    )


def _ends(about: About, name: str) -> tuple[str, list[float]]:
    kind, *ends = about.bounds[name]
    return str(kind), [float(end) for end in ends]


def _words(trial: TrialRecord) -> str:
    reached = f"{trial.accuracy or 0:.2%}"
    early = ", ended early" if trial.state == "pruned" else ""
    return f"Trial {trial.number}: {reached}{early}; {write_values(trial.values)}"


def _history(counted: Sequence[TrialRecord], own: TrialRecord | None) -> ScatterPlot:
    marks = {"pruned": "ring", "complete": "dot"}
    values = [
        Value(
            f"trial {one.number}",
            float(one.number),
            one.accuracy or 0.0,
            "square" if one.own else marks[one.state],
            _words(one),
            f"#trial-{one.number}",
        )
        for one in counted
    ]
    complete = [one.state == "complete" for one in counted]
    level = own.accuracy if own is not None else None
    return sequence_plot("Trial by trial", "trial", values, complete, level)


def _parallel(about: About, counted: Sequence[TrialRecord], best: TrialRecord) -> ParallelPlot:
    axes = [_axis(about, name) for name in about.bounds]
    reached = [one.accuracy or 0.0 for one in counted]
    axes.append(share_axis("validation accuracy", reached))
    complete = sorted(one.accuracy or 0.0 for one in counted if one.state == "complete")
    good = complete[-max(1, round(GOOD * len(complete)))]

    def kind(one: TrialRecord) -> str:
        if one is best:
            return "best"
        if one.state == "pruned":
            return "early"
        return "good" if (one.accuracy or 0.0) >= good else "other"

    order = ("early", "other", "good", "best")
    things = sorted(
        (
            Through(
                [*(one.values[name] for name in about.bounds), one.accuracy or 0.0],
                kind(one),
                _words(one),
            )
            for one in counted
        ),
        key=lambda thing: order.index(thing.kind),
    )
    text = f"Parallel coordinates of {len(things)} trials. The best one: {_words(best)}."
    return parallel_plot("Every trial, from setting to setting", text, axes, things)


def _axis(about: About, name: str) -> Axis:
    kind, ends = _ends(about, name)
    marked = ends if kind == "choice" else [ends[0], middle_of(kind, ends), ends[1]]
    return Axis(SETTINGS[name], kind, ends, [write_value(name, one) for one in marked])
