"""The state of a training on disk, from which it goes on exactly where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from model_training.bundles.history import Epoch
from model_training.files import DamagedFile, read_arrays, remove_leftovers, whole_file

if TYPE_CHECKING:
    import keras

    from model_training.training.learning.outcome import Ending

STATE_NAME, LOCK_NAME = "state.npz", "lock"


class CheckpointError(Exception):
    """A training's state is missing, damaged, in use, or belongs to something else."""


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Hold `folder` for one training; the claim ends with the process, however it ends.

    Raises:
        CheckpointError: another training holds it.
        OSError: the file of the claim cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # The operating system ends the lock of a process that was killed: the file that stays
        # behind holds nobody up.
        claimed = FileLock(folder / LOCK_NAME, blocking=False).acquire()
    except Timeout:
        raise CheckpointError(
            "Another training of this model is running. Wait for it, or give --output another name."
        ) from None
    with claimed:
        yield


def exists(folder: Path) -> bool:
    """Return whether `folder` holds the state of an unfinished training."""
    return (folder / STATE_NAME).exists()


def discard(folder: Path) -> None:
    """Forget the state in `folder`."""
    (folder / STATE_NAME).unlink(missing_ok=True)


def throw_away(folder: Path) -> None:
    """Remove the unfinished training in `folder`, and `folder` too if it holds nothing else.

    Raises:
        CheckpointError: it is running.
    """
    with claim(folder):
        remove_leftovers(folder / STATE_NAME)
        discard(folder)
    (folder / LOCK_NAME).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


@dataclass
class State:
    """The progress of a run: all that it needs to go on beside variables.

    `phase` counts the finished phases, `step` the steps of the one that is going on.
    `features_seconds` is what the frozen layers took, for all the files `features`;
    `trainable_parameters` are those of the phase.
    `between` is what callbacks remember of the phase, `best_epoch` the one whose weights early
    stopping kept in a finished phase, `stopped` what ended one before its last epoch.  After
    `minutes` no new epoch begins; with `replace` it may replace the bundle that is there already.
    Nobody knows of a version before whether it was `deterministic`.
    """

    settings: dict[str, Any]
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    command: str = ""
    pretrained: str | None = None
    phase: int = 0
    step: int = 0
    history: list[Epoch] = field(default_factory=list)
    epoch_loss: float = 0.0
    epoch_accuracy: float = 0.0
    epoch_seconds: float = 0.0
    features_seconds: float = 0.0
    features: list[str] = field(default_factory=list)
    trainable_parameters: int = 0
    between: dict[str, Any] = field(default_factory=dict)
    best_epoch: int | None = None
    stopped: Ending | None = None
    minutes: float | None = None
    replace: bool = False
    report_only: bool = False
    deterministic: bool | None = None

    @classmethod
    def of(cls, folder: Path, progress: dict[str, Any]) -> Self:
        """Return the state that was saved in `folder` as `progress`.

        Raises:
            CheckpointError: another version saved it.
        """
        try:
            state = cls(**progress)
            state.history = [Epoch(**row) for row in state.history]  # type: ignore[arg-type]
            _ = state.epochs  # The settings say how many.
        except (TypeError, KeyError, ValueError) as error:
            raise of_another_version(folder) from error
        return state

    @property
    def epochs(self) -> int:
        """Return how many epochs there are to go through, those that are done included."""
        return sum(int(phase["epochs"]) for phase in self.settings["phases"])

    @property
    def is_trained(self) -> bool:
        """Return whether every phase is done, so that only the measuring is left."""
        return self.phase == len(self.settings["phases"])

    def count_features(self, seconds: dict[str, float]) -> None:
        """Count what the frozen layers of a phase took, by file, where no phase before had it."""
        for name in sorted(seconds.keys() - set(self.features)):
            self.features.append(name)
            self.features_seconds += seconds[name]

    def finish_epoch(
        self,
        learning_rate: float,
        validation_loss: float | None,
        validation_accuracy: float | None,
    ) -> Epoch:
        """Turn the sums so far into a row of the history, and begin the next epoch."""
        row = Epoch(
            epoch=len(self.history) + 1,
            learning_rate=learning_rate,
            loss=self.epoch_loss,
            accuracy=self.epoch_accuracy,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            seconds=self.epoch_seconds,
        )
        self.history.append(row)
        self.epoch_loss = self.epoch_accuracy = self.epoch_seconds = 0.0
        return row


@dataclass(frozen=True)
class Saved:
    """A state as it was read back.

    `progress` is plain JSON; `learner` is None between two phases.
    """

    folder: Path
    progress: dict[str, Any]
    model: list[NDArray[Any]]
    learner: list[NDArray[Any]] | None

    def put_into(self, model: keras.Model) -> None:
        """Put the saved variables into `model`, which must be built as it was.

        Raises:
            CheckpointError: they are those of another network.
        """
        if [value.shape for value in self.model] != [tuple(v.shape) for v in model.variables]:
            raise of_another_network(self.folder)
        for variable, value in zip(model.variables, self.model, strict=True):
            variable.assign(value)


def save(
    folder: Path, model: keras.Model, learner: list[NDArray[Any]] | None, progress: dict[str, Any]
) -> None:
    """Write `model`'s every variable, the learner's state and `progress` to `folder`, in one file.

    Args:
        progress: plain JSON.
    """
    # `variables` holds the seeds of dropout and augmentation too.
    parts = {"model": [np.asarray(variable) for variable in model.variables], "learner": learner}
    arrays: dict[str, Any] = {
        f"{part}{number}": value
        for part, values in parts.items()
        for number, value in enumerate(values or [])
    }
    progress = {"progress": progress, "in_phase": learner is not None}
    with whole_file(folder / STATE_NAME) as temporary:
        np.savez(temporary, progress=np.array(json.dumps(progress)), **arrays)


def read(folder: Path) -> Saved:
    """Return the state that was saved last.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    stored = _read(folder)
    try:
        said = json.loads(str(stored.pop("progress")))
        parts = {
            part: [stored[f"{part}{n}"] for n in range(sum(key.startswith(part) for key in stored))]
            for part in ("model", "learner")
        }
        learner = parts["learner"] if said["in_phase"] else None
        return Saved(folder, said["progress"], parts["model"], learner)
    except (KeyError, ValueError) as error:
        raise of_another_version(folder) from error


def read_state(folder: Path) -> State:
    """Return how far the training in `folder` is, without reading its network.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    try:
        # One small member of a file that may hold hundreds of megabytes.
        with (folder / STATE_NAME).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            said = json.loads(str(stored["progress"]))
        return State.of(folder, said["progress"])
    except FileNotFoundError as error:
        raise nothing_to_resume(folder) from error
    except CheckpointError:
        raise
    except KeyError as error:
        raise of_another_version(folder) from error
    except Exception as error:  # A flipped bit makes zipfile, zlib and NumPy raise nearly anything.
        raise _damaged(folder, error) from error


@dataclass(frozen=True)
class Unfinished:
    """A training that was begun and has left no bundle.

    Args:
        state: how far it is; None where that cannot be read, and `problem` says why.
        saved: when it was last saved.
        size: in bytes.
        is_running: whether a process works on it now.
    """

    path: Path
    state: State | None
    problem: str | None
    saved: datetime
    size: int
    is_running: bool

    @property
    def name(self) -> str:
        """Return the name of the bundle that it was to become."""
        return self.path.name


def unfinished(folder: Path) -> list[Unfinished]:
    """Return every unfinished training in `folder`, the folder of trainings, by name."""
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            file = (path / STATE_NAME).stat()
        except OSError:  # There is none, or a training has ended meanwhile.
            continue
        state, problem = None, None
        try:
            state = read_state(path)
        except CheckpointError as error:
            problem = str(error)
        is_running = False
        try:
            with claim(path):
                pass
        except CheckpointError:
            is_running = True
        except OSError:  # It is somebody else's, and may only be looked at.
            pass
        saved = datetime.fromtimestamp(file.st_mtime, UTC)
        found.append(Unfinished(path, state, problem, saved, file.st_size, is_running))
    return found


def nothing_to_resume(folder: Path) -> CheckpointError:
    """Return the error of a training that is to go on and was never begun."""
    return CheckpointError(f"There is no unfinished training in {folder} to resume.")


def of_another_version(folder: Path) -> CheckpointError:
    """Return the error of a state that this version of the trainer did not write."""
    return CheckpointError(
        f"The state in {folder} is of another version. Start anew with --restart."
    )


def of_another_network(folder: Path) -> CheckpointError:
    """Return the error of a state that does not fit what is to go on."""
    return CheckpointError(
        f"The state in {folder} belongs to another network. Start anew with --restart."
    )


def _read(folder: Path) -> dict[str, Any]:
    try:
        return read_arrays(folder / STATE_NAME)
    except FileNotFoundError as error:
        raise nothing_to_resume(folder) from error
    except DamagedFile as error:
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"The state in {folder} is damaged ({error}). Start anew with --restart."
    )
