"""A model's figures on real photos: `python -m benchmarks.photos FOLDER [NAME] [--half ...]`

FOLDER has one folder for each kind of photo.  Those that are named after a class of the model hold
photos of that class; every other one holds strangers, photos of none of the classes, which the
model should refuse.  Each file is treated as a visitor's photo is: opened, cut into views, judged.
Measured are

- right: the share of photos of the classes that are given their class, refused or not;
- AUROC: how often a stranger is rated more novel than a photo of a class, 0.5 by chance;
- caught at 5 % and 10 %: the share of strangers that would be refused where so many photos of the
  classes were;
- known, unsure, refused: the shares of the verdicts, at the thresholds that ship.

The photos are not part of this project, and nothing is fitted on them but the thresholds of the
verdicts (`flask calibrate NAME --photos FOLDER`), on the half that is called `chosen`: every second
photo of each folder, in the order of their names.  The rest is `reported`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model_training.bundles.reading import read_bundle
from model_training.judging.parts.verdicts import VERDICTS
from webapp.cli.common.photos import PhotoFiles, judged_features
from webapp.serving.classifier import Classifier
from webapp.settings import SETTINGS

Half = Literal["chosen", "reported", "all"]

MODELS = Path(__file__).resolve().parent.parent / "instance" / "models"
HALVES: tuple[Half, ...] = ("chosen", "reported", "all")
MAX_PIXELS = next(int(one.default or 0) for one in SETTINGS if one.name == "MAX_PHOTO_PIXELS")


@dataclass(frozen=True)
class Judged:
    """Judged photos.

    Args:
        kinds: the name of each one's folder, (count,).
        stranger: whether it is of no class, (count,).
        right: whether the most probable class is its folder's, (count,).
        novelty: (count,).
        verdicts: places in `VERDICTS`, (count,).
    """

    kinds: NDArray[np.str_]
    stranger: NDArray[np.bool_]
    right: NDArray[np.bool_]
    novelty: NDArray[np.float64]
    verdicts: NDArray[np.int64]

    def take(self, chosen: NDArray[np.bool_]) -> Judged:
        """Return those that are `chosen`, bool (count,)."""
        return Judged(
            self.kinds[chosen],
            self.stranger[chosen],
            self.right[chosen],
            self.novelty[chosen],
            self.verdicts[chosen],
        )


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
    if judged.stranger.all():
        parser.error(f"{asked.folder} has no folder called after a class of {classifier.name}")
    print(f"{classifier.name}, half: {asked.half}")
    print_report(judged)
    spent = (time.perf_counter() - started) / len(judged.kinds) * 1000
    print(f"{len(judged.kinds):,} photos, {spent:.0f} ms each, decoding included")


def measure(folder: Path, classifier: Classifier, half: Half) -> Judged:
    """Judge one half of the photos in `folder`; what cannot be opened is named and left out."""
    files = PhotoFiles.of(folder)
    if half != "all":
        files = files.take([second == (half == "reported") for second in files.second])
    judge, classes = classifier.judge, classifier.classes
    features, opened = judged_features(
        files,
        judge,
        classifier.backend,
        MAX_PIXELS,
        on_problem=lambda path, problem: print(f"left out: {path}: {problem}"),
    )
    kinds = np.array(files.kinds)[opened]
    judgements = judge.judge_features(features)
    answers = np.array([classes[int(one.probabilities.argmax())] for one in judgements])
    return Judged(
        kinds,
        ~np.isin(kinds, classes),
        answers == kinds,
        np.array([one.novelty for one in judgements]),
        np.array([VERDICTS.index(one.verdict) for one in judgements]),
    )


def print_report(judged: Judged) -> None:
    """Print a row for each class, one for all of them, and one for strangers."""
    strangers = judged.take(judged.stranger)
    of_classes = judged.take(~judged.stranger)
    columns = ("photos", "right", "AUROC", "at 5 %", "at 10 %", *VERDICTS)
    print(f"{'':12}" + "".join(f"{name:>10}" for name in columns))
    rows = {str(kind): of_classes.kinds == kind for kind in np.unique(of_classes.kinds)}
    for name, chosen in (rows | {"together": np.ones(len(of_classes.kinds), bool)}).items():
        one = of_classes.take(chosen)
        figures = [one.right.mean(), auroc(one.novelty, strangers.novelty)]
        figures += [caught(one.novelty, strangers.novelty, refused) for refused in (0.05, 0.1)]
        print(_row(name, len(one.kinds), [*figures, *_shares(one)]))
    if len(strangers.kinds):
        blank = [float("nan")] * 4
        print(_row("strangers", len(strangers.kinds), [*blank, *_shares(strangers)]))


def _row(name: str, count: int, figures: Sequence[float]) -> str:
    cells = ("" if np.isnan(figure) else f"{figure:.3f}" for figure in figures)
    return f"{name:12}{count:10,}" + "".join(f"{cell:>10}" for cell in cells)


def _shares(judged: Judged) -> list[float]:
    return [float((judged.verdicts == number).mean()) for number in range(len(VERDICTS))]


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


def caught(known: NDArray[np.float64], unknown: NDArray[np.float64], refused: float) -> float:
    """Return the share of `unknown` that is refused where a threshold refuses `refused` of `known`.

    NaN without `unknown`.
    """
    if not len(unknown):
        return float("nan")
    return float((unknown > np.quantile(known, 1 - refused)).mean())


if __name__ == "__main__":
    main()
