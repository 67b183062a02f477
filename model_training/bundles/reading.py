"""Reading a bundle: everything in it is checked, and the message says what is wrong with a bad one.

A bundle may come from another program, an earlier version or a failing disk, so nothing in it is
trusted: sizes are checked before anything is unpacked, then digests, schema, types, shapes, ranges.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from model_training.bundles.bundle import (
    CARD,
    FILES,
    HISTORY,
    JUDGE,
    MODEL,
    PREDICTIONS,
    Bundle,
    BundleError,
    Predictions,
)
from model_training.bundles.card import Card
from model_training.bundles.history import HISTORY_COLUMNS
from model_training.faults import first_fault
from model_training.files import DamagedFile, file_digest, read_arrays
from model_training.judging.judge import Judge

MOST_TEXT_BYTES = 20 * 2**20
MOST_IMAGES = 200_000
MOST_JUDGE_BYTES = 256 * 2**20
MOST_EPOCHS = 100_000

Check = Callable[[Path], None]
"""Raises a `BundleError` where the bundle in a folder must not be used."""


def read_bundle(path: Path, name: str | None = None) -> Bundle:
    """Read the bundle in the folder `path` and check it: schema, sizes, digests.

    Args:
        name: of the bundle, where that is not its folder's, since it is still being written.

    Raises:
        BundleError: something is wrong with it; the message says what.
    """
    card = _read_card(path / CARD)
    name = name or path.name
    if card.name != name:
        raise BundleError(f"{CARD} is of {card.name!r}, but the folder is {name!r}")
    _check_files(path, card)
    history = _read_history(path / HISTORY)
    predictions = _read_predictions(path / PREDICTIONS, card)
    judge = _read_judge(path / JUDGE, card) if JUDGE in card.files else None
    model_path = path / MODEL if MODEL in card.files else None
    return Bundle(card, history, predictions, model_path, path, judge)


def read_bundles(folder: Path, check: Check | None = None) -> tuple[list[Bundle], dict[str, str]]:
    """Read every bundle in `folder`, in the order of their names.

    Args:
        check: is asked about each before anything of it is read.

    Returns:
        The valid ones, and what is wrong with each invalid one, by its name.
    """
    found = read_changed(folder, {}, check)
    return found.good, found.bad


@dataclass
class Found:
    """What is in a folder of bundles.

    Args:
        good: valid ones that were read.
        bad: what is wrong with each invalid one, by its name.
        digests: the SHA-256 of each card, by the bundle's name; "" where it cannot be read.  A card
            names the digests of all other files, so this one stands for the whole bundle.
    """

    good: list[Bundle] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)


def read_changed(folder: Path, known: Mapping[str, str], check: Check | None = None) -> Found:
    """Read the bundles in `folder` that are not known yet, in the order of their names.

    Args:
        known: the digests of the cards of bundles that need not be read again, by name.
        check: is asked about each that is read, before anything of it is.
    """
    found = Found()
    children = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in children:
        # A dot marks a bundle that is still being written.
        if not path.is_dir() or path.name.startswith("."):
            continue
        try:
            found.digests[path.name] = file_digest(path / CARD)
        except OSError:
            found.digests[path.name] = ""
        if found.digests[path.name] and found.digests[path.name] == known.get(path.name):
            continue
        try:
            if check is not None:
                check(path)
            found.good.append(read_bundle(path))
        except BundleError as error:
            found.bad[path.name] = str(error)
        except OSError as error:
            found.bad[path.name] = f"it cannot be read ({error.strerror})"
        except Exception as error:  # Whatever is wrong with one, the others are still served.
            found.bad[path.name] = f"it cannot be read ({type(error).__name__}: {error})"
    return found


def _read_card(path: Path) -> Card:
    try:
        _check_size(path, MOST_TEXT_BYTES)
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{CARD} is missing or cannot be read") from error
    try:
        return Card.model_validate_json(content)
    except ValidationError as error:
        if _version(content) == 1:
            raise BundleError(
                f"it was made by an earlier version: `flask models upgrade {path.parent.name}` "
                "brings it up to date"
            ) from error
        raise BundleError(f"{CARD} is not valid: {first_fault(error)}") from error


def _version(content: bytes) -> object:
    try:
        card = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return card.get("schema_version") if isinstance(card, dict) else None


def _check_files(path: Path, card: Card) -> None:
    known = set(FILES) - {CARD}
    if unknown := sorted(set(card.files) - known):
        raise BundleError(f"{CARD} names a file that no bundle has: {unknown[0]}")
    for name in (HISTORY, PREDICTIONS):
        if name not in card.files:
            raise BundleError(f"{CARD} does not name {name}")
    if JUDGE in card.files and MODEL not in card.files:
        raise BundleError(f"it has a {JUDGE} and no {MODEL} to judge by")
    for name, digest in card.files.items():
        if not (path / name).is_file():
            raise BundleError(f"{name} is missing")
        if file_digest(path / name) != digest:
            raise BundleError(f"{name} is damaged: its SHA-256 is not the one in {CARD}")


def _check_size(path: Path, most: int) -> None:
    if path.stat().st_size > most:
        raise BundleError(f"{path.name} is larger than {most // 2**20} MB")


def _read_history(path: Path) -> dict[str, list[float]]:
    try:
        _check_size(path, MOST_TEXT_BYTES)
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        # An empty column was not measured, such as validation in a run on all data.
        columns = {
            name: [float(row[name]) for row in rows]
            for name in HISTORY_COLUMNS
            if not (rows and name.startswith("validation_") and all(not row[name] for row in rows))
        }
        if not 0 < len(rows) <= MOST_EPOCHS:
            raise ValueError("it has no rows, or far too many")
        if not all(math.isfinite(value) for value in chain(*columns.values())):
            raise ValueError("a value is missing or not finite")
        if columns["epoch"] != [float(number) for number in range(1, len(rows) + 1)]:
            raise ValueError("its epochs are not 1, 2, 3 and so on")
        shares = (value for name in columns if "accuracy" in name for value in columns[name])
        if not all(0 <= value <= 1 + 1e-6 for value in shares):
            raise ValueError("an accuracy is not between 0 and 1")
        return columns
    except OSError as error:
        raise BundleError(f"{HISTORY} is missing or cannot be read") from error
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise BundleError(f"{HISTORY} is damaged ({error})") from error


def _read_predictions(path: Path, card: Card) -> Predictions:
    classes = len(card.classes)
    try:
        stored = read_arrays(path, most_bytes=2 * MOST_IMAGES * (4 * classes + 1) + 4096)
    except FileNotFoundError as error:
        raise BundleError(f"{PREDICTIONS} is missing") from error
    except DamagedFile as error:
        raise BundleError(f"{PREDICTIONS} is damaged ({error})") from error
    names = {"test", "test_labels", "validation", "validation_labels"}
    if set(stored) != names:
        wrong = ", ".join(sorted(set(stored) ^ names))
        raise BundleError(f"{PREDICTIONS} is damaged: missing or unknown: {wrong}")
    for part in ("test", "validation"):
        _check_part(part, stored[part], stored[f"{part}_labels"], classes)
    predictions = Predictions(
        stored["test"], stored["test_labels"], stored["validation"], stored["validation_labels"]
    )
    if not len(predictions.test):
        raise BundleError(f"{PREDICTIONS} is damaged: no test image was answered")
    right = float((predictions.test.argmax(axis=1) == predictions.test_labels).mean())
    if len(predictions.test) != card.test.images or abs(right - card.test.accuracy) > 1e-6:
        raise BundleError(
            f"{PREDICTIONS} is not of this model: {CARD} says {card.test.accuracy:.4f} of "
            f"{card.test.images:,} test images, and {right:.4f} of {len(predictions.test):,} are "
            "right"
        )
    return predictions


def _check_part(part: str, probabilities: NDArray[Any], labels: NDArray[Any], classes: int) -> None:
    for name, array, kind, axes in (
        (part, probabilities, np.float32, 2),
        (f"{part}_labels", labels, np.uint8, 1),
    ):
        if array.dtype != kind or array.ndim != axes:
            raise BundleError(
                f"{PREDICTIONS} is damaged: {name} is {array.dtype} with {array.ndim} axes"
            )
    if probabilities.shape != (len(labels), classes):
        raise BundleError(
            f"{PREDICTIONS} is damaged: {part} has the shape {probabilities.shape}, and "
            f"{len(labels)} labels of {classes} classes"
        )
    if len(labels) and (
        not np.isfinite(probabilities).all()
        or float(probabilities.min()) < 0
        or not np.allclose(probabilities.sum(axis=1, dtype=np.float64), 1, atol=1e-3)
        or int(labels.max()) >= classes
    ):
        raise BundleError(f"{PREDICTIONS} is damaged: {part} does not hold probabilities")


def _same_calibration(judge: Judge, card: Card) -> bool:
    # A judge that asks a second head, too, has a calibration of its own.
    kept, said = judge.calibration, card.calibration
    return (kept.temperature, kept.steps) == (said.temperature, said.steps)


def _read_judge(path: Path, card: Card) -> Judge:
    try:
        judge = Judge.from_arrays(read_arrays(path, most_bytes=MOST_JUDGE_BYTES))
    except (DamagedFile, ValueError) as error:
        raise BundleError(f"{JUDGE} is damaged ({error})") from error
    if (
        judge.classes != tuple(card.classes)
        or judge.plan.side != card.input_size
        or (judge.pretrained is None and not _same_calibration(judge, card))
    ):
        raise BundleError(f"{JUDGE} is not of this model: {CARD} says otherwise")
    return judge
