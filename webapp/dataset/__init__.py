"""`/dataset/`: the images that the models learned from."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from model_training.datasets.kept import AUDIT, STATISTICS, TEST
from model_training.datasets.pictures.sprites import tile
from model_training.datasets.statistics import PARTS, Statistics
from webapp.data_sets import ServedDataSet
from webapp.dataset.reviews import find_review, review_names, summarize
from webapp.dataset.samples import draw_samples
from webapp.library import get_library
from webapp.pictures import kept_picture
from webapp.query import LARGEST_SEED, whole_number

bp = Blueprint("dataset", __name__, url_prefix="/dataset")

CHANNELS = ("red", "green", "blue")
PART_TITLES = {TEST: "the test images", STATISTICS: "the figures", AUDIT: "the audit"}


@bp.get("/")
def index() -> ResponseReturnValue:
    """Show the data set if there is only one, or else a list of all."""
    library = get_library()
    served = list(library.data_sets.values())
    if len(served) == 1 and not library.data_problems:
        return _page(served[0])
    return render_template(
        "dataset/index.html",
        data_sets=served,
        models={one.name: len(library.results_on(one)) for one in served},
        bad=sorted(library.data_problems),
        reviews=review_names(),
    )


@bp.get("/<name>", strict_slashes=False)
def one(name: str) -> ResponseReturnValue:
    """Show a data set, or the review of a folder that nothing has learned from yet."""
    data = _find(name)
    return _page(data) if data else reviewed(name)


@bp.get("/<name>.json")
def one_json(name: str) -> ResponseReturnValue:
    """Send the same as JSON."""
    data = _find(name)
    return _as_json(data) if data else reviewed_json(name)


@bp.get("/<name>/review")
def reviewed(name: str) -> ResponseReturnValue:
    """Show the findings of `flask data review` in a folder of photos."""
    review, data = find_review(name), get_library().data_sets.get(name)
    title = data.title if data else review.name
    return render_template(
        "dataset/review.html", review=review, title=title, summary=summarize(review)
    )


@bp.get("/<name>/review.json")
def reviewed_json(name: str) -> ResponseReturnValue:
    """Send the review as JSON, as it is kept."""
    return find_review(name).model_dump(mode="json")


@bp.get("/means/<version>.png")
def means(version: str) -> ResponseReturnValue:
    """Send the mean image of each class, laid out as in a sheet."""
    for data in get_library().data_sets.values():
        if data.statistics is not None and version == _version(data.statistics):
            return kept_picture(tile(data.statistics.mean_images), "PNG")
    abort(404)


def _find(name: str) -> ServedDataSet | None:
    library = get_library()
    if name in library.data_problems:
        abort(404, f"The data set “{name}” is damaged and left out. The log says what is wrong.")
    return library.data_sets.get(name)


def _page(data: ServedDataSet) -> ResponseReturnValue:
    library = get_library()
    seed = whole_number("seed", 0, LARGEST_SEED, default=0)
    statistics = data.statistics
    learned = statistics.counts[:-1].sum(axis=0) if statistics else np.zeros(0, int)
    reviews = review_names()
    return render_template(
        "dataset/one.html",
        data=data,
        query=library.query(data),
        alone=len(library.data_sets) == 1,
        samples=draw_samples(data.test, data.classes, seed) if data.test else None,
        next_seed=(seed + 1) % (LARGEST_SEED + 1),
        statistics=statistics,
        learned_each=int(learned.max()) if statistics else None,
        commonest=data.classes[learned.argmax()] if statistics else None,
        commonest_share=learned.max() / learned.sum() if statistics else None,
        parts=PARTS,
        channels=list(zip(CHANNELS, statistics.mean, statistics.deviation, strict=True))
        if statistics
        else [],
        means_version=_version(statistics) if statistics else "",
        damaged=[PART_TITLES.get(part, part) for part in data.problems],
        models=library.results_on(data),
        review=data.name if data.name in reviews else None,
        reviews=[name for name in reviews if name not in library.data_sets],
    )


def _version(statistics: Statistics) -> str:
    # The address changes with the picture, so that a browser may keep it for ever.
    return hashlib.sha256(statistics.mean_images.tobytes()).hexdigest()[:12]


def _as_json(data: ServedDataSet) -> dict[str, Any]:
    library, description = get_library(), data.kept.description if data.kept else None
    statistics, audit = data.statistics, data.audit
    return {
        "name": data.name,
        "title": data.title,
        "classes": list(data.classes),
        "digest": data.digest,
        "image_size": description.image_size if description else None,
        "kept_size": description.kept_size if description else None,
        "about": data.about.model_dump(mode="json"),
        "counts": statistics
        and {
            part: dict(zip(data.classes, counts, strict=True))
            for part, counts in zip(PARTS, statistics.counts.tolist(), strict=True)
        },
        "mean": statistics and statistics.mean.tolist(),
        "deviation": statistics and statistics.deviation.tolist(),
        "near_copies": audit and len(audit.copies),
        "suspected_labels": audit and int(audit.doubts.suspected.sum()),
        "models": sorted(library.results_on(data)),
        "left_out": sorted(data.problems),
        "reviewed": data.name in review_names(),
    }
