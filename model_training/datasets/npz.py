"""A data set of one's own in a file of NumPy arrays: `x_train`, `y_train`, `x_test`, `y_test`.

The names are those by which Keras' own data sets are commonly saved.  Images are (count, height,
width, 3), RGB, or (count, height, width) in grey, which becomes RGB; uint8, or floats from 0 to 1.
Images that are not square are cut to their middle square, as pictures in folders are.  Labels are
whole numbers from 0, (count,) or (count, 1).  `classes`, an array of strings, may name them;
without it, classes are called by their numbers.

The file is not trusted: the header of each array is checked before anything is unpacked.
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.dataset import (
    MOST_CLASSES,
    DataError,
    DataSet,
    ImageSet,
    content_digest,
)

PARTS = ("train", "test")
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
MOST_BYTES = 4 * 2**30
"""The most bytes that all arrays together may take when they are unpacked."""
SIDES = range(8, 513)
"""The heights and widths that an image may have, in pixels."""
LONGEST_NAME = 64
"""The most letters in the name of a class."""
_ROUNDING = 1e-6
_AT_A_TIME = 1000


class _Problem(Exception):
    """A fault of the file, for a message that begins with its path."""


def read_npz(path: Path, name: str) -> DataSet:
    """Read the data set in the file `path`.

    Args:
        name: the name of the data set.

    Raises:
        DataError: there is no such file, or it is malformed; the message says in what way and what
            to do.
    """
    try:
        with path.open("rb") as file:
            headers = _read_headers(file)
            _check_headers(headers)
            file.seek(0)
            # Plain arrays only: a pickled one could run code.
            with np.load(file, allow_pickle=False) as stored:
                arrays = {one: stored[one] for one in headers}
        images = {part: _images(arrays.pop(f"x_{part}"), f"x_{part}") for part in PARTS}
        labels = {part: arrays[f"y_{part}"].reshape(-1) for part in PARTS}
        classes = _classes(arrays.get("classes"), labels)
        _check_labels(labels, classes)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file.") from error
    except _Problem as error:
        raise DataError(f"{path}: {error}") from error
    except MemoryError as error:
        raise DataError(f"{path}: its arrays do not fit into memory. Give fewer images.") from error
    except Exception as error:  # A flipped bit makes zipfile, zlib and NumPy raise nearly anything.
        raise DataError(f"{path}: it is damaged ({error}). Save it again.") from error
    train, test = (ImageSet(images[part], labels[part].astype(np.uint8)) for part in PARTS)
    digest = content_digest(classes, train, test)
    return DataSet(name, name, classes, train, test, digest, str(path))


@dataclass(frozen=True)
class _Header:
    """The header of an array: what it claims to be."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _read_headers(file: IO[bytes]) -> dict[str, _Header]:
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise _Problem("it is not an .npz file. Make one with numpy.savez.") from error
    with archive:
        there = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        missing = [name for name in ARRAYS if name not in there]
        if missing:
            raise _Problem(
                f"it holds no {' and no '.join(missing)}. It needs {', '.join(ARRAYS)}; there is "
                f"{', '.join(sorted(there)) or 'nothing'}."
            )
        wanted = [*ARRAYS, *(["classes"] if "classes" in there else [])]
        return {name: _read_header(archive, there[name], name) for name in wanted}


def _read_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> _Header:
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        if version == (1, 0):
            shape, _fortran, dtype = np.lib.format.read_array_header_1_0(member)
        elif version == (2, 0):
            shape, _fortran, dtype = np.lib.format.read_array_header_2_0(member)
        else:
            raise _Problem(f"{name} is in version {version} of NumPy's format, which is not read.")
        begins = member.tell()
    if dtype.hasobject:
        raise _Problem(
            f"{name} holds Python objects, which are pickled and could run code. Save a plain "
            f"array: {'numpy.array(names, dtype=str)' if name == 'classes' else 'of numbers'}."
        )
    header = _Header(shape, dtype)
    # NumPy would ask for as much memory as the header claims.
    if header.size != info.file_size - begins:
        raise _Problem(
            f"{name} is damaged: it claims {header.size:,} bytes and has "
            f"{info.file_size - begins:,}. Save it again."
        )
    return header


def _check_headers(headers: dict[str, _Header]) -> None:
    unpacked = sum(header.size for header in headers.values())
    if unpacked > MOST_BYTES:
        raise _Problem(
            f"its arrays are {unpacked / 2**30:.1f} GB when they are unpacked, and "
            f"{MOST_BYTES / 2**30:g} GB are the most. Save images as uint8, smaller ones or fewer."
        )
    for part in PARTS:
        images, labels = headers[f"x_{part}"], headers[f"y_{part}"]
        _check_images_header(f"x_{part}", images)
        _check_labels_header(f"y_{part}", labels)
        if images.shape[0] != labels.shape[0]:
            raise _Problem(
                f"x_{part} has {images.shape[0]:,} images and y_{part} {labels.shape[0]:,} labels."
            )
        if not images.shape[0]:
            raise _Problem(f"x_{part} holds no images.")
    train, test = (headers[f"x_{part}"].shape[1:3] for part in PARTS)
    if train != test:
        raise _Problem(
            f"the images in x_train have {train[0]}x{train[1]} pixels and those in x_test "
            f"{test[0]}x{test[1]}. Make them of one size."
        )


def _check_images_header(name: str, header: _Header) -> None:
    shape, dtype = header.shape, header.dtype
    if len(shape) == 4 and shape[1] == 3 and shape[3] != 3:
        raise _Problem(
            f"{name} has the shape {shape}: its channels stand first. Save "
            f"{name}.transpose(0, 2, 3, 1)."
        )
    if not (len(shape) == 3 or len(shape) == 4 and shape[3] in (1, 3)):
        raise _Problem(
            f"{name} has the shape {shape}. Images are (count, height, width, 3) in RGB, or "
            "(count, height, width) in grey."
        )
    if shape[1] not in SIDES or shape[2] not in SIDES:
        raise _Problem(
            f"the images in {name} have {shape[1]}x{shape[2]} pixels, and {SIDES.start} to "
            f"{SIDES.stop - 1} are possible each way."
        )
    if dtype != np.uint8 and dtype.kind != "f":
        raise _Problem(
            f"{name} is {dtype}. Save images as uint8, from 0 to 255, or as floats from 0 to 1."
        )


def _check_labels_header(name: str, header: _Header) -> None:
    shape, dtype = header.shape, header.dtype
    if len(shape) == 2 and shape[1] > 1:
        raise _Problem(
            f"{name} has the shape {shape}. Labels are one number an image: of one-hot labels "
            f"save {name}.argmax(axis=1)."
        )
    if len(shape) not in (1, 2):
        raise _Problem(f"{name} has the shape {shape}. Labels are (count,) or (count, 1).")
    if dtype.kind not in "iu":
        raise _Problem(f"{name} is {dtype}. Labels are whole numbers, from 0.")


def _images(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return the images of `array` as uint8 (count, side, side, 3)."""
    if array.ndim == 3:
        array = array[..., np.newaxis]
    height, width = array.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    array = array[:, top : top + side, left : left + side]
    if array.dtype == np.uint8:
        if array.max() <= 1:
            raise _Problem(
                f"{name} is uint8 and nothing in it is above 1, where 255 is white. Was it "
                "divided by 255 before? Save floats from 0 to 1, or whole numbers from 0 to 255."
            )
    found = np.empty((len(array), side, side, 3), np.uint8)
    for start in range(0, len(array), _AT_A_TIME):
        part = array[start : start + _AT_A_TIME]
        if array.dtype != np.uint8:
            # NaN is neither.
            if not ((part >= -_ROUNDING) & (part <= 1 + _ROUNDING)).all():
                raise _Problem(
                    f"{name} holds floats that are not from 0 to 1. Divide by the largest value, "
                    "or save uint8."
                )
            part = np.rint(part.clip(0, 1) * 255).astype(np.uint8)
        found[start : start + _AT_A_TIME] = part  # One channel becomes three.
    return found


def _classes(names: NDArray[Any] | None, labels: dict[str, NDArray[Any]]) -> tuple[str, ...]:
    for part in PARTS:
        if labels[part].min() < 0:
            raise _Problem(f"y_{part} holds the label {labels[part].min()}. Labels count from 0.")
    count = int(max(labels[part].max() for part in PARTS)) + 1
    if names is None:
        if count > MOST_CLASSES:
            raise _Problem(f"a label is {count - 1:,}, and {MOST_CLASSES - 1} is the highest.")
        return tuple(str(number) for number in range(count))
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise _Problem(
            f"classes is {names.dtype} of the shape {names.shape}. It holds a text for each class: "
            "numpy.array(names, dtype=str)."
        )
    given = names if names.dtype.kind == "U" else np.char.decode(names, "utf-8")
    found = tuple(str(name).strip() for name in given)
    if not all(name.isprintable() and 0 < len(name) <= LONGEST_NAME for name in found):
        raise _Problem(
            f"a name in classes is empty, not printable, or over {LONGEST_NAME} letters."
        )
    if len(set(found)) != len(found):
        raise _Problem("two classes have one name.")
    if count > len(found):
        raise _Problem(f"a label is {count - 1:,}, and classes names {len(found)}, from 0.")
    return found


def _check_labels(labels: dict[str, NDArray[Any]], classes: tuple[str, ...]) -> None:
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise _Problem(
            f"it has {len(classes)} class{'es' if len(classes) != 1 else ''}, and 2 to "
            f"{MOST_CLASSES} can be learned."
        )
    for part, fewest in (("train", 2), ("test", 1)):
        counts = np.bincount(labels[part].astype(np.int64), minlength=len(classes))
        scarce = np.flatnonzero(counts < fewest)
        if len(scarce):
            number = int(scarce[0])
            has = f"{counts[number] or 'no'} image{'s' if counts[number] > 1 else ''}"
            name = f" ({classes[number]})" if classes[number] != str(number) else ""
            raise _Problem(
                f"y_{part} has {has} of class {number}{name}, and {fewest} "
                f"{'are' if fewest > 1 else 'is'} the fewest. Give more, or number the classes "
                "without gaps."
            )
