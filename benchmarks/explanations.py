"""How well maps explain: `python -m benchmarks.explanations [NAME ...] [--photos FOLDER]`

For each bundle NAME, by default all that have a network, every method and both controls are
measured by insertion minus deletion (`model_training.explaining.measuring`) on the same pictures:
test images that ship, or, with `--photos`, real photos in folders named after the classes.  `--half
chosen` takes the pictures by which `flask models explain` chooses a method, `--half reported` those
on which it reports.  `--variants` adds what else was tried of each method.  `--cards` measures
nothing, and prints what the cards say in the form of the table in `docs/explanations.md`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.photos import MAX_PIXELS, MODELS
from model_training.bundles.card import Card
from model_training.bundles.reading import read_bundles
from model_training.datasets.kept import find_description, read_kept
from model_training.explaining.comparing import Measured, compare_methods
from model_training.explaining.maps.integrated_gradients import integrated_gradients
from model_training.explaining.maps.layer_cam import layer_cam
from model_training.explaining.maps.occlusion import lost_and_gained, occlusion
from model_training.explaining.methods import CONTROLS, METHODS, Method
from model_training.explaining.samples import Pictures, of_photos, of_test_images
from model_training.explaining.target import Heat, Pixels, Target, scaled
from model_training.judging.backend import Backend
from webapp.serving.classifier import Classifier

HALVES = ("chosen", "reported")


def only_lost(network: Backend, view: Pixels, target: Target) -> Heat:
    """Return what the score loses without each patch: occlusion as it was first described."""
    return scaled(lost_and_gained(network, view, target)[0])


def only_gained(network: Backend, view: Pixels, target: Target) -> Heat:
    """Return what the score gains by each patch alone."""
    return scaled(lost_and_gained(network, view, target)[1])


VARIANTS = {
    "LayerCAM, last maps only": Method("", "", partial(layer_cam, stages=1)),
    "LayerCAM, two sizes": Method("", "", partial(layer_cam, stages=2)),
    "LayerCAM, four sizes": Method("", "", partial(layer_cam, stages=4)),
    "integrated gradients, 2 steps": Method("", "", partial(integrated_gradients, steps=2)),
    "integrated gradients, 16 steps": Method("", "", partial(integrated_gradients, steps=16)),
    "occlusion, only lost": Method("", "", only_lost),
    "occlusion, only gained": Method("", "", only_gained),
    "occlusion, 4x4 patches": Method("", "", partial(occlusion, patches=4)),
    "occlusion, 8x8 patches": Method("", "", partial(occlusion, patches=8)),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--half", choices=HALVES, default="reported")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--variants", action="store_true")
    parser.add_argument("--cards", action="store_true")
    asked = parser.parse_args(arguments)
    bundles = {one.name: one for one in read_bundles(MODELS)[0] if one.model_path is not None}
    if asked.cards:
        print("\n".join(card_rows([bundle.card for bundle in bundles.values()])))
        return
    if unknown := [name for name in asked.names if name not in bundles]:
        parser.error(f"there is no network called {unknown[0]!r}: there is {', '.join(bundles)}")
    methods = {**METHODS, **(VARIANTS if asked.variants else {})}
    print("| network | map | score | lead over the blob | ms |\n" + "| --- " * 5 + "|")
    for name in asked.names or bundles:
        classifier = Classifier(bundles[name])
        half = pictures(classifier, asked.photos, asked.images)[HALVES.index(asked.half)]
        views = [classifier.judge.views(picture)[0].pixels for picture in half]
        print_rows(
            name,
            compare_methods(classifier.backend, classifier.judge, views, methods=methods),
        )


def card_rows(cards: Sequence[Card]) -> list[str]:
    """Return a table of what `cards` say, with a row for each that says anything."""
    maps = {**METHODS, **CONTROLS}
    heads = (
        "network",
        "on",
        *(one.title for one in maps.values()),
        "lead of the best over the blob",
    )
    rows: list[tuple[str, ...]] = [heads, ("---",) * len(heads)]
    for card in cards:
        if (measured := card.explanation) is None:
            continue
        low, high = measured.margins[measured.method]
        scores = [
            "" if name not in measured.scores else f"{measured.scores[name]:.2f}" for name in maps
        ]
        best = list(maps).index(measured.method)
        scores[best] = f"**{scores[best]}**"
        on = f"{measured.images} {measured.set_on}"
        rows.append((f"`{card.name}`", on, *scores, f"{low:+.2f} to {high:+.2f}"))
    return [f"| {' | '.join(row)} |" for row in rows]


def pictures(classifier: Classifier, photos: Path | None, count: int) -> tuple[Pictures, Pictures]:
    """Return the pictures to choose by and those to report."""
    if photos is not None:
        return of_photos(photos, classifier.classes, count, MAX_PIXELS)
    data_folder, digest = MODELS.parent / "data", classifier.bundle.card.training.data_digest
    found = find_description(data_folder, digest)
    test = read_kept(data_folder / found.name).test if found is not None else None
    if test is None:
        raise SystemExit(f"the test images of {classifier.name} are not here: give --photos")
    return of_test_images(test, count)


def print_rows(name: str, measured: Measured) -> None:
    """Print a row for each method and control of one network."""
    for one, score in measured.means.items():
        title = METHODS[one].title if one in METHODS else one
        title = CONTROLS[one].title if one in CONTROLS else title
        low, high = measured.margins[one]
        spent = measured.milliseconds.get(one)
        cost = "" if spent is None else f"{spent:.0f}"
        print(f"| `{name}` | {title} | {score:.2f} | {low:+.2f} to {high:+.2f} | {cost} |")


if __name__ == "__main__":
    main()
