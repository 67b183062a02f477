"""What is wrong with CIFAR-10's test images, as far as models can tell: the audit that ships.

Which of them have a near-copy among the training images (`auditing.near_copies`), and how
doubtful the label of each is (`auditing.label_errors`).  The training images do not ship, so
the near-copies among them are part of the result.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model_training.auditing import agreement, near_copies
from model_training.auditing.agreement import Embedding
from model_training.auditing.label_errors import LabelDoubts, judge_labels, most_doubtful
from model_training.auditing.near_copies import Pairs, find_near_copies
from model_training.bundles.bundle import MODEL, Bundle
from model_training.bundles.card import Share
from model_training.datasets.catalog.cifar10 import CLASSES, DIGEST, IMAGE_SIZE
from model_training.datasets.dataset import DataSet
from model_training.files import DamagedFile, read_arrays, whole_file
from model_training.judging.calibration import scale_by_temperature
from model_training.judging.intervals import Interval, accuracy_interval
from model_training.judging.metrics import accuracy
from model_training.naming import Sha256

Floats = NDArray[np.floating[Any]]

LEAST_ACCURACY = 0.9
"""On the validation images: a model that is wrong on more of them than one in ten says little about
labels of which one in two hundred is wrong."""
_WIDTH = 20
"""Near-copies a row of the picture in which they ship."""


class Provenance(BaseModel):
    """How an audit came about.  `models` maps those that judged the labels to the SHA-256 of their
    predictions; `least_likeness` and `least_agreement` are the thresholds of
    `auditing.near_copies` and `auditing.agreement`."""

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

    `image` is uint8 (32, 32, 3); `label` the class that it has there; `likeness` is that of
    `auditing.near_copies.Pairs`.
    """

    train_index: int
    label: int
    likeness: float
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class Audit:
    """What was found: for each test image what models think of its label, and its near-copies.

    `labels` are those of the test images, uint8 (count,).  `copies` maps the index of each test
    image that has near-copies to the most alike of them.
    """

    labels: NDArray[np.uint8]
    doubts: LabelDoubts
    copies: Mapping[int, NearCopy]
    provenance: Provenance

    @cached_property
    def has_copy(self) -> NDArray[np.bool_]:
        """Whether each test image has a near-copy among the training images, (count,)."""
        found = np.zeros(len(self.labels), bool)
        found[list(self.copies)] = True
        return found

    @cached_property
    def is_contradicted(self) -> NDArray[np.bool_]:
        """Whether each test image has another label than its near-copy, (count,)."""
        found = np.zeros(len(self.labels), bool)
        found[[n for n, copy in self.copies.items() if copy.label != self.labels[n]]] = True
        return found

    @cached_property
    def rank(self) -> NDArray[np.int64]:
        """The place of each label among all, the most doubtful being 1, (count,)."""
        rank = np.empty(len(self.labels), np.int64)
        rank[most_doubtful(self.doubts.doubt)] = np.arange(1, len(rank) + 1)
        return rank

    @cached_property
    def version(self) -> str:
        """A word that changes with the near-copies' pictures."""
        digest = hashlib.sha256()
        for copy in self.copies.values():
            digest.update(copy.image.tobytes())
        return digest.hexdigest()[:12]

    def parts(self) -> dict[str, NDArray[np.bool_]]:
        """Which test images are left when some are set aside, (count,) each."""
        return {
            "without_copies": ~self.has_copy,
            "without_suspects": ~self.doubts.suspected,
            "cleaned": ~self.has_copy & ~self.doubts.suspected,
            "copies": self.has_copy,
        }


@dataclass(frozen=True)
class PartAccuracy:
    """A model's accuracy on some of the test images, and how many these are."""

    images: int
    accuracy: Interval


def accuracies(audit: Audit, right: NDArray[np.bool_]) -> dict[str, PartAccuracy]:
    """Accuracy on each of `audit.parts()` that has images.

    Args:
        right: whether a model names each test image rightly, (count,).
    """
    return {
        name: PartAccuracy(int(part.sum()), accuracy_interval(right[part]))
        for name, part in audit.parts().items()
        if part.any()
    }


def make_audit(
    data: DataSet,
    features_of: Bundle,
    judges: Sequence[Bundle],
    embedding: Embedding,
    on_pairs: Callable[[int, int], None] = lambda done, total: None,
) -> Audit:
    """Audit the test images of `data`.

    Args:
        features_of: by what its network makes of images, near-copies are looked for.
        judges: the models that judge the labels, by their stored predictions, and whose networks
            must agree that a near-copy is one.
        embedding: asks a network.
        on_pairs: see `find_near_copies`.

    Raises:
        ValueError: there is no judge, or one that was tested on other images, or no network.
    """
    if not judges:
        raise ValueError("no model here was tested on CIFAR-10, so none can judge its labels")
    for judge in judges:
        if not np.array_equal(judge.predictions.test_labels, data.test.labels):
            raise ValueError(f"{judge.name} was tested on other images")
    if features_of.model_path is None:
        raise ValueError(f"{features_of.name} has no network here")
    test, train = data.test.images, data.train.images
    of_test, of_train = (embedding(features_of, images) for images in (test, train))
    pairs = find_near_copies(test, of_test, train, of_train, on_pairs)
    networks = [judge for judge in judges if judge.model_path is not None]
    if networks and len(pairs):
        agreed = agreement.agreement(pairs, data.test, train, networks, embedding)
        pairs = pairs.where(agreed >= agreement.LEAST_AGREEMENT)
    return Audit(
        labels=data.test.labels,
        doubts=judge_labels([calibrated(judge) for judge in judges], data.test.labels),
        copies=_most_alike(pairs, data),
        provenance=Provenance(
            data_digest=DIGEST,
            features_of=features_of.name,
            features_sha256=features_of.card.files[MODEL],
            models={judge.name: predictions_digest(judge) for judge in judges},
            least_likeness=near_copies.LEAST_LIKENESS,
            least_agreement=agreement.LEAST_AGREEMENT,
        ),
    )


def able_judges(bundles: Sequence[Bundle], test_labels: NDArray[np.uint8]) -> list[Bundle]:
    """The models that judge labels unless some are named: tested on these images, and able.

    One whose validation images are not known, since it learned from them, is taken to be able.
    Where none is able all judge that were tested on the images.
    """
    tested = [one for one in bundles if np.array_equal(one.predictions.test_labels, test_labels)]
    able = [
        one
        for one in tested
        if not len(one.predictions.validation)
        or accuracy(one.predictions.validation, one.predictions.validation_labels) >= LEAST_ACCURACY
    ]
    return able or tested


def calibrated(bundle: Bundle) -> Floats:
    """A model's probabilities on the test images at its temperature, (count, classes)."""
    return scale_by_temperature(bundle.predictions.test, bundle.card.calibration.temperature)


def predictions_digest(bundle: Bundle) -> str:
    """SHA-256 of a model's predictions on the test images."""
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


def read_audit(path: Path) -> Audit:
    """Read what `write_audit` wrote, and check it.

    Raises:
        DamagedFile: the file is not whole, holds something else, or is of other data.
        FileNotFoundError: there is none.
    """
    stored = read_arrays(path)
    try:
        audit = _unpacked(stored)
    except ValidationError as error:
        first = error.errors()[0]
        raise DamagedFile(f"its provenance is not valid: {first['loc']}: {first['msg']}") from error
    # Pillow too raises nearly anything for a flipped bit.
    except Exception as error:
        raise DamagedFile(f"it does not hold an audit ({error})") from error
    if audit.provenance.data_digest != DIGEST:
        raise DamagedFile("it is of other data than CIFAR-10")
    return audit


def _most_alike(pairs: Pairs, data: DataSet) -> dict[int, NearCopy]:
    # Of several pairs of one test image the first is the most alike.
    tests, places = np.unique(pairs.first, return_index=True)
    return {
        int(test): NearCopy(
            train_index=int(pairs.second[place]),
            label=int(data.train.labels[pairs.second[place]]),
            likeness=float(pairs.likeness[place]),
            image=data.train.images[pairs.second[place]],
        )
        for test, place in zip(tests, places, strict=True)
    }


def _packed(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Images laid out in one picture, as the bytes of a lossless WebP file: two thirds of their
    size in a compressed array."""
    rows = max(1, -(-len(images) // _WIDTH))
    sheet = np.zeros((rows, _WIDTH, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    for number, image in enumerate(images):
        sheet[divmod(number, _WIDTH)] = image
    picture = sheet.transpose(0, 2, 1, 3, 4).reshape(rows * IMAGE_SIZE, _WIDTH * IMAGE_SIZE, 3)
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "WEBP", lossless=True, quality=75, method=4)
    return np.frombuffer(encoded.getvalue(), np.uint8)


def _images(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(packed.tobytes()), formats=["WEBP"]) as picture:
        sheet = np.asarray(picture.convert("RGB"))
    rows = sheet.reshape(-1, IMAGE_SIZE, _WIDTH, IMAGE_SIZE, 3)
    return rows.transpose(0, 2, 1, 3, 4).reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 3)


def _unpacked(stored: Mapping[str, NDArray[Any]]) -> Audit:
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
    if max(labels.max(), doubts.suggested.max()) >= len(CLASSES):
        raise ValueError("a class does not exist")
    tests, images = stored["copy_of"], _images(stored["copy_picture"])
    if len(tests) and not 0 <= tests.min() <= tests.max() < len(labels):
        raise ValueError("a near-copy is of no test image")
    columns = [tests, *(stored[f"copy_{name}"] for name in ("index", "label", "likeness"))]
    copies = {
        int(test): NearCopy(int(index), int(label), float(alike), image)
        for test, index, label, alike, image in zip(*columns, images[: len(tests)], strict=True)
    }
    if any(copy.label >= len(CLASSES) for copy in copies.values()):
        raise ValueError("a class of a near-copy does not exist")
    provenance = Provenance.model_validate_json(str(stored["provenance"]))
    return Audit(labels, doubts, copies, provenance)
