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
from model_training.bundles.reading import MOST_JUDGE_BYTES, read_bundle
from model_training.bundles.writing import write_card
from model_training.datasets.pictures.views import default_plan
from model_training.faults import first_fault
from model_training.files import DamagedFile, file_digest, read_arrays, whole_folder
from model_training.judging.calibration import Calibrator
from model_training.judging.judge import KEPT, Judge
from model_training.judging.out_of_distribution import Reference
from model_training.judging.parts.verdicts import Threshold
from model_training.networks.backend import KerasBackend
from model_training.networks.loading import load_network

NOVELTY = "novelty.npz"
SMALL_SIDE = 32
"""In pixels: every network of version 1 was shown a view reduced to this side, whatever it had
learned from."""


def is_outdated(path: Path) -> bool:
    """Return whether the folder `path` holds a bundle of version 1."""
    try:
        return bool(json.loads((path / CARD).read_bytes())["schema_version"] == 1)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def upgrade(path: Path, test_reads: int | None = None) -> Bundle:
    """Bring the bundle in the folder `path` from version 1 to version 2.

    Args:
        test_reads: the number of times that the test images were read for bundles of this name, if
            that is known.

    Raises:
        BundleError: it is not of version 1, or damaged; it stays as it was.
        OSError: a file cannot be written; it stays as it was.
    """
    if not is_outdated(path):
        raise BundleError("it is not of version 1, so there is nothing to upgrade")
    old: dict[str, Any] = json.loads((path / CARD).read_bytes())
    digests = {MODEL: old.pop("model_sha256", None), NOVELTY: old.pop("novelty_sha256", None)}
    kept = [HISTORY, PREDICTIONS, *(name for name, digest in digests.items() if digest is not None)]
    for name in kept:
        if not (path / name).is_file():
            raise BundleError(f"{name} is missing")
        if digests.get(name) not in (None, file_digest(path / name)):
            raise BundleError(f"{name} is damaged: its SHA-256 is not the one in {CARD}")
    threshold = old.pop("rejection_threshold", None)
    try:
        card = Card.model_validate(old | {"schema_version": 2, "test_reads": test_reads})
    except ValidationError as error:
        raise BundleError(f"{CARD} is not valid: {first_fault(error)}") from error
    if NOVELTY in kept and MODEL not in kept:
        raise BundleError(f"it has a {NOVELTY} and no {MODEL} to judge by")
    judge = _judge(path, card, threshold) if NOVELTY in kept else None
    with whole_folder(path) as folder:
        for name in kept:
            if name != NOVELTY:
                shutil.copy2(path / name, folder / name)
        write_card(folder, card, judge)
        # Before it takes the place of the one that is there.
        read_bundle(folder, path.name)
    return read_bundle(path)


def _judge(path: Path, card: Card, threshold: float | None) -> Judge:
    try:
        stored = read_arrays(path / NOVELTY, MOST_JUDGE_BYTES)
        backend = _backend(path / MODEL)
        scale, offset = _between(stored, backend)
        facts = card.training
        by = facts.calibrated_by or facts.command
        set_on = f"the validation images of the run `{by}`"
        mean, deviation = (float(value) for value in stored["belief"])
        return Judge(
            classes=tuple(card.classes),
            plan=default_plan(card.input_size, SMALL_SIDE),
            kernel=backend.kernel,
            bias=backend.bias,
            calibration=Calibrator(temperature=card.calibration.temperature, set_on=set_on),
            reference=Reference(
                axes=stored["axes"],
                remembered=stored["remembered"],
                remembered_labels=stored["remembered_labels"],
                distance=(float(stored["distance"][0]), float(stored["distance"][1])),
                logit=(mean * scale + offset, deviation * scale),
            ),
            threshold=Threshold.model_validate(
                {"novelty": threshold, "kept": KEPT, "set_on": set_on}
            ),
        )
    except ValidationError as error:
        raise BundleError(f"{CARD} is not valid: {first_fault(error)}") from error
    except KeyError as error:
        raise BundleError(f"{NOVELTY} is damaged (it has no {error.args[0]})") from error
    except (DamagedFile, IndexError, TypeError, ValueError) as error:
        raise BundleError(f"{NOVELTY} is damaged ({error})") from error


def _backend(path: Path) -> KerasBackend:
    try:
        return KerasBackend(load_network(path))
    except Exception as error:  # Keras promises nothing about what a bad file raises.
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise BundleError(f"{MODEL} has nothing to judge by: {why[0]}") from error


def _between(stored: dict[str, Any], backend: KerasBackend) -> tuple[float, float]:
    """Return what logits are multiplied by, and what is added, between version 1 and the network.

    Version 1 kept the weights of the last dense layer, and left out a scale behind it.

    Raises:
        ValueError: the weights are of another network.
    """
    kernel, bias = stored["kernel"].astype(np.float32), stored["bias"].astype(np.float32)
    if kernel.shape != backend.kernel.shape or bias.shape != backend.bias.shape:
        raise ValueError("it is of another network")
    weights = kernel.astype(np.float64)
    scale = float((backend.kernel * weights).sum() / max(float((weights**2).sum()), 1e-12))
    offset = float((backend.bias - scale * bias).mean())
    if not (
        np.allclose(backend.kernel, scale * kernel, atol=1e-5)
        and np.allclose(backend.bias, scale * bias + offset, atol=1e-5)
    ):
        raise ValueError("it is of another network")
    return scale, offset
