"""The record of a study: all that pages show of it and a training takes from it, as checked JSON.

It is written whole after each trial, from the storage in which the study lies, and needs nothing of
Optuna to be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model_training.faults import first_fault
from model_training.files import DamagedFile, whole_file
from model_training.naming import Sha256, Slug, is_slug
from model_training.recipes.space import SETTINGS, Choice, Range, Tuned

SUFFIX = ".json"
LARGEST_RECORD = 20_000_000  # bytes: some ten thousand trials

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
State = Literal["complete", "pruned", "failed", "running", "waiting"]


class StudyError(Exception):
    """A study is missing, damaged, or not what it is wanted for; the message says what to do."""


class _Part(BaseModel):
    # An unknown field means that the record was written by another version.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class About(_Part):
    """What a study is about.  Trials can be compared only where all of this is the same.

    `bounds` is its space as `spaces.write_bounds` writes it; a trial learns from `images` images
    for `epochs` epochs in all phases together, `last_epochs` of them in the last, and is judged on
    `validation_images` others.  `weights` is the SHA-256 of the file of first weights; empty where
    there is none, or they are those that Keras downloads.
    """

    recipe: str
    data_set: str
    data_title: str
    data_digest: Sha256
    bounds: dict[str, list[float | str]]
    images: Annotated[int, Field(gt=0)]
    validation_images: Annotated[int, Field(gt=0)]
    epochs: Annotated[int, Field(gt=0)]
    last_epochs: Annotated[int, Field(gt=0)]
    seed: Count
    weights: Sha256 | Literal[""] = ""

    @model_validator(mode="after")
    def _is_a_space(self) -> About:
        for name, told in self.bounds.items():
            if name not in SETTINGS:
                raise ValueError(f"no setting is called {name}")
            kind, *ends = told
            if kind not in ("log", "linear", "choice") or any(isinstance(e, str) for e in ends):
                raise ValueError(f"{name} has no bounds")
            if len(ends) < 2 or (kind != "choice" and len(ends) != 2):
                raise ValueError(f"{name} has no two ends")
            numbers = tuple(float(end) for end in ends)
            is_choice, log = kind == "choice", kind == "log"
            bounds = Choice(numbers) if is_choice else Range(numbers[0], numbers[1], log)
            if bounds.is_one_value:
                raise ValueError(f"{name} has one value only")
        if not self.bounds:
            raise ValueError("nothing was searched")
        return self


class TrialRecord(_Part):
    """One trial.  `accuracy` is that on validation images: of a pruned one the last that it had.

    `accuracies` has that after each epoch.  `values` are the settings that it was given, none where
    it has not begun.  `retry` counts how often a trial with these settings was lost before it.
    """

    number: Count
    state: State
    values: dict[str, float]
    accuracy: Share | None = None
    accuracies: list[Share] = []
    seconds: Annotated[float, Field(ge=0)] | None = None
    retry: Count = 0
    reason: str = ""
    own: bool = False

    @property
    def is_finished(self) -> bool:
        """Return whether it counts: it was trained to its end, or ended early as a bad one."""
        return self.state in ("complete", "pruned")


class StudyRecord(_Part):
    """Schema of the record, version 1.

    `importance` is the share of the variance of `accuracy` that each setting explains, by `f-ANOVA`
    over the `complete` trials; empty where these are too few.  `command` goes on with the study,
    `data_options` are the words of it that name images and first weights, none where these are the
    recipe's own; `updated` is when this was written, in ISO 8601.
    """

    schema_version: Literal[1] = 1
    name: Slug
    about: About
    trials: list[TrialRecord]
    importance: dict[str, Share] = {}
    command: str
    data_options: str = ""
    updated: str

    @model_validator(mode="after")
    def _is_whole(self) -> StudyRecord:
        numbers = [one.number for one in self.trials]
        if numbers != sorted(set(numbers)):
            raise ValueError("its trials are not in order")
        for one in self.trials:
            if one.state == "complete" and one.accuracy is None:
                raise ValueError(f"trial {one.number} is complete and has no accuracy")
            if one.is_finished and one.values.keys() != self.about.bounds.keys():
                raise ValueError(f"trial {one.number} has other settings than the study")
        if unknown := sorted(self.importance.keys() - self.about.bounds.keys()):
            raise ValueError(f"it did not search for {', '.join(unknown)}")
        return self

    @property
    def train_command(self) -> str:
        """Return the command that trains with the settings of the best trial."""
        words = ("flask train", self.about.recipe, self.data_options, "--from-study", self.name)
        return " ".join(word for word in words if word)

    @property
    def best(self) -> TrialRecord | None:
        """Return the complete trial of the highest accuracy, the first of several; None: none."""
        complete = [one for one in self.trials if one.state == "complete"]
        return max(complete, key=lambda one: one.accuracy or 0.0, default=None)

    @property
    def own(self) -> TrialRecord | None:
        """Return the complete trial with the recipe's own settings, if there is one."""
        complete = (one for one in self.trials if one.own and one.state == "complete")
        return next(complete, None)

    @property
    def finished(self) -> int:
        """Return how many trials count."""
        return sum(one.is_finished for one in self.trials)

    def count(self, state: State) -> int:
        """Return how many trials are in `state`."""
        return sum(one.state == state for one in self.trials)

    def tuned(self, number: int | None = None) -> Tuned:
        """Return what a training is told of the trial `number`; by default of the best.

        Raises:
            StudyError: there is no such trial, or it is not complete.
        """
        if number is None:
            chosen = self.best
            if chosen is None:
                raise StudyError(
                    f"The study {self.name} has no complete trial yet, so nobody knows its best "
                    f"settings. Go on with `{self.command}`."
                )
        else:
            chosen = next((one for one in self.trials if one.number == number), None)
            if chosen is None or chosen.accuracy is None or chosen.state != "complete":
                which = f"is {chosen.state}" if chosen else "does not exist"
                there = ", ".join(str(one.number) for one in self.trials if one.state == "complete")
                raise StudyError(
                    f"Trial {number} of the study {self.name} {which}. Complete are: "
                    f"{there or 'none yet'}."
                )
        assert chosen.accuracy is not None  # The schema says so.
        return Tuned(
            study=self.name,
            trial=chosen.number,
            values=dict(chosen.values),
            accuracy=chosen.accuracy,
            trials=self.finished,
            images=self.about.images,
            epochs=self.about.epochs,
        )


def record_path(folder: Path, name: str) -> Path:
    """Return the file of the record of the study `name`."""
    return folder / f"{name}{SUFFIX}"


def write_record(folder: Path, record: StudyRecord) -> None:
    """Write `record` into `folder`, for the one that is there.

    Raises:
        OSError: it cannot be written; the one that was there is whole.
    """
    with whole_file(record_path(folder, record.name)) as path:
        path.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_record(path: Path) -> StudyRecord:
    """Read the record at `path`.

    Raises:
        DamagedFile: it is not a whole record.
        OSError: it cannot be read; FileNotFoundError where there is none.
    """
    if path.stat().st_size > LARGEST_RECORD:
        raise DamagedFile(f"it has more than {LARGEST_RECORD / 1e6:.0f} MB")
    try:
        record = StudyRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DamagedFile(first_fault(error)) from error
    if record.name != path.name.removesuffix(SUFFIX):
        raise DamagedFile(f"it is that of the study {record.name}")
    return record


def find_record(folder: Path, name: str) -> StudyRecord:
    """Return the record of the study `name` in `folder`.

    Raises:
        StudyError: there is none of that name, or it is damaged.
    """
    try:
        if not is_slug(name):
            raise FileNotFoundError
        return read_record(record_path(folder, name))
    except FileNotFoundError:
        there = ", ".join(study_names(folder)) or "none yet"
        raise StudyError(
            f"There is no study called {name} here. Available: {there}. `flask tune RECIPE` makes "
            "one."
        ) from None
    except (DamagedFile, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise StudyError(
            f"The record of the study {name} cannot be read ({why}). `flask tune` with the "
            "arguments that began it writes it anew from its trials."
        ) from error


def study_names(folder: Path) -> list[str]:
    """Return the names of the studies that have a record in `folder`, in order."""
    names = (path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))
    return sorted(name for name in names if is_slug(name))


def differences(one: About, other: About) -> dict[str, tuple[str, str]]:
    """Return what the two are about where that differs, each in words."""

    def told(about: About) -> Mapping[str, str]:
        return {
            "recipe": about.recipe,
            "data set": f"{about.data_title} ({about.data_digest[:8]})",
            "space": "; ".join(
                f"{SETTINGS[name]} {' '.join(map(str, bounds))}"
                for name, bounds in sorted(about.bounds.items())
            ),
            "images a trial": f"{about.images:,}",
            "validation images": f"{about.validation_images:,}",
            "epochs a trial": f"{about.epochs}",
            "epochs of the last phase": f"{about.last_epochs}",
            "seed": f"{about.seed}",
            "first weights": about.weights[:8] or "none of a file",
        }

    first, second = told(one), told(other)
    return {name: (first[name], second[name]) for name in first if first[name] != second[name]}
