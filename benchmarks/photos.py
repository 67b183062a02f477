"""A model's figures on real photos: `python -m benchmarks.photos FOLDER [NAME] [--half ...]`

FOLDER has one folder for each kind of photo.  Those that are named after a class of the model hold
photos of that class; every other one holds photos of none of the classes, which the model should
refuse.  Each file is treated as a visitor's photo is: opened, cut into views, judged.  Measured are

- right: the share of true photos that are given their class, refused or not;
- AUROC: how often a photo of none of the classes is rated more novel than a true one, 0.5 by
  chance;
- FPR at 95 %: the share of photos of none of the classes that would be accepted if 95 % of the true
  photos were;
- refused: the shares of both above the threshold that ships.

The photos are not part of this project, and nothing is fitted on them.  Where something is chosen
by them (such as how a photo is cut), choose on one half and report the other: `--half chosen` takes
every second photo of each folder, in the order of their names, and `--half reported` the rest.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_training.bundles.reading import read_bundle
from model_training.datasets.pictures.opener import PhotoError, open_photo
from webapp.serving.classifier import Classifier
from webapp.settings import SETTINGS

MODELS = Path(__file__).resolve().parent.parent / "instance" / "models"
HALVES = {"chosen": slice(0, None, 2), "reported": slice(1, None, 2), "all": slice(None)}
MAX_PIXELS = next(int(one.default or 0) for one in SETTINGS if one.name == "MAX_PHOTO_PIXELS")
AT_A_TIME = 16


@dataclass(frozen=True)
class Judged:
    """The judged photos of one folder.

    `answers` are class names; `true` is None for photos of none of the classes.
    """

    name: str
    true: str | None
    answers: list[str]
    novelty: NDArray[np.float64]
    known: NDArray[np.bool_]

    @property
    def right(self) -> float:
        """Return the share of photos that are given their class."""
        return float(np.mean([answer == self.true for answer in self.answers]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    default = next(str(one.default) for one in SETTINGS if one.name == "DEFAULT_MODEL")
    parser.add_argument("name", nargs="?", default=default, help="of a bundle, or a folder of one")
    parser.add_argument("--half", choices=HALVES, default="reported")
    asked = parser.parse_args(arguments)
    path = Path(asked.name) if Path(asked.name).is_dir() else MODELS / asked.name
    classifier = Classifier(read_bundle(path))
    started = time.perf_counter()
    judged = measure(asked.folder, classifier, asked.half)
    if not any(one.true for one in judged):
        parser.error(f"{asked.folder} has no folder called after a class of {classifier.name}")
    photos = sum(len(one.answers) for one in judged)
    print(f"{classifier.name}, half: {asked.half}")
    print_report(judged)
    spent = (time.perf_counter() - started) / photos * 1000
    print(f"{photos:,} photos, {spent:.0f} ms each, decoding included")


def measure(folder: Path, classifier: Classifier, half: str) -> list[Judged]:
    """Judge one half of each folder in `folder`; what cannot be opened is named and left out."""
    found = []
    for kind in sorted(path for path in folder.iterdir() if path.is_dir()):
        images = []
        for path in sorted(kind.iterdir())[HALVES[half]]:
            try:
                photo = open_photo(path.read_bytes(), max_pixels=MAX_PIXELS)
            except PhotoError as error:
                print(f"left out: {path}: {error.message}")
                continue
            images.append(classifier.judge.views(photo.image))
        if not images:
            continue
        judgements = [
            judgement
            for start in range(0, len(images), AT_A_TIME)
            for judgement in classifier.judge_views(images[start : start + AT_A_TIME])
        ]
        found.append(
            Judged(
                name=kind.name,
                true=kind.name if kind.name in classifier.classes else None,
                answers=[classifier.classes[int(one.probabilities.argmax())] for one in judgements],
                novelty=np.array([one.novelty for one in judgements]),
                known=np.array([one.known for one in judgements]),
            )
        )
    return found


def print_report(judged: Sequence[Judged]) -> None:
    """Print a row for each class, one for all of them, and one for photos of none of them."""
    unknown = [one for one in judged if one.true is None]
    novelty = np.concatenate([one.novelty for one in unknown] or [np.empty(0)])
    print(f"{'':12}{'photos':>8}{'right':>8}{'refused':>9}{'AUROC':>8}{'FPR at 95 %':>13}")
    classes = [one for one in judged if one.true is not None]
    together = Judged(
        name="together",
        true="right",
        answers=[
            "right" if answer == one.true else "wrong" for one in classes for answer in one.answers
        ],
        novelty=np.concatenate([one.novelty for one in classes]),
        known=np.concatenate([one.known for one in classes]),
    )
    for one in (*classes, together):
        print(
            f"{one.name:12}{len(one.answers):8,}{one.right:8.3f}{1 - one.known.mean():9.3f}"
            f"{auroc(one.novelty, novelty):8.3f}{false_positive_rate(one.novelty, novelty):13.3f}"
        )
    if unknown:
        known = np.concatenate([one.known for one in unknown])
        print(f"{'none':12}{len(known):8,}{'':8}{1 - known.mean():9.3f}")


def auroc(known: NDArray[np.float64], unknown: NDArray[np.float64]) -> float:
    """Return how often one of `unknown` has the higher novelty, a tie counting half.

    NaN without `unknown`.
    """
    if not len(unknown):
        return float("nan")
    ordered = np.sort(known)
    below = np.searchsorted(ordered, unknown, "left")
    not_above = np.searchsorted(ordered, unknown, "right")
    return float((below + not_above).mean() / 2 / len(known))


def false_positive_rate(
    known: NDArray[np.float64], unknown: NDArray[np.float64], kept: float = 0.95
) -> float:
    """Return the share of `unknown` that is accepted where a threshold keeps `kept` of `known`."""
    if not len(unknown):
        return float("nan")
    return float((unknown <= np.quantile(known, kept)).mean())


if __name__ == "__main__":
    main()
