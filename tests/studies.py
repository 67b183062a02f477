"""Studies for tests: real searches by Optuna, whose trials compute what they reach instead of
training; and a worker that runs in a process of its own."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from model_training.recipes.space import Choice, Range
from model_training.tuning.record import About, StudyRecord, write_record
from model_training.tuning.search import Goal, Report, Search, Watch, Work
from model_training.tuning.spaces import Bounded, write_bounds
from model_training.tuning.storage import Database, Journal, Store

BOUNDS: Bounded = {
    "learning_rate": Range(0.01, 1.0, log=True),
    "dropout": Range(0.0, 1.5),
    "width": Choice((0.5, 1.0, 1.5)),
}
OWN = {"learning_rate": 0.03, "dropout": 1.0, "width": 1.0}
EPOCHS = 3
ABOUT = About(
    recipe="custom-cnn",
    data_set="cifar10",
    data_title="CIFAR-10",
    data_digest="0" * 64,
    bounds=write_bounds(BOUNDS),
    images=5000,
    validation_images=5000,
    epochs=EPOCHS,
    last_epochs=EPOCHS,
    seed=0,
)


def accuracy_of(values: Mapping[str, float]) -> float:
    """What a trial reaches: most at a rate of 0.2, and a little more with more filters."""
    away = math.log10(values["learning_rate"] / 0.2)
    return 0.6 - 0.2 * away**2 + 0.02 * values["width"] - 0.01 * values["dropout"]


def compute(values: Mapping[str, float], report: Report) -> float:
    """A trial that trains nothing."""
    for epoch in range(1, EPOCHS + 1):
        report(epoch, accuracy_of(values) * (0.5 + 0.5 * epoch / EPOCHS))
    return accuracy_of(values)


def search_in(store: Store, name: str = "some", about: About = ABOUT) -> Search:
    return Search(store, name, about, BOUNDS, OWN)


def journal(folder: Path, name: str = "some") -> Journal:
    return Journal(folder / f"{name}.log")


def recorded(search: Search) -> StudyRecord:
    # Here, since what it brings along takes a worker seconds.
    from model_training.tuning.recording import record_of

    command = f"flask tune {ABOUT.recipe} --study {search.study.study_name}"
    return record_of(search.study, search.trials(), ABOUT, command)


def make_study(
    folder: Path,
    name: str = "some",
    trials: int = 14,
    work: Work = compute,
    about: About = ABOUT,
) -> StudyRecord:
    """Make a study of so many trials in `folder`, with its record."""
    store = journal(folder, name)
    try:
        search = search_in(store, name, about)
        if trials:
            search.run(Goal(trials), work, Watch())
        record = recorded(search).model_copy(update={"about": about})
    finally:
        store.close()
    write_record(folder, record)
    return record


def worker(url: str, trials: int, hangs: bool) -> None:
    """Work at a study; one that `hangs` says when it is in its second trial, and stays there."""
    store = Database(url, "shared", heartbeat=1)
    begun = 0

    def work(values: Mapping[str, float], report: Report) -> float:
        nonlocal begun
        begun += 1
        if hangs and begun == 2:
            report(1, 0.1)
            print("in a trial", flush=True)
            time.sleep(600)
        time.sleep(0.05)
        return compute(values, report)

    search = Search(store, "shared", ABOUT, BOUNDS, OWN, "none")
    print("ready", flush=True)
    sys.stdin.readline()  # So that all begin together.
    search.run(Goal(trials), work, Watch())
    store.close()


def times(action: Callable[[], object], *after: int) -> Callable[[], None]:
    """Return a function that does `action` when it is called for those times, from 1."""
    count = 0

    def call() -> None:
        nonlocal count
        count += 1
        if count in after:
            action()

    return call


if __name__ == "__main__":
    worker(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "hangs")
