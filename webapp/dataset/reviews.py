"""Reviews of folders of photos: found in the data folder, and made into charts and sentences."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from flask import abort, current_app

from model_training.datasets.folders.review import SIDES, Review, read_review
from model_training.datasets.kept import REVIEW
from model_training.files import DamagedFile
from model_training.naming import is_slug
from webapp.charts.bars import BarChart, bar_chart
from webapp.library import get_library

CHARTED = 40
"""With more classes than this, their chart is left out: the table has them all."""


@dataclass(frozen=True)
class ReviewSummary:
    """Sums and charts that the page shows beside the review itself.

    `commonest` and `rarest` are the classes with the most and the fewest pictures of those that
    have any, `greyest` the one with the most grey pictures.
    """

    charts: list[BarChart]
    commonest: tuple[str, int] | None
    rarest: tuple[str, int] | None
    empty: list[str]
    formats: list[tuple[str, int]]
    modes: list[tuple[str, int]]
    greys: int
    greyest: tuple[str, int]
    copies: int
    bad: int
    small: int


def review_names() -> list[str]:
    """Return the names of the reviews, in order."""
    return sorted(_paths())


def find_review(name: str) -> Review:
    """Return the review called `name`; answer the request with 404 where there is no whole one."""
    paths = _paths()
    if name not in paths:
        there = ", ".join(sorted({*paths, *get_library().data_sets})) or "none yet"
        abort(
            404,
            f"There is no data set called “{name}” here, and no review of a folder by that name. "
            f"Available: {there}. “flask data review FOLDER” reviews a folder.",
        )
    try:
        return read_review(paths[name])
    except (DamagedFile, OSError) as error:
        current_app.logger.error("the review %s cannot be read: %s", name, error)
        abort(404, f"The review “{name}” is damaged. Run “flask data review” on its folder again.")


def _paths() -> dict[str, Path]:
    """Return the file of each review, by the name of its data set."""
    folder: Path = current_app.config["DATA_FOLDER"]
    paths = {path.parent.name: path for path in folder.glob(f"*/{REVIEW}")}
    return {name: path for name, path in paths.items() if is_slug(name)}


def summarize(review: Review) -> ReviewSummary:
    """Add up the classes of `review` and draw its charts."""
    filled = sorted(
        ((one.name, one.pictures) for one in review.classes if one.pictures),
        key=lambda pair: -pair[1],
    )
    charts = [bar_chart("Shorter side in pixels", _side_labels(), review.sides)]
    if len(review.classes) <= CHARTED:
        names = [one.name for one in review.classes]
        counts = [one.pictures for one in review.classes]
        charts.insert(0, bar_chart("Pictures by class", names, counts))
    formats: Counter[str] = Counter()
    modes: Counter[str] = Counter()
    for one in review.classes:
        formats.update(one.formats)
        modes.update(one.modes)
    return ReviewSummary(
        charts=charts,
        commonest=filled[0] if filled else None,
        rarest=filled[-1] if filled else None,
        empty=[one.name for one in review.classes if not one.pictures],
        formats=formats.most_common(),
        modes=modes.most_common(),
        greys=sum(one.greys for one in review.classes),
        greyest=max(((one.name, one.greys) for one in review.classes), key=lambda pair: pair[1]),
        copies=sum(one.copies for one in review.classes),
        bad=sum(one.bad for one in review.classes),
        small=review.sides[0],
    )


def _side_labels() -> list[str]:
    between = [f"{low} to {high - 1}" for low, high in zip(SIDES, SIDES[1:], strict=False)]
    return [f"under {SIDES[0]}", *between, f"{SIDES[-1]} and more"]
