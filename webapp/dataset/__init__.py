"""`/dataset/`: the images that the models learned from."""

from __future__ import annotations

import hashlib

import numpy as np
from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from model_training.datasets.catalog.cifar10 import CLASSES
from model_training.datasets.dataset import ImageSet
from model_training.datasets.statistics import PARTS
from webapp.dataset.reviews import find_review, make_view, review_names
from webapp.library import Library, get_library
from webapp.pictures import kept_picture
from webapp.query import LARGEST_SEED, whole_number

bp = Blueprint("dataset", __name__, url_prefix="/dataset")

EACH = 10
CHANNELS = ("red", "green", "blue")


@bp.get("/")
def index() -> ResponseReturnValue:
    """Ten images of each class, counts, means, and what 32x32 pixels are enough for."""
    library = get_library()
    seed = whole_number("seed", 0, LARGEST_SEED, default=0)
    overview = library.overview
    return render_template(
        "dataset/index.html",
        rows=_examples(library.test_images, seed) if library.test_images else [],
        seed=seed,
        next_seed=(seed + 1) % (LARGEST_SEED + 1),
        overview=overview,
        classes=CLASSES,
        parts=PARTS,
        channels=zip(CHANNELS, overview.mean, overview.deviation, strict=True) if overview else (),
        version=_version(library),
        reviews=review_names(),
    )


@bp.get("/<name>", strict_slashes=False)
def reviewed(name: str) -> ResponseReturnValue:
    """What `flask data review` found in a folder of photos."""
    review = find_review(name)
    return render_template("dataset/review.html", review=review, view=make_view(review))


@bp.get("/<name>.json")
def reviewed_json(name: str) -> ResponseReturnValue:
    """The same for programs, as it is kept."""
    return find_review(name).model_dump(mode="json")


@bp.get("/means/<version>.png")
def means(version: str) -> ResponseReturnValue:
    """The mean image of each class, side by side, 320x32."""
    library = get_library()
    if library.overview is None or version != _version(library):
        abort(404)
    row = np.concatenate(list(library.overview.mean_images), axis=1)
    return kept_picture(row, "PNG")


def _version(library: Library) -> str:
    # The address changes with the picture, so that a browser may keep it for ever.
    if library.overview is None:
        return ""
    return hashlib.sha256(library.overview.mean_images.tobytes()).hexdigest()[:12]


def _examples(test: ImageSet, seed: int) -> list[tuple[str, list[int]]]:
    rng = np.random.default_rng(seed)
    return [
        (name, rng.choice(np.flatnonzero(test.labels == number), EACH, replace=False).tolist())
        for number, name in enumerate(CLASSES)
    ]
