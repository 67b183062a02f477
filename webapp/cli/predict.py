"""`flask predict`: the site's answers on the command line."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import click
from flask.cli import with_appcontext

from model_training.classifying.sources import Unreadable, read_file
from model_training.datasets.pictures.opener import PhotoError, PhotoTooLarge, open_photo
from webapp.answering.answers import Answer, Prepared, answer_photos, prepare
from webapp.answering.received import limits
from webapp.api import schemas
from webapp.cli.common.bars import Bars
from webapp.cli.common.classifiers import default_classifier, named_classifier
from webapp.filters import percent
from webapp.serving.classifier import Classifier

AT_A_TIME = 32
"""Photos that are answered as one batch: their views are kept till then, not they themselves."""
NONE_OF_THESE = "none of these"
PERHAPS = "perhaps "


@dataclass(frozen=True)
class Problem:
    """A photo that was not answered: the reason for programs, and in words."""

    code: str
    detail: str


@click.command("predict")
@click.argument(
    "photos",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    metavar="PHOTO...",
)
@click.option(
    "--model",
    "name",
    metavar="NAME",
    help="The model that answers; by default the one that answers on the site.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON object for each photo, a line each, with all that /api/classify gives.",
)
@with_appcontext
def predict_command(photos: tuple[Path, ...], name: str | None, as_json: bool) -> None:
    """Classify each PHOTO as the site would.

    A file that cannot be read is reported next to its name, and the others are still classified;
    the exit status is then 1.
    """
    if all(os.path.isdir(path) for path in photos):  # False of what cannot be asked about.
        raise click.BadParameter(_folder(photos[0]), param_hint="PHOTO")
    classifier = named_classifier(name) if name else default_classifier()
    widths = (
        max(len(_shown(path)) for path in photos),
        max(len(PERHAPS) + len(name) for name in (*classifier.classes, NONE_OF_THESE)),
    )
    if not as_json:
        _row(widths, "photo", "answer", "probability", "second")
    unanswered = 0
    for path, outcome in _outcomes(photos, classifier):
        unanswered += isinstance(outcome, Problem)
        if as_json:
            click.echo(json.dumps({"file": str(path)} | _as_json(outcome)))
        else:
            _row(widths, _shown(path), *_cells(outcome))
    if unanswered:
        click.echo(f"Not answered: {unanswered} of {len(photos)}.", err=True)
        raise click.exceptions.Exit(1)


def _outcomes(
    photos: Sequence[Path], classifier: Classifier
) -> Iterator[tuple[Path, Answer | Problem]]:
    """Yield each of `photos` with its answer, or with why it has none, in their order."""
    left = iter(photos)
    with contextlib.ExitStack() as stack:
        # On a terminal the rows themselves show how far it is.
        advance = (
            stack.enter_context(Bars()).each("photos", len(photos))
            if len(photos) > AT_A_TIME and not sys.stdout.isatty()
            else lambda count: None
        )
        while batch := list(islice(left, AT_A_TIME)):
            opened = [_open(path, classifier) for path in batch]
            ready = [one for one in opened if isinstance(one, Prepared)]
            answers = iter(answer_photos(ready, classifier))
            for path, one in zip(batch, opened, strict=True):
                yield path, one if isinstance(one, Problem) else next(answers)
            advance(len(batch))


def _open(path: Path, classifier: Classifier) -> Prepared | Problem:
    try:
        photo = open_photo(_read(path), max_pixels=limits().photo_pixels)
    except PhotoError as error:
        return Problem(error.code, error.message)
    except Unreadable as error:
        return Problem("unreadable-file", str(error))
    return prepare(photo, classifier, shown_side=None)


def _read(path: Path) -> bytes:
    """Return the bytes of a file that is no larger than the site takes.

    Raises:
        Unreadable: it is no file, or cannot be read.
        PhotoTooLarge: it is larger.
    """
    if os.path.isdir(path):
        raise Unreadable(_folder(path))
    most = limits().photo_bytes
    data = read_file(path, most + 1)
    if len(data) > most:
        raise PhotoTooLarge.for_bytes(most)
    return data


def _folder(path: Path) -> str:
    return f"{_shown(path)} is a folder. Give the photos in it: {_shown(path)}/*"


def _as_json(outcome: Answer | Problem) -> dict[str, object]:
    if isinstance(outcome, Problem):
        return {"error": {"code": outcome.code, "detail": outcome.detail}}
    return schemas.Answer.of(outcome, outcome.threshold).model_dump()


def _cells(outcome: Answer | Problem) -> tuple[str, ...]:
    """Return the cells of a row behind the name."""
    if isinstance(outcome, Problem):
        return (f"not answered: {outcome.detail}",)
    if not outcome.known:
        label, share = outcome.shares[0]
        return NONE_OF_THESE, "", f"{label} {percent(share)}"
    # As the pages state them: of a picture of anything at all.
    (label, stated), (second, less) = outcome.stated_shares[:2]
    perhaps = PERHAPS if outcome.verdict == "unsure" else ""
    return f"{perhaps}{label}", percent(stated), f"{second} {percent(less)}"


def _row(widths: tuple[int, int], photo: str, *cells: str) -> None:
    name, answer = widths
    if len(cells) == 3:
        cells = (cells[0].ljust(answer), cells[1].rjust(len("probability")), cells[2])
    click.echo("  ".join((photo.ljust(name), *cells)).rstrip())


def _shown(path: Path) -> str:
    """Return a path for the table: what is in it cannot command the terminal."""
    text = click.format_filename(path)
    return text if text.isprintable() else ascii(text)
