"""The state of a training on disk, from which it goes on exactly where it stopped."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CheckpointError(
                "Another training of this model is running. Wait for it, or give --output "
                "another name."
            ) from None
        yield


def exists(folder: Path) -> bool:
    """Whether `folder` holds the state of an unfinished training."""
    return (folder / STATE_NAME).exists()


def discard(folder: Path) -> None:
    """Forget the state in `folder`."""
    (folder / STATE_NAME).unlink(missing_ok=True)


def save(folder: Path, model: keras.Model, progress: dict[str, Any]) -> None:
    """Write `model`'s every variable and `progress` (plain JSON) to `folder`, in one file."""
    arrays: dict[str, Any] = {
        f"v{number}": np.asarray(variable) for number, variable in enumerate(_state(model))
    }
    with whole_file(folder / STATE_NAME) as temporary:
        np.savez(temporary, progress=np.array(json.dumps(progress)), **arrays)


def read_progress(folder: Path) -> dict[str, Any]:
    """The `progress` that was saved last.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    progress: dict[str, Any] = json.loads(str(_read(folder)["progress"]))
    return progress


def restore(folder: Path, model: keras.Model) -> None:
    """Put the saved variables back into `model`, which must be built and compiled as it was.

    Raises:
        CheckpointError: the state is damaged or is that of another network.
    """
    variables = _state(model)
    stored = _read(folder)
    values = [stored[f"v{number}"] for number in range(len(stored) - 1)]
    if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
        raise CheckpointError(
            f"The state in {folder} belongs to another network. Start anew with --restart."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _state(model: keras.Model) -> list[keras.Variable]:
    # `variables` holds the seeds of dropout and augmentation too.
    return [*model.variables, *model.optimizer.variables]


def _read(folder: Path) -> dict[str, Any]:
    try:
        return read_arrays(folder / STATE_NAME)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no unfinished training in {folder} to resume.") from error
    except DamagedFile as error:
        raise CheckpointError(
            f"The state in {folder} is damaged ({error}). Start anew with --restart."
        ) from error
