"""The bundle: the folder that a trained model is, between training and serving.

    model.keras       the network; takes raw RGB, 0 to 255, and does its own scaling
    card.json         everything known about it (see `bundles.card`)
    history.csv       one row per epoch
    predictions.npz   probabilities on the validation and test images, with their labels
    novelty.npz       what tells strangers from the classes; optional

This is the only module that knows these files.
"""

from __future__ import annotations

import csv
import dataclasses
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from model_training.bundles.card import Card
from model_training.bundles.history import HISTORY_COLUMNS, Epoch
from model_training.files import DamagedFile, file_digest, read_arrays, whole_folder
from model_training.judging.out_of_distribution import Novelty

if TYPE_CHECKING:
    import keras

MODEL, CARD, HISTORY, PREDICTIONS = "model.keras", "card.json", "history.csv", "predictions.npz"
NOVELTY = "novelty.npz"


class BundleError(Exception):
    """A bundle is damaged or incomplete; the message says in what way."""


@dataclass(frozen=True)
class Predictions:
    """Probabilities, float32 (count, classes), and true labels, uint8 (count,), of two parts."""

    test: NDArray[np.float32]
    test_labels: NDArray[np.uint8]
    validation: NDArray[np.float32]
    validation_labels: NDArray[np.uint8]


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read whole and passed its checks.

    `history` maps each column of the table to its values, one per epoch; without the columns of
    validation where there was none.  `model_path` is None in a bundle that is only a report, of a
    network too large to ship.  `novelty` is None in one that cannot tell strangers.
    """

    card: Card
    history: dict[str, list[float]]
    predictions: Predictions
    model_path: Path | None
    path: Path
    novelty: Novelty | None = None

    @property
    def files(self) -> dict[str, Path]:
        """Every file of it by its name, the largest first."""
        there = [self.path / name for name in (MODEL, NOVELTY, PREDICTIONS, CARD, HISTORY)]
        return {path.name: path for path in there if path.is_file()}

    @property
    def name(self) -> str:
        """The name by which pages and commands call it."""
        return self.card.name


def write_bundle(
    path: Path,
    card: Card,
    history: Sequence[Epoch],
    predictions: Predictions,
    model: keras.Model | None,
    novelty: Novelty | None = None,
) -> Bundle:
    """Write a bundle to the folder `path`, whole or not at all, replacing the one before.

    The digests in `card` are set here, from the files, and the threshold from `novelty`.
    """
    with whole_folder(path) as folder:
        digest = None
        if model is not None:
            model.save(folder / MODEL)
            digest = file_digest(folder / MODEL)
        _write_judgement(folder, card.model_copy(update={"model_sha256": digest}), novelty)
        with (folder / HISTORY).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=HISTORY_COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(dataclasses.asdict(row) for row in history)
        np.savez_compressed(folder / PREDICTIONS, **vars(predictions))
    return read_bundle(path)


def replace_novelty(bundle: Bundle, novelty: Novelty) -> Bundle:
    """Give `bundle` another `novelty`; every other file but the card stays as it is, to the bit."""
    with whole_folder(bundle.path) as folder:
        for name in (MODEL, HISTORY, PREDICTIONS):
            if (bundle.path / name).is_file():
                shutil.copy2(bundle.path / name, folder / name)
        _write_judgement(folder, bundle.card, novelty)
    return read_bundle(bundle.path)


def _write_judgement(folder: Path, card: Card, novelty: Novelty | None) -> None:
    threshold = digest = None
    if novelty is not None:
        np.savez_compressed(folder / NOVELTY, **novelty.arrays())
        threshold, digest = novelty.threshold, file_digest(folder / NOVELTY)
    card = card.model_copy(update={"rejection_threshold": threshold, "novelty_sha256": digest})
    (folder / CARD).write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_bundle(path: Path) -> Bundle:
    """Read the bundle in the folder `path` and check it: schema, sizes, digests.

    Raises:
        BundleError: with what is wrong.
    """
    card = _read_card(path / CARD)
    if card.name != path.name:
        raise BundleError(f"card.json is of {card.name!r}, but the folder is {path.name!r}")
    model_path = path / MODEL if card.model_sha256 is not None else None
    if model_path is not None:
        if not model_path.is_file():
            raise BundleError(f"{MODEL} is missing")
        if file_digest(model_path) != card.model_sha256:
            raise BundleError(f"{MODEL} is damaged: its SHA-256 is not the one in {CARD}")
    history = _read_history(path / HISTORY)
    predictions = _read_predictions(path / PREDICTIONS, len(card.classes))
    return Bundle(card, history, predictions, model_path, path, _read_novelty(path / NOVELTY, card))


def read_bundles(folder: Path) -> tuple[list[Bundle], dict[str, str]]:
    """Read every bundle in `folder`, in the order of their names.

    Returns:
        The good ones, and for each bad one its name and what is wrong with it.
    """
    good: list[Bundle] = []
    bad: dict[str, str] = {}
    children = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in children:
        # A dot marks a bundle that is still being written.
        if path.is_dir() and not path.name.startswith("."):
            try:
                good.append(read_bundle(path))
            except BundleError as error:
                bad[path.name] = str(error)
            except OSError as error:
                bad[path.name] = f"it cannot be read ({error.strerror})"
    return good, bad


def is_bundle(path: Path) -> bool:
    """Whether `path` is a folder that holds a bundle, be it a damaged one."""
    return (path / CARD).is_file()


def _read_card(path: Path) -> Card:
    try:
        return Card.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{CARD} is missing or cannot be read") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BundleError(f"{CARD} is not valid: {where}: {first['msg']}") from error


def _read_history(path: Path) -> dict[str, list[float]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        # An empty column is of something that was not measured, such as validation with all data.
        columns = {
            name: [float(row[name]) for row in rows]
            for name in HISTORY_COLUMNS
            if not (rows and name.startswith("validation_") and all(not row[name] for row in rows))
        }
        if not rows or not all(math.isfinite(value) for value in chain(*columns.values())):
            raise ValueError("a value is missing or not finite")
        return columns
    except OSError as error:
        raise BundleError(f"{HISTORY} is missing or cannot be read") from error
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise BundleError(f"{HISTORY} is damaged ({error})") from error


def _read_predictions(path: Path, classes: int) -> Predictions:
    try:
        predictions = Predictions(**read_arrays(path))
    except FileNotFoundError as error:
        raise BundleError(f"{PREDICTIONS} is missing") from error
    except (DamagedFile, TypeError) as error:
        raise BundleError(f"{PREDICTIONS} is damaged ({error})") from error
    for part in ("test", "validation"):
        _check_probabilities(
            part, getattr(predictions, part), getattr(predictions, f"{part}_labels"), classes
        )
    return predictions


def _read_novelty(path: Path, card: Card) -> Novelty | None:
    if card.novelty_sha256 is None:
        return None
    try:
        if file_digest(path) != card.novelty_sha256:
            raise BundleError(f"{NOVELTY} is damaged: its SHA-256 is not the one in {CARD}")
        novelty = Novelty.from_arrays(read_arrays(path))
    except FileNotFoundError as error:
        raise BundleError(f"{NOVELTY} is missing") from error
    except (DamagedFile, ValueError) as error:
        raise BundleError(f"{NOVELTY} is damaged ({error})") from error
    if novelty.threshold != card.rejection_threshold or novelty.classes != len(card.classes):
        raise BundleError(f"{NOVELTY} is not of this model: {CARD} says otherwise")
    return novelty


def _check_probabilities(
    part: str, probabilities: NDArray[Any], labels: NDArray[Any], classes: int
) -> None:
    if probabilities.ndim != 2 or probabilities.shape != (len(labels), classes):
        raise BundleError(
            f"{PREDICTIONS} is damaged: {part} has the shape {probabilities.shape}, and "
            f"{len(labels)} labels of {classes} classes"
        )
    if len(labels) and (
        not np.isfinite(probabilities).all()
        or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3)
        or int(labels.max()) >= classes
    ):
        raise BundleError(f"{PREDICTIONS} is damaged: {part} does not hold probabilities")
