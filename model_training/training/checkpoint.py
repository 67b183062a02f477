"""The state of a training on disk, from which it goes on exactly where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from model_training.files import DamagedFile, read_arrays, whole_file

if TYPE_CHECKING:
    import keras

STATE_NAME = "state.npz"


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
        claimed = FileLock(folder / "lock", blocking=False).acquire()
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


def of_another_version(folder: Path) -> CheckpointError:
    """Return the error of a state that this version of the trainer did not write."""
    return CheckpointError(
        f"The state in {folder} is of another version. Start anew with --restart."
    )


def check_same_settings(saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Compare the settings of a state, plain JSON, with those it is to go on with.

    Raises:
        CheckpointError: they differ; the message says in what.
    """
    saved, wanted = _flat(saved), _flat(wanted)
    changed = [
        f"{name} was {saved.get(name)}, now {wanted.get(name)}"
        for name in sorted(saved.keys() | wanted.keys())
        if saved.get(name) != wanted.get(name)
    ]
    if changed:
        raise CheckpointError(
            f"The unfinished training had other settings ({'; '.join(changed)}). Resume it with "
            "its own, or start anew with --restart."
        )


def _flat(settings: Any, name: str = "") -> dict[str, Any]:
    # {"phases": [{"epochs": 2}]} as {"phases 1 epochs": 2}: a name that a message can show.
    if isinstance(settings, dict):
        parts = [(f"{name} {key}".strip(), value) for key, value in settings.items()]
    elif isinstance(settings, list):
        parts = [(f"{name} {number}", value) for number, value in enumerate(settings, start=1)]
    else:
        return {name: settings}
    return {key: value for part, inner in parts for key, value in _flat(inner, part).items()}


def of_another_network(folder: Path) -> CheckpointError:
    """Return the error of a state that does not fit what is to go on."""
    return CheckpointError(
        f"The state in {folder} belongs to another network. Start anew with --restart."
    )


def _read(folder: Path) -> dict[str, Any]:
    try:
        return read_arrays(folder / STATE_NAME)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no unfinished training in {folder} to resume.") from error
    except DamagedFile as error:
        raise CheckpointError(
            f"The state in {folder} is damaged ({error}). Start anew with --restart."
        ) from error
