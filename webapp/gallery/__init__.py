"""`/gallery/`: the test images of a data set, with a model's answer to each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from flask import Blueprint, abort, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from numpy.typing import NDArray

from model_training.datasets.dataset import ImageSet
from model_training.datasets.kept import TEST
from model_training.datasets.pictures.sprites import (
    LOSSLESS_SIDE,
    SHEET_IMAGES,
    sheet_name,
    tile,
)
from webapp.data_sets import ServedDataSet
from webapp.gallery.cells import evidence, finding
from webapp.gallery.pages import Selection, decode_numbers, encode_numbers
from webapp.gallery.selection import read_filters
from webapp.library import NO_AUDIT, get_library
from webapp.pictures import kept_file, kept_picture
from webapp.query import LARGEST_SEED, data_set, whole_number

bp = Blueprint("gallery", __name__)

FEW_MODELS = 3
"""So many models are shown with all their probabilities; of more, only the one that was chosen."""


@bp.get("/gallery/")
def index() -> ResponseReturnValue:
    """Show up to a hundred of the selected test images, with the true and the predicted class."""
    selection = _read_selection()
    page = selection.page()
    library = get_library()
    return render_template(
        "gallery/index.html",
        selection=selection,
        page=page,
        data=selection.data_set,
        last_seed=LARGEST_SEED,
        others=[
            (one.title, url_for("gallery.index", **library.query(one)), one is selection.data_set)
            for one in library.data_sets.values()
            if one.test is not None
        ],
    )


@bp.get("/gallery.json")
def index_json() -> ResponseReturnValue:
    """Send the content of the page of the same address as JSON."""
    selection = _read_selection()
    page = selection.page()
    return {
        "data_set": selection.data_set.name,
        "model": selection.filters.model,
        "count": len(selection.chosen),
        "right": selection.right,
        "page": page.number,
        "pages": page.count,
        "images": [
            {
                "index": cell.number,
                "true": cell.true_class,
                "predicted": cell.predicted_class,
                "confidence": cell.share,
                "right": cell.right,
                "suspected": cell.suspected,
                "near_copy": cell.near_copy,
            }
            for cell in page.cells
        ],
    }


@bp.get("/gallery/<int:number>")
def image(number: int) -> ResponseReturnValue:
    """Show one test image, large, with every model's probabilities."""
    selection = _read_selection()
    if number >= len(selection.test):
        abort(
            404,
            f"The test images go from 0 to {len(selection.test) - 1:,}; there is no {number:,}.",
        )
    data = selection.data_set
    names = data.kept.description.test_names if data.kept else ()
    return render_template(
        "gallery/image.html",
        number=number,
        selection=selection,
        data=data,
        position=selection.position_of(number),
        true_class=selection.true_class(number),
        evidence=evidence(selection.results.values(), number),
        few=FEW_MODELS,
        finding=finding(selection.audit, number, data.classes) if selection.audit else None,
        file_name=names[number] if names else None,
        no_audit=NO_AUDIT,
    )


@bp.get("/gallery/at")
def at() -> ResponseReturnValue:
    """Redirect to the image at a place of the selection, counted from 1, for the slider."""
    selection = _read_selection()
    if not len(selection.chosen):
        return redirect(url_for("gallery.index", **selection.query))
    place = whole_number("place", 1, len(selection.chosen), default=1)
    return redirect(
        url_for("gallery.image", number=int(selection.chosen[place - 1]), **selection.query)
    )


@bp.get("/gallery/sheets/<version>/<int:number>.webp")
def sheet(version: str, number: int) -> ResponseReturnValue:
    """Send a hundred test images in one file, as they are kept; each cell shows a part of it."""
    data, test = _of_version(version)
    if data.kept is None or number * SHEET_IMAGES >= len(test):
        abort(404)
    path = data.kept.folder / TEST / sheet_name(number)
    if not path.is_file():  # the folder has changed since it was read
        abort(404)
    return kept_file(path, "image/webp")


@bp.get("/gallery/mosaics/<version>/<code>.webp")
def mosaic(version: str, code: str) -> ResponseReturnValue:
    """Send up to a hundred test images, chosen by the address, in one file."""
    _data, test = _of_version(version)
    numbers = decode_numbers(code, len(test))
    if numbers is None:
        abort(404)
    # The quickest lossless form: it is made for one page, and the browser keeps it.
    lossless = test.side <= LOSSLESS_SIDE
    quality = 0 if lossless else 90
    picture = tile(test.images[numbers])
    return kept_picture(picture, "WEBP", lossless=lossless, quality=quality, method=0)


@bp.get("/gallery/images/<version>/<int:number>.png")
def image_file(version: str, number: int) -> ResponseReturnValue:
    """Send one test image, pixel for pixel, as PNG."""
    _data, test = _of_version(version)
    if number >= len(test):
        abort(404)
    return kept_picture(test.images[number], "PNG")


@bp.get("/gallery/copies/<version>/<int:number>.png")
def copy_file(version: str, number: int) -> ResponseReturnValue:
    """Send the training image that test image `number` nearly duplicates, as PNG."""
    for data in get_library().data_sets.values():
        if data.audit is not None and data.audit.version == version:
            copy = data.audit.copies.get(number)
            if copy is not None:
                return kept_picture(copy.image, "PNG")
    abort(404)


@bp.app_template_global()
def test_image_url(data: ServedDataSet, number: int) -> str:
    """Return the address of one test image of `data`, for every template."""
    return url_for("gallery.image_file", version=data.version, number=number)


@bp.app_template_global()
def grid_url(data: ServedDataSet, numbers: Sequence[int] | NDArray[np.int64]) -> str:
    """Return the address of the file that shows the images `numbers`, laid out as in a sheet."""
    assert data.test is not None  # Who shows images has found that they are there.
    numbers, count = np.asarray(numbers), len(data.test)
    first = int(numbers[0])
    whole = np.arange(first, min(first + SHEET_IMAGES, count))
    if first % SHEET_IMAGES == 0 and np.array_equal(numbers, whole):
        return url_for("gallery.sheet", version=data.version, number=first // SHEET_IMAGES)
    code = encode_numbers(numbers, count)
    return url_for("gallery.mosaic", version=data.version, code=code)


def _of_version(version: str) -> tuple[ServedDataSet, ImageSet]:
    """Return the data set whose test images have this version, and these images."""
    for data in get_library().data_sets.values():
        if data.test is not None and data.version == version:
            return data, data.test
    abort(404)


def _read_selection() -> Selection:
    library = get_library()
    data = data_set(library, "model")
    if data is None:
        abort(
            503,
            "There is no data set here, so there are no test images to show. The site’s operator "
            "can restore them with “flask data pack” and “flask models reload”.",
        )
    if data.test is None:
        abort(404 if data.kept is None else 503, data.missing_images)
    filters = read_filters(
        data.classes,
        library.comparable(data),
        library.default_model,
        data.audit,
        library.not_comparable(data),
        library.query(data).get("data"),
    )
    return Selection(data, data.test, library.comparable(data), filters)
