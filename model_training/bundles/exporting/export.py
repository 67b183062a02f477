"""Exporting a bundle's network, checked, whole or not at all.

What is written is run in its own runtime on real images before it takes its place, and compared
with the network it was made from.  TensorFlow does the converting, whatever backend the network was
trained on.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from model_training.bundles.bundle import Bundle
from model_training.bundles.exporting.backend import INPUT
from model_training.bundles.exporting.checking import Difference, Differs, check
from model_training.bundles.exporting.formats import Format
from model_training.bundles.exporting.inference import find_resizing, for_inference
from model_training.bundles.exporting.metadata import ExportMetadata, metadata_of
from model_training.files import move_into_place, remove_leftovers
from model_training.judging.judge import Judge
from model_training.networks.loading import load_network

if TYPE_CHECKING:
    import keras

CHECKED_IMAGES = 200
_UNFINISHED, _LOCK = ".ten-classes-export-", "lock"


class ExportError(Exception):
    """A network cannot be exported, or was not exported rightly; the message says what to do."""


@dataclass(frozen=True)
class Exported:
    """An export that was written.

    Args:
        size: in bytes.
        input_shape: as the runtime announces it, with None where any number will do.
        width: how many features it gives.
        metadata: what it says of itself.
        difference: from the network.
    """

    path: Path
    size: int
    input_shape: tuple[int | None, ...]
    width: int
    metadata: ExportMetadata
    difference: Difference


def export(
    bundle: Bundle,
    form: Format,
    path: Path,
    images: NDArray[np.uint8],
    *,
    size: int | None = None,
    replace: bool = False,
) -> Exported:
    """Write `bundle`'s network to `path` as `form`, checked, whole or not at all.

    Args:
        images: real ones to check it on, uint8 (count, height, width, 3).
        size: the side of the pictures that it will take, for a network that resizes; None leaves
            that open where `form` allows it, and is otherwise the size that the network works at.
        replace: whether an export that is at `path` already is replaced.

    Raises:
        ExportError: something is missing or in the way, or the check failed; `path` is as before.
        OSError: a file cannot be written.
    """
    _refuse_to_overwrite(path, form, replace)
    network, judge = _load(bundle, form)
    # Only now: what is refused is refused at once.
    import keras
    import tensorflow as tf

    if network.input_shape[1] is None:
        size = size or (None if form.any_size else bundle.card.input_size)
    elif size not in (None, network.input_shape[1]):
        raise ExportError(
            f"{bundle.name} takes {network.input_shape[1]}x{network.input_shape[1]} pixels and "
            "nothing else: leave --size out."
        )
    model = for_inference(network, size)
    resizing = find_resizing(network)
    metadata = metadata_of(bundle, judge, resizing.interpolation if resizing else None)
    try:
        with _made_for(path) as made, _quiet():
            model.export(
                str(made),
                format=form.keras_name,
                verbose=False,
                input_signature=[keras.InputSpec("float32", model.input_shape, name=INPUT)],
                **form.options(),
            )
            form.write_metadata(made, metadata.model_dump_json())
            if read_metadata(form, made) != metadata:
                raise ExportError(f"{form.name} does not keep what is said of it. It was removed.")
            exported = form.open(made)
            difference = check(network, judge, exported, images)
    except Differs as error:
        raise ExportError(
            f"What was written does not answer as the network does: {error}. It was removed. Try "
            "another --format, or --size where the network resizes."
        ) from error
    except (ExportError, OSError):
        raise
    except (tf.errors.ResourceExhaustedError, tf.errors.UnknownError) as error:
        # TensorFlow writes its files itself, and says so of a full disk.
        raise OSError(error.message.splitlines()[0]) from error
    except Exception as error:  # Converters and runtimes promise nothing about what they raise.
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise ExportError(
            f"{bundle.name} cannot be written as {form.name}: {why[0]} Try another --format."
        ) from error
    return Exported(path, _size(path), exported.input_shape, exported.width, metadata, difference)


def read_metadata(form: Format, path: Path) -> ExportMetadata:
    """Return what the export at `path` says of itself.

    Raises:
        ExportError: it says nothing, or what is not valid.
        OSError: it cannot be read.
    """
    try:
        return ExportMetadata.read(form.read_metadata(path))
    except KeyError as error:
        raise ExportError(f"{path.name} was not made by `flask export`.") from error
    except ValueError as error:
        raise ExportError(f"The metadata of {path.name} is not valid ({error}).") from error


def _load(bundle: Bundle, form: Format) -> tuple[keras.Model, Judge]:
    if bundle.model_path is None:
        raise ExportError(
            f"The bundle {bundle.name} is only a report: its network is not in it, so there is "
            "nothing to export. Train it here first, or export another."
        )
    if bundle.judge is None:
        raise ExportError(
            f"The bundle {bundle.name} has no judge, so an export could not say what turns its "
            f"outputs into answers. `flask calibrate {bundle.name}` makes one."
        )
    missing = [name for name in form.packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(
            f"For {form.name}, {' and '.join(missing)} must be installed. Run: "
            ".venv/bin/pip install -r requirements-export.txt"
        )
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            "TensorFlow does the converting: give the command without KERAS_BACKEND "
            f"(now {keras.backend.backend()!r})."
        )
    return load_network(bundle.model_path), bundle.judge


def _refuse_to_overwrite(path: Path, form: Format, replace: bool) -> None:
    if not path.exists():
        return
    if not replace:
        raise ExportError(f"{path} is there already. Give --force to replace it.")
    ours = path.is_file() if form.suffix else (path / "saved_model.pb").is_file()
    if not ours:
        raise ExportError(
            f"{path} is there already and is no {form.name}, so it is not replaced. Give another "
            "--to."
        )


@contextmanager
def _made_for(path: Path) -> Iterator[Path]:
    """Yield where to make what becomes `path`, once all went well; nothing else of it stays.

    It is a hidden folder, locked for as long as its process lives: one that a killed process left
    is known by that, and removed by the next export beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)  # As earlier versions named them.
    for left in path.parent.glob(f"{_UNFINISHED}*"):
        try:
            with FileLock(left / _LOCK, timeout=0):
                shutil.rmtree(left, ignore_errors=True)
        except (Timeout, OSError):
            continue  # It is being written now, or is none of ours.
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=_UNFINISHED))
    try:
        with FileLock(folder / _LOCK):
            made = folder / path.name
            yield made
            move_into_place(made, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


@contextmanager
def _quiet() -> Iterator[None]:
    # The converters warn of their own old ways, which nobody here can mend.
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tensorflow", "absl")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
