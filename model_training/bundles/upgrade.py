"""Upgrading a bundle of version 1 without training: the network stays the same, bit by bit.

Version 1 had a card without digests of history and predictions, and `novelty.npz` where version 2
has a judge.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from model_training.bundles.bundle import (
    CARD,
    HISTORY,
    MODEL,
    PREDICTIONS,
    Bundle,
    BundleError,
)
from model_training.bundles.card import Card
from model_training.bundles.reading import read_bundle
from model_training.bundles.writing import write_card
from model_training.datasets.pictures.views import default_plan
from model_training.files import DamagedFile, file_digest, read_arrays, whole_folder
from model_training.judging.judge import KEPT, Judge, TemperatureScaling, Threshold
from model_training.judging.out_of_distribution import Reference

NOVELTY = "novelty.npz"
SMALL_SIDE = 32
"""In pixels: every network of version 1 was shown a view reduced to this side, whatever it had
learned from."""


def is_outdated(path: Path) -> bool:
    """Return whether the folder `path` holds a bundle of version 1."""
    try:
        return bool(json.loads((path / CARD).read_bytes())["schema_version"] == 1)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def upgrade(path: Path, test_reads: int | None = None) -> Bundle:
    """Bring the bundle in the folder `path` from version 1 to version 2.

    Args:
        test_reads: the number of times that the test images were read for its recipe, if known.

    Raises:
        BundleError: it is not of version 1, or damaged; it stays as it was.
        OSError: a file cannot be written; it stays as it was.
    """
    if not is_outdated(path):
        raise BundleError("it is not of version 1, so there is nothing to upgrade")
    old: dict[str, Any] = json.loads((path / CARD).read_bytes())
    digests = {MODEL: old.pop("model_sha256", None), NOVELTY: old.pop("novelty_sha256", None)}
    for name, digest in digests.items():
        if digest is not None and file_digest(path / name) != digest:
            raise BundleError(f"{name} is damaged: its SHA-256 is not the one in {CARD}")
    threshold = old.pop("rejection_threshold", None)
    try:
        card = Card.model_validate(old | {"schema_version": 2, "test_reads": test_reads})
    except ValidationError as error:
        raise BundleError(f"{CARD} is not valid: {error.errors()[0]['msg']}") from error
    judge = _judge(path / NOVELTY, card, threshold) if digests[NOVELTY] else None
    with whole_folder(path) as folder:
        for name in (MODEL, HISTORY, PREDICTIONS):
            if (path / name).is_file():
                shutil.copy2(path / name, folder / name)
        write_card(folder, card, judge)
        # In a folder of its own name, since that is checked too.
        trial = folder / card.name
        trial.mkdir()
        for file in [one for one in folder.iterdir() if one.is_file()]:
            (trial / file.name).hardlink_to(file)
        read_bundle(trial)
        shutil.rmtree(trial)
    return read_bundle(path)


def _judge(path: Path, card: Card, threshold: float) -> Judge:
    try:
        stored = read_arrays(path)
        facts = card.training
        by = facts.calibrated_by or facts.command
        set_on = f"the validation images of the run `{by}`"
        return Judge(
            classes=tuple(card.classes),
            plan=default_plan(card.input_size, SMALL_SIDE),
            kernel=stored["kernel"].astype(np.float32),
            bias=stored["bias"].astype(np.float32),
            calibration=TemperatureScaling(temperature=card.calibration.temperature, set_on=set_on),
            reference=Reference(
                axes=stored["axes"],
                remembered=stored["remembered"],
                remembered_labels=stored["remembered_labels"],
                distance=(float(stored["distance"][0]), float(stored["distance"][1])),
                logit=(float(stored["belief"][0]), float(stored["belief"][1])),
            ),
            threshold=Threshold(novelty=threshold, kept=KEPT, set_on=set_on),
        )
    except (DamagedFile, KeyError, IndexError, ValueError) as error:
        raise BundleError(f"{NOVELTY} is damaged ({error})") from error
