"""What a network's two heads are worth on photos: `python -m benchmarks.heads PHOTOS [NAME]`

Judges both halves of a folder of photos (see `benchmarks.photos`) by the network's own head alone,
by the head that it came with alone, and by both with other weights than those that ship; then
novelty by the nearest training images and the largest logit alone, by the share of no class alone,
and by both with other weights.  Nothing is fitted on the photos; scale and offsets are fitted again
for each weight, on the first `VALIDATION` validation images of CIFAR-10, which must be at hand.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks.photos import MAX_PIXELS, MODELS, auroc, caught
from model_training.bundles.reading import read_bundle
from model_training.datasets.catalog.cifar10 import NAME, load
from model_training.datasets.dataset import split
from model_training.datasets.kept import CACHE
from model_training.judging.judge import Judge
from model_training.judging.parts import pretrained_head
from model_training.judging.parts.pretrained_head import NOVELTY_WEIGHT, WEIGHT
from model_training.networks.backend import KerasBackend
from model_training.networks.loading import load_network
from webapp.cli.common.photos import PhotoFiles, judged_features

Floats = NDArray[np.float32]

VALIDATION = 2_000
WEIGHTS = (0.25, 0.5, 0.75, 1.0)
NOVELTY_WEIGHTS = (1.0, 2.0, 4.0, 8.0)
BATCH = 50


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("name", nargs="?", default="efficientnet-lite0", help="of a bundle")
    asked = parser.parse_args(arguments)
    bundle = read_bundle(MODELS / asked.name)
    judge = bundle.judge
    if judge is None or judge.pretrained is None or bundle.model_path is None:
        parser.error(f"{asked.name} has one head")
    backend = KerasBackend(load_network(bundle.model_path))
    files = PhotoFiles.of(asked.photos)
    photos, opened = judged_features(files, judge, backend, MAX_PIXELS)
    true = files.labels(judge.classes)[opened]
    second = np.array(files.second)[opened]
    data = load(MODELS.parent / "data" / NAME / CACHE)
    validation = data.train.take(split(data.train.labels)[1][:VALIDATION])
    told = np.concatenate(
        [
            backend.features(validation.images[start : start + BATCH])
            for start in range(0, len(validation), BATCH)
        ]
    )

    print(f"{'heads':34}right (chosen / reported)   validation")
    for name, found, known in _answers(judge, photos, told, validation.labels):
        right = [
            (found[half & (true >= 0)].argmax(axis=1) == true[half & (true >= 0)]).mean()
            for half in (~second, second)
        ]
        accuracy = (known.argmax(axis=1) == validation.labels).mean()
        print(f"{name:34}{right[0]:.3f} / {right[1]:.3f}{'':14}{accuracy:.3f}")
    print(f"\n{'novelty':34}AUROC (chosen / reported)   caught where 5 % are refused")
    for name, novelty in _novelties(judge, photos):
        cells = [
            measure(novelty[half & (true >= 0)], novelty[half & (true < 0)])
            for measure in (auroc, lambda known, unknown: caught(known, unknown, 0.05))
            for half in (~second, second)
        ]
        print(f"{name:34}{cells[0]:.3f} / {cells[1]:.3f}{'':14}{cells[2]:.3f} / {cells[3]:.3f}")


def _answers(
    judge: Judge, photos: Floats, validation: Floats, labels: NDArray[np.uint8]
) -> list[tuple[str, NDArray[np.floating], NDArray[np.floating]]]:
    head = judge.pretrained
    assert head is not None
    own, known = judge.own_logits(photos), judge.own_logits(validation)
    shares = [head.log_shares(head.log_probabilities(one)) for one in (photos, validation)]
    found: list[tuple[str, NDArray[np.floating], NDArray[np.floating]]] = [
        ("its own alone", own, known),
        ("ImageNet's alone", shares[0], shares[1]),
    ]
    for weight in WEIGHTS:
        with patch.object(pretrained_head, "WEIGHT", weight):
            fitted = replace(head).fitted(known, validation, labels)
            both = [fitted.combined(*pair) for pair in zip((own, known), shares, strict=True)]
        found.append((f"both, ImageNet's by {weight}" + _ships(weight, WEIGHT), both[0], both[1]))
    return found


def _novelties(judge: Judge, photos: Floats) -> list[tuple[str, NDArray[np.float64]]]:
    assert judge.pretrained is not None and judge.reference is not None
    near = judge.reference.score(photos, judge.own_logits(photos))
    head = judge.pretrained
    share = head.novelty(head.log_shares(head.log_probabilities(photos))) / NOVELTY_WEIGHT
    return [
        ("nearest images and largest logit", near),
        ("share of no class", share),
        *(
            (
                f"both, the share by {weight:g}" + _ships(weight, NOVELTY_WEIGHT),
                near + weight * share,
            )
            for weight in NOVELTY_WEIGHTS
        ),
    ]


def _ships(weight: float, shipped: float) -> str:
    return " (ships)" if weight == shipped else ""


if __name__ == "__main__":
    main()
