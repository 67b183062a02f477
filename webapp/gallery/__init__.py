"""`/gallery/`: the 10,000 CIFAR-10 test images, with what a model made of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from flask import (
    Blueprint,
    abort,
    current_app,
    redirect,
    render_template,
    url_for,
)
from flask.typing import ResponseReturnValue
from numpy.typing import NDArray

from model_training.datasets.catalog.cifar10 import BATCH_DIGESTS, CLASSES
from model_training.datasets.dataset import ImageSet
from model_training.datasets.kept import TEST
from model_training.datasets.pictures.sprites import SHEET_IMAGES, sheet_name, tile
from webapp.gallery.cells import evidence, finding
from webapp.gallery.selection import read_filters
from webapp.gallery.view import View, decode_numbers, encode_numbers
from webapp.library import MAIN_DATA_SET, NO_AUDIT, Library, get_library
from webapp.pictures import kept_file, kept_picture
from webapp.query import LARGEST_SEED, whole_number

bp = Blueprint("gallery", __name__)

# The addresses of images carry this, so a browser may keep them for ever.
VERSION = BATCH_DIGESTS["test"][:12]


@bp.get("/gallery/")
def index() -> ResponseReturnValue:
    """A page of 10x10 of the chosen test images, with the true and the predicted class."""
    view = _read_view()
    page = view.page()
    return render_template("gallery/index.html", view=view, page=page, last_seed=LARGEST_SEED)


@bp.get("/gallery.json")
def index_json() -> ResponseReturnValue:
    """What the page of the same address shows, for programs."""
    view = _read_view()
    page = view.page()
    return {
        "model": view.filters.model,
        "count": len(view.chosen),
        "right": view.right,
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
    """One test image, large, with every model's probabilities, and its place in the selection."""
    view = _read_view()
    if number >= len(view.test):
        abort(404, f"The test images go from 0 to {len(view.test) - 1:,}; there is no {number:,}.")
    return render_template(
        "gallery/image.html",
        number=number,
        view=view,
        place=view.place_of(number),
        true_class=CLASSES[view.test.labels[number]],
        evidence=evidence(view.results.values(), number),
        finding=finding(view.audit, number) if view.audit else None,
        no_audit=NO_AUDIT,
    )


@bp.get("/gallery/at")
def at() -> ResponseReturnValue:
    """Go to the image at a place of the selection, counted from 1: where the slider leads."""
    view = _read_view()
    if not len(view.chosen):
        return redirect(url_for("gallery.index", **view.query))
    place = whole_number("place", 1, len(view.chosen), default=1)
    return redirect(url_for("gallery.image", number=int(view.chosen[place - 1]), **view.query))


@bp.get("/gallery/sheets/<version>/<int:number>.webp")
def sheet(version: str, number: int) -> ResponseReturnValue:
    """100 test images in one file, as they ship; the page shows a part of it in each cell."""
    test = _test_images(get_library())
    if version != VERSION or number >= len(test) // SHEET_IMAGES:
        abort(404)
    path = current_app.config["DATA_FOLDER"] / MAIN_DATA_SET / TEST / sheet_name(number)
    return kept_file(path, "image/webp")


@bp.get("/gallery/mosaics/<version>/<code>.webp")
def mosaic(version: str, code: str) -> ResponseReturnValue:
    """Up to 100 test images in one file, chosen by the address."""
    test = _test_images(get_library())
    numbers = decode_numbers(code)
    if version != VERSION or numbers is None or numbers.max() >= len(test):
        abort(404)
    picture = np.zeros((SHEET_IMAGES, *test.images.shape[1:]), np.uint8)
    picture[: len(numbers)] = test.images[numbers]
    # The quickest lossless form: it is made for one page, and the browser keeps it.
    return kept_picture(tile(picture), "WEBP", lossless=True, quality=0, method=0)


@bp.get("/gallery/images/<version>/<int:number>.png")
def image_file(version: str, number: int) -> ResponseReturnValue:
    """One test image, 32x32, as PNG."""
    test = _test_images(get_library())
    if version != VERSION or number >= len(test):
        abort(404)
    return kept_picture(test.images[number], "PNG")


@bp.get("/gallery/copies/<version>/<int:number>.png")
def copy_file(version: str, number: int) -> ResponseReturnValue:
    """The training image of which test image `number` is a near-copy, 32x32, as PNG."""
    audit = get_library().audit
    if audit is None or version != audit.version or number not in audit.copies:
        abort(404)
    return kept_picture(audit.copies[number].image, "PNG")


@bp.app_template_global()
def test_image_url(number: int) -> str:
    """The address of one test image, for every template."""
    return url_for("gallery.image_file", version=VERSION, number=number)


@bp.app_template_global()
def grid_url(numbers: Sequence[int] | NDArray[np.int64]) -> str:
    """The address of the one file that shows the images `numbers`, ten a row."""
    numbers = np.asarray(numbers)
    first = int(numbers[0])
    if first % SHEET_IMAGES == 0 and np.array_equal(numbers, first + np.arange(SHEET_IMAGES)):
        return url_for("gallery.sheet", version=VERSION, number=first // SHEET_IMAGES)
    return url_for("gallery.mosaic", version=VERSION, code=encode_numbers(numbers))


def _test_images(library: Library) -> ImageSet:
    if library.test_images is None:
        abort(
            503,
            f"The test images cannot be shown: {library.test_images_problem}. Whoever runs this "
            "site restores them with “flask data pack” and a restart.",
        )
    return library.test_images


def _read_view() -> View:
    library = get_library()
    test = _test_images(library)
    results = library.results_on(test)
    audit = library.audit_on(test.labels)
    elsewhere = library.tested_elsewhere()
    filters = read_filters(results, library.default_model, audit, elsewhere)
    return View(test, results, filters, audit)
