"""Writing a bundle: whole or not at all."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model_training.bundles.bundle import (
    CARD,
    FILES,
    HISTORY,
    JUDGE,
    MODEL,
    PREDICTIONS,
    SIGNATURE,
    Bundle,
    Predictions,
)
from model_training.bundles.card import Calibration, Card, Explanation
from model_training.bundles.history import HISTORY_COLUMNS, Epoch
from model_training.bundles.reading import read_bundle
from model_training.files import file_digest, whole_file, whole_folder
from model_training.judging.judge import Judge

if TYPE_CHECKING:
    import keras


def write_bundle(
    path: Path,
    card: Card,
    history: Sequence[Epoch],
    predictions: Predictions,
    model: keras.Model | None,
    judge: Judge | None = None,
) -> Bundle:
    """Write a bundle to the folder `path`, whole or not at all, replacing any earlier one.

    The digests in `card` are computed here, from the files.
    """
    with whole_folder(path) as folder:
        if model is not None:
            model.save(folder / MODEL)
        with (folder / HISTORY).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=HISTORY_COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(dataclasses.asdict(row) for row in history)
        np.savez_compressed(
            folder / PREDICTIONS,
            test=predictions.test,
            test_labels=predictions.test_labels,
            validation=predictions.validation,
            validation_labels=predictions.validation_labels,
        )
        write_card(folder, card, judge)
        # Before it takes the place of the one that is there.
        read_bundle(folder, path.name)
    return read_bundle(path)


def replace_judge(bundle: Bundle, judge: Judge, calibration: Calibration | None = None) -> Bundle:
    """Give `bundle` another judge; every file but this and the card stays the same, bit by bit, and
    a signature is left out.

    Args:
        calibration: what the card says of it, where that is another.
    """
    card = bundle.card
    if calibration is not None:
        card = card.model_copy(update={"calibration": calibration})
    with whole_folder(bundle.path) as folder:
        for name in (MODEL, HISTORY, PREDICTIONS):
            if (bundle.path / name).is_file():
                shutil.copy2(bundle.path / name, folder / name)
        write_card(folder, card, judge)
    return read_bundle(bundle.path)


def replace_explanation(bundle: Bundle, explanation: Explanation) -> Bundle:
    """Say in the card of `bundle` how well it can be explained; every other file stays the same.

    A signature is removed, for it is none of this card.
    """
    card = bundle.card.model_copy(update={"explanation": explanation})
    with whole_file(bundle.path / CARD) as temporary:
        temporary.write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
        # Once the new card is on the disk, which may be full; and before it takes its place, so
        # that a reader meets an unsigned bundle rather than one that seems forged.
        (bundle.path / SIGNATURE).unlink(missing_ok=True)
    return read_bundle(bundle.path)


def make_report(bundle: Bundle) -> Bundle:
    """Leave out the network, the judge and a signature of `bundle`; its other files but the card
    stay the same, bit by bit.

    Raises:
        OSError: a file cannot be written; `bundle` is whole.
    """
    with whole_folder(bundle.path) as folder:
        for name in (HISTORY, PREDICTIONS):
            shutil.copy2(bundle.path / name, folder / name)
        write_card(folder, bundle.card, None)
    return read_bundle(bundle.path)


def write_card(folder: Path, card: Card, judge: Judge | None) -> None:
    """Write `judge`, if any, and then `card` with the digests of all files in `folder`."""
    if judge is not None:
        np.savez_compressed(folder / JUDGE, **judge.arrays())  # type: ignore[arg-type]
    digests = {
        name: file_digest(folder / name)
        for name in FILES
        if name != CARD and (folder / name).is_file()
    }
    card = card.model_copy(update={"files": digests})
    (folder / CARD).write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
