"""The choice of score and views: `python -m benchmarks.judging PHOTOS [NAME] [--data PATH]`

Tries out-of-distribution scores, and ways to cut a photo, on both halves of a folder of photos (see
`benchmarks.photos`), and prints a table of each: those in `docs/judging-photos.md`.  Every score is
fitted on 8,000 training images and 2,500 validation images alone, in full precision, which the
bundle rounds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.photos import MAX_PIXELS, MODELS, auroc
from model_training.bundles.reading import read_bundle
from model_training.datasets.catalog.cifar10 import CLASSES, NAME
from model_training.datasets.catalog.cifar10 import load as load_cifar10
from model_training.datasets.dataset import split
from model_training.datasets.kept import CACHE
from model_training.datasets.pictures.opener import open_photo
from model_training.datasets.pictures.views import middle_square, reduced
from model_training.judging.judge import KEPT
from model_training.judging.out_of_distribution import REMEMBERED
from model_training.networks.backend import KerasBackend
from model_training.networks.loading import load_network
from webapp.settings import SETTINGS

Floats = NDArray[np.float32]
Score = Callable[[Floats], NDArray[np.floating]]


def reduce(image: Image.Image, *sides: int) -> NDArray[np.uint8]:
    """Return the whole of `image`, reduced or enlarged to each of `sides` in turn."""
    for side in sides:
        image = image.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.array(image)


def ways(size: int) -> dict[str, Callable[[Image.Image], NDArray[np.uint8]]]:
    """Return the views of a photo by name; a capital M means mirrored."""
    plain: dict[str, Callable[[Image.Image], NDArray[np.uint8]]] = {
        "whole": lambda image: reduce(image, size),
        "middle": lambda image: reduced(middle_square(image), size),
    }
    if size > 64:
        plain["64"] = lambda image: reduce(image, 64, size)
        plain["32"] = lambda image: reduce(image, 32, size)
    mirrored = {
        f"{name}M": lambda image, way=way: way(image)[:, ::-1]
        for name, way in plain.items()
        if name in ("whole", "middle")
    }
    return plain | mirrored


LARGE_VIEWS = (
    "middle",
    "whole",
    "whole middle",
    "whole middle 64",
    "whole middle 32",
    "whole middleM 32",
    "wholeM middle 32",
    "whole middle 64 32",
    "whole wholeM middle middleM 32",
)
SMALL_VIEWS = ("middle", "whole", "whole middle", "whole wholeM", "whole wholeM middle middleM")


def unit(rows: Floats) -> Floats:
    """Return each of `rows` scaled to length 1."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def root(rows: Floats) -> Floats:
    """Return the square root of each feature, signs kept."""
    return np.asarray(np.sign(rows) * np.sqrt(np.abs(rows)))


@dataclass(frozen=True)
class Learned:
    """Features of training images with their labels, and of validation images."""

    train: Floats
    labels: NDArray[np.uint8]
    validation: Floats
    kernel: Floats
    bias: Floats

    def logits(self, features: Floats) -> Floats:
        """Return the last layer's logits for `features`."""
        return np.asarray(features @ self.kernel + self.bias)

    def neighbours(self, shape: Callable[[Floats], Floats], near: int, guessed: bool) -> Score:
        """Return the distance to the nearest training images, of the guessed class or of all."""
        remembered = unit(shape(self.train))

        def score(features: Floats) -> NDArray[np.floating]:
            likeness = unit(shape(features)) @ remembered.T
            if guessed:
                others = self.labels != self.logits(features).argmax(axis=1)[:, np.newaxis]
                likeness[others] = -1
            return np.asarray(-np.partition(likeness, -near, axis=1)[:, -near])

        return score

    def together(self, *scores: Score) -> Score:
        """Return the sum of `scores`, each in its standard deviations on validation."""
        spread = [(found.mean(), found.std()) for found in (one(self.validation) for one in scores)]
        return lambda features: np.sum(
            [
                (one(features) - mean) / deviation
                for one, (mean, deviation) in zip(scores, spread, strict=True)
            ],
            axis=0,
        )


def scores(learned: Learned) -> dict[str, Score]:
    """Return all scores that are tried, the one that ships last."""

    def energy(features: Floats) -> NDArray[np.floating]:
        return np.asarray(-np.logaddexp.reduce(learned.logits(features), axis=1))

    def logit(features: Floats) -> NDArray[np.floating]:
        return np.asarray(-learned.logits(features).max(axis=1))

    def probability(features: Floats) -> NDArray[np.floating]:
        said = learned.logits(features)
        return np.asarray(np.logaddexp.reduce(said, axis=1) - said.max(axis=1))

    middle = learned.train.mean(axis=0)

    def as_is(features: Floats) -> Floats:
        return features

    def centred(features: Floats) -> Floats:
        return np.asarray(features - middle)

    plain = learned.neighbours(as_is, 3, guessed=False)
    return {
        "largest probability": probability,
        "largest logit": logit,
        "energy": energy,
        "3rd nearest of all": plain,
        "3rd nearest of all, centred": learned.neighbours(centred, 3, guessed=False),
        "3rd nearest of all, square roots": learned.neighbours(root, 3, guessed=False),
        "3rd nearest of its class, square roots": learned.neighbours(root, 3, guessed=True),
        "energy + 3rd nearest of all": learned.together(energy, plain),
        "logit + 3rd nearest of its class": learned.together(
            logit, learned.neighbours(as_is, 3, guessed=True)
        ),
        "logit + nearest of its class, square roots": learned.together(
            logit, learned.neighbours(root, 1, guessed=True)
        ),
        "logit + 10th nearest of its class, square roots": learned.together(
            logit, learned.neighbours(root, 10, guessed=True)
        ),
        "**logit + 3rd nearest of its class, square roots**": learned.together(
            logit, learned.neighbours(root, 3, guessed=True)
        ),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    default = next(str(one.default) for one in SETTINGS if one.name == "DEFAULT_MODEL")
    parser.add_argument("name", nargs="?", default=default)
    parser.add_argument("--data", type=Path)
    asked = parser.parse_args()
    bundle = read_bundle(MODELS / asked.name)
    size = bundle.card.input_size
    assert bundle.model_path is not None
    model = load_network(bundle.model_path)
    backend = KerasBackend(model)

    def features(images: NDArray[np.uint8]) -> Floats:
        parts = np.array_split(images, max(1, len(images) // 100))
        return np.concatenate([backend.features(part) for part in parts])

    data = load_cifar10(MODELS.parent / "data" / NAME / CACHE, asked.data).train
    fit, validation = split(data.labels)
    drawn = np.sort(np.random.default_rng(0).permutation(fit)[:REMEMBERED])
    learned = Learned(
        features(data.images[drawn]),
        data.labels[drawn],
        features(data.images[validation[::2]]),
        backend.kernel,
        backend.bias,
    )
    images, true, chosen = read(asked.folder)
    seen = {
        way: features(np.stack([look(one) for one in images])) for way, look in ways(size).items()
    }
    tried = LARGE_VIEWS if size > 64 else SMALL_VIEWS
    ships = "whole middleM 32" if size > 64 else "whole wholeM middle middleM"
    every = scores(learned)
    last = next(reversed(every))
    header = "| {} | right | AUROC | true photos refused | unknown refused |\n" + "| --- " * 5 + "|"
    print(header.format("score"))
    for title, score in every.items():
        print_row(title, score, learned, averaged(seen, ships), true, chosen)
    print("\n" + header.format("views"))
    for views in tried:
        title = f"**{views}**" if views == ships else views
        print_row(title, every[last], learned, averaged(seen, views), true, chosen)


def averaged(seen: Mapping[str, Floats], views: str) -> Floats:
    """Return the mean of the features of the `views`, whose names are separated by spaces."""
    return np.asarray(np.mean([seen[name] for name in views.split()], axis=0))


def read(folder: Path) -> tuple[list[Image.Image], NDArray[np.int64], NDArray[np.bool_]]:
    """Return all photos, their classes (-1 for none), and whether each is in the chosen half."""
    images, true, chosen = [], [], []
    for kind in sorted(path for path in folder.iterdir() if path.is_dir()):
        paths = sorted(kind.iterdir())
        first = set(paths[::2])
        for path in paths:
            images.append(open_photo(path.read_bytes(), max_pixels=MAX_PIXELS).image)
            true.append(CLASSES.index(kind.name) if kind.name in CLASSES else -1)
            chosen.append(path in first)
    return images, np.array(true), np.array(chosen)


def print_row(
    title: str,
    score: Score,
    learned: Learned,
    found: Floats,
    true: NDArray[np.int64],
    chosen: NDArray[np.bool_],
) -> None:
    """Print one row of a table: each figure on the half to choose by, then on the other."""
    threshold = np.quantile(score(learned.validation), KEPT)
    novelty = score(found)
    right = learned.logits(found).argmax(axis=1) == true
    cells = []
    for figure in (
        lambda half: right[half & (true >= 0)].mean(),
        lambda half: auroc(novelty[half & (true >= 0)], novelty[half & (true < 0)]),
        lambda half: (novelty[half & (true >= 0)] > threshold).mean(),
        lambda half: (novelty[half & (true < 0)] > threshold).mean(),
    ):
        cells.append(f"{figure(chosen):.3f} / {figure(~chosen):.3f}")
    print(f"| {title} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
