"""`/gallery/`: the 10,000 CIFAR-10 test images, with what a model made of each."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    render_template,
    request,
    send_file,
    url_for,
)
from flask.typing import ResponseReturnValue
from PIL import Image

from model_training.data import BATCH_DIGESTS, CLASSES, ImageSet
from model_training.sheets import SHEET_IMAGES, sheet_name
from webapp.gallery.cells import Cell, cells, evidence
from webapp.library import TEST_IMAGES_FOLDER, Library, Result, get_library
from webapp.query import whole_number

bp = Blueprint("gallery", __name__, url_prefix="/gallery")

# The addresses of images carry this, so a browser may keep them for ever.
VERSION = BATCH_DIGESTS["test"][:12]
ONE_YEAR = 365 * 24 * 3600


@bp.get("/")
def index() -> ResponseReturnValue:
    """A page of 10x10 test images, with the true and the predicted class."""
    library = get_library()
    test = _test_images(library)
    results = library.results_on(test)
    result = _chosen_result(results, library.default_model)
    pages = len(test) // SHEET_IMAGES
    page = whole_number("page", 1, pages, default=1)
    start = (page - 1) * SHEET_IMAGES
    shown: list[Cell] = cells(test, result, range(start, start + SHEET_IMAGES))
    return render_template(
        "gallery/index.html",
        cells=shown,
        page=page,
        pages=pages,
        result=result,
        results=results,
        right=sum(cell.right is True for cell in shown),
        sheet=page - 1,
        version=VERSION,
    )


@bp.get("/<int:number>")
def image(number: int) -> ResponseReturnValue:
    """One test image, large, with every model's probabilities."""
    library = get_library()
    test = _test_images(library)
    if number >= len(test):
        abort(404, f"The test images go from 0 to {len(test) - 1:,}; there is no {number:,}.")
    return render_template(
        "gallery/image.html",
        number=number,
        last=len(test) - 1,
        page=number // SHEET_IMAGES + 1,
        true_class=CLASSES[test.labels[number]],
        evidence=evidence(library.results_on(test).values(), number),
    )


@bp.get("/sheets/<version>/<int:number>.webp")
def sheet(version: str, number: int) -> ResponseReturnValue:
    """100 test images in one file, as they ship; the page shows a part of it in each cell."""
    test = _test_images(get_library())
    if version != VERSION or number >= len(test) // SHEET_IMAGES:
        abort(404)
    path = current_app.config["DATA_FOLDER"] / TEST_IMAGES_FOLDER / sheet_name(number)
    return _kept_for_ever(path, "image/webp")


@bp.get("/images/<version>/<int:number>.png")
def image_file(version: str, number: int) -> ResponseReturnValue:
    """One test image, 32x32, as PNG."""
    test = _test_images(get_library())
    if version != VERSION or number >= len(test):
        abort(404)
    encoded = io.BytesIO()
    Image.fromarray(np.asarray(test.images[number])).save(encoded, "PNG")
    encoded.seek(0)
    return _kept_for_ever(encoded, "image/png")


@bp.app_template_global()
def test_image_url(number: int) -> str:
    """The address of one test image, for every template."""
    return url_for("gallery.image_file", version=VERSION, number=number)


def _test_images(library: Library) -> ImageSet:
    if library.test_images is None:
        abort(
            503,
            f"The test images cannot be shown: {library.test_images_problem}. Whoever runs this "
            "site restores them with “flask data pack” and a restart.",
        )
    return library.test_images


def _chosen_result(results: dict[str, Result], default: str | None) -> Result | None:
    name = request.args.get("model")
    if name and name not in results:
        abort(404, f"There is no model called “{name}” here that was tested on these images.")
    return results.get(name or default or "", next(iter(results.values()), None))


def _kept_for_ever(file: Path | io.BytesIO, mimetype: str) -> Response:
    response = send_file(file, mimetype=mimetype, max_age=ONE_YEAR)
    response.cache_control.immutable = True
    return response
