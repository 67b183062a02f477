"""The audit of a data set's test images, as models that learned from the data set see them.

It holds which of them have a near-copy among the training images (`auditing.near_copies`), and how
doubtful the label of each is (`auditing.label_errors`).  `auditing.models_audit` makes it.  The
training images do not ship, so the near-copies among them are part of the result.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model_training.auditing.label_errors import LabelDoubts, most_doubtful
from model_training.bundles.bundle import Bundle
from model_training.bundles.card import Share
from model_training.datasets.description import Description
from model_training.datasets.pictures.resizing import resized
from model_training.datasets.pictures.sprites import (
    LARGEST_SIDE,
    LOSSLESS_SIDE,
    tile,
    untile,
)
from model_training.faults import first_fault
from model_training.files import DamagedFile, read_arrays, whole_file
from model_training.judging.calibration import scale_by_temperature
from model_training.judging.intervals import Interval, accuracy_interval
from model_training.naming import Sha256

Floats = NDArray[np.floating[Any]]

_WIDTH = 20
"""Near-copies per row of the picture in which they ship."""
_WEBP_SIDE = 16_383
"""The most pixels of a side of a WebP picture."""


class Provenance(BaseModel):
    """The provenance of an audit.

    `models` maps the names of the ensemble that scored the labels to the SHA-256 of their
    predictions; `least_likeness` and `least_agreement` are the thresholds of `auditing.near_copies`
    and `auditing.agreement`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    data_digest: Sha256
    features_of: str
    features_sha256: Sha256
    models: Annotated[dict[str, Sha256], Field(min_length=1)]
    least_likeness: Share
    least_agreement: Share


@dataclass(frozen=True)
class NearCopy:
    """A training image that a test image is a near-copy of.

    `image` is uint8 (side, side, 3), at most as large as test images are kept; `label` its class in
    the training set; `likeness` is that of `auditing.near_copies.Pairs`.
    """

    train_index: int
    label: int
    likeness: float
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class Audit:
    """The findings: how doubtful the label of each test image is, and its near-copies.

    `labels` are those of the test images, uint8 (count,).  `copies` maps the index of each test
    image that has near-copies to the most alike of them.
    """

    labels: NDArray[np.uint8]
    doubts: LabelDoubts
    copies: Mapping[int, NearCopy]
    provenance: Provenance

    @cached_property
    def has_copy(self) -> NDArray[np.bool_]:
        """Return whether each test image has a near-copy among the training images, (count,)."""
        found = np.zeros(len(self.labels), bool)
        found[list(self.copies)] = True
        return found

    @cached_property
    def is_contradicted(self) -> NDArray[np.bool_]:
        """Return whether each test image has another label than its near-copy, (count,)."""
        found = np.zeros(len(self.labels), bool)
        found[[n for n, copy in self.copies.items() if copy.label != self.labels[n]]] = True
        return found

    @cached_property
    def rank(self) -> NDArray[np.int64]:
        """Return the rank of each label among all, the most doubtful being 1, (count,)."""
        rank = np.empty(len(self.labels), np.int64)
        rank[most_doubtful(self.doubts.doubt)] = np.arange(1, len(rank) + 1)
        return rank

    @cached_property
    def version(self) -> str:
        """Return a version string that changes with the near-copies' pictures."""
        digest = hashlib.sha256()
        for copy in self.copies.values():
            digest.update(copy.image.tobytes())
        return digest.hexdigest()[:12]

    def parts(self) -> dict[str, NDArray[np.bool_]]:
        """Return by name the parts of the test images that are measured alone, (count,) each."""
        return {
            "without_copies": ~self.has_copy,
            "without_suspects": ~self.doubts.suspected,
            "cleaned": ~self.has_copy & ~self.doubts.suspected,
            "copies": self.has_copy,
        }


@dataclass(frozen=True)
class PartAccuracy:
    """A model's accuracy on some of the test images, and their number."""

    images: int
    accuracy: Interval


def accuracies(audit: Audit, right: NDArray[np.bool_]) -> dict[str, PartAccuracy]:
    """Return the accuracy on each of `audit.parts()` that has images.

    Args:
        right: whether a model classifies each test image correctly, (count,).
    """
    return {
        name: PartAccuracy(int(part.sum()), accuracy_interval(right[part]))
        for name, part in audit.parts().items()
        if part.any()
    }


def tempered(bundle: Bundle) -> Floats:
    """Return a model's probabilities on the test images at its temperature, (count, classes).

    Doubts about labels are drawn from these: isotonic regression, which makes one number of many
    probabilities, would make many images equally doubtful.
    """
    return scale_by_temperature(bundle.predictions.test, bundle.card.calibration.temperature)


def calibrated(bundle: Bundle) -> Floats:
    """Return a model's probabilities on the test images, calibrated, (count, classes)."""
    return bundle.card.calibration.calibrated(bundle.predictions.test)


def predictions_digest(bundle: Bundle) -> str:
    """Return the SHA-256 of a model's predictions on the test images."""
    return hashlib.sha256(np.ascontiguousarray(bundle.predictions.test).data).hexdigest()


def write_audit(path: Path, audit: Audit) -> None:
    """Write `audit` to the file `path`, whole or not at all."""
    copies = audit.copies.values()
    with whole_file(path) as temporary:
        np.savez_compressed(
            temporary,
            labels=audit.labels,
            doubt=audit.doubts.doubt,
            suggested=audit.doubts.suggested,
            suspected=audit.doubts.suspected,
            copy_of=np.array(list(audit.copies), np.int32),
            copy_index=np.array([copy.train_index for copy in copies], np.int32),
            copy_label=np.array([copy.label for copy in copies], np.uint8),
            copy_likeness=np.array([copy.likeness for copy in copies], np.float32),
            copy_picture=_packed([copy.image for copy in copies]),
            provenance=np.array(audit.provenance.model_dump_json()),
        )


def read_audit(path: Path, of: Description) -> Audit:
    """Read what `write_audit` wrote, and check it.

    Args:
        of: the data set to which it must belong.

    Raises:
        DamagedFile: the file is not whole, holds something else, or is of another data set.
        FileNotFoundError: there is none.
    """
    stored = read_arrays(path)
    try:
        audit = _unpacked(stored, len(of.classes))
    except ValidationError as error:
        fault = first_fault(error, "the whole")
        raise DamagedFile(f"its provenance is not valid: {fault}") from error
    # Pillow too raises nearly anything for a flipped bit.
    except Exception as error:
        raise DamagedFile(f"it does not hold an audit ({error})") from error
    if audit.provenance.data_digest != of.digest:
        raise DamagedFile(f"it is of other images than those of {of.title}")
    return audit


def _packed(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return images, laid out in one picture, as the bytes of a WebP file.

    Lossless where they are small: two thirds of their size in a compressed array.
    """
    if not images:
        return np.zeros(0, np.uint8)
    rows = -(-len(images) // _WIDTH)
    side = min(images[0].shape[0], _WEBP_SIDE // rows)
    lossless = side <= LOSSLESS_SIDE
    sheet = tile(resized(np.stack(images), side), _WIDTH)
    encoded = io.BytesIO()
    quality = 75 if lossless else 90
    Image.fromarray(sheet).save(encoded, "WEBP", lossless=lossless, quality=quality, method=4)
    return np.frombuffer(encoded.getvalue(), np.uint8)


def _images(packed: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    if not count:
        return np.zeros((0, 1, 1, 3), np.uint8)
    with Image.open(io.BytesIO(packed.tobytes()), formats=["WEBP"]) as picture:
        side = picture.width // _WIDTH
        if not 0 < side <= LARGEST_SIDE:
            raise ValueError(f"its near-copies are {side} pixels wide")
        return untile(np.asarray(picture.convert("RGB")), side, _WIDTH)


def _unpacked(stored: Mapping[str, NDArray[Any]], classes: int) -> Audit:
    labels = stored["labels"]
    doubts = LabelDoubts(stored["doubt"], stored["suggested"], stored["suspected"])
    for name, array, kind in (
        ("labels", labels, np.uint8),
        ("doubt", doubts.doubt, np.float32),
        ("suggested", doubts.suggested, np.uint8),
        ("suspected", doubts.suspected, np.bool_),
    ):
        if array.shape != labels.shape or array.ndim != 1 or array.dtype != kind:
            raise ValueError(f"{name} has the shape {array.shape} and the type {array.dtype}")
    if not np.all((doubts.doubt >= 0) & (doubts.doubt <= 1)):
        raise ValueError("a doubt is not between 0 and 1")
    if max(labels.max(), doubts.suggested.max()) >= classes:
        raise ValueError("a class does not exist")
    tests = stored["copy_of"]
    images = _images(stored["copy_picture"], len(tests))
    if len(tests) and not 0 <= tests.min() <= tests.max() < len(labels):
        raise ValueError("a near-copy is of no test image")
    columns = [tests, *(stored[f"copy_{name}"] for name in ("index", "label", "likeness"))]
    copies = {
        int(test): NearCopy(int(index), int(label), float(alike), image)
        for test, index, label, alike, image in zip(*columns, images[: len(tests)], strict=True)
    }
    if any(not 0 <= copy.label < classes for copy in copies.values()):
        raise ValueError("a class of a near-copy does not exist")
    provenance = Provenance.model_validate_json(str(stored["provenance"]))
    return Audit(labels, doubts, copies, provenance)
