"""The training images that judges remember, small enough to ship: `remembered.npz`.

A judge remembers some training images by their features (`judging.out_of_distribution`), and this
keeps how they look.  Each is a picture of its own, WebP with a slight loss, which a page can show
as it is: CIFAR-10's take 400 bytes each, a quarter of what they take without loss.  They are shown
and never learned from.  A judge keeps no indices, so what it remembers is recognised by the labels
of its images in their order.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_training.datasets.dataset import DataSet
from model_training.datasets.pictures.resizing import resized
from model_training.files import DamagedFile, read_arrays, whole_file

REMEMBERED = "remembered.npz"
LARGEST_SIDE = 64
"""In pixels; larger images are reduced to this side."""
QUALITY = 80
MOST_BYTES = 2**28
_DRAW = "draw_"
_AT_A_TIME = 500


@dataclass(frozen=True)
class RememberedImages:
    """Training images that judges remember.

    Args:
        digest: of the data set that they are from.
        side: the side of the images, in pixels.
        indices: the places of the images in the training set, int32 (count,), rising.
        labels: their classes, uint8 (count,).
        draws: for each set of images that a judge may remember, which of these they are, int32.
        ends: where each picture ends in `pictures`, int64 (count,).
        pictures: WebP files one after another, uint8.
    """

    digest: str
    side: int
    indices: NDArray[np.int32]
    labels: NDArray[np.uint8]
    draws: tuple[NDArray[np.int32], ...]
    ends: NDArray[np.int64]
    pictures: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.indices)

    def draw_of(self, labels: NDArray[np.uint8]) -> NDArray[np.int32] | None:
        """Return which of these images a judge remembers; None if others.

        Args:
            labels: of the images that it remembers, uint8 (remembered,).
        """
        drawn = (one for one in self.draws if np.array_equal(self.labels[one], labels))
        return next(drawn, None)

    def picture(self, place: int) -> bytes:
        """Return image `place` of these as a WebP file."""
        start = int(self.ends[place - 1]) if place else 0
        return self.pictures[start : int(self.ends[place])].tobytes()


def write_remembered(
    path: Path,
    data: DataSet,
    draws: Sequence[NDArray[np.int64]],
    on_images: Callable[[int, int], None] = lambda done, total: None,
) -> RememberedImages:
    """Write the training images of `data` that are in any of `draws`; whole or not at all.

    Args:
        path: of the file.
        draws: indices of training images, as judges remember them, in their order.
        on_images: called with the number of images made ready so far and their total.
    """
    indices = np.unique(np.concatenate(draws))
    side = min(data.side, LARGEST_SIDE)
    pictures: list[bytes] = []
    for start in range(0, len(indices), _AT_A_TIME):
        part = data.train.images[indices[start : start + _AT_A_TIME]]
        pictures += [_encoded(image) for image in resized(part, side)]
        on_images(len(pictures), len(indices))
    places = {
        f"{_DRAW}{number}": np.searchsorted(indices, draw).astype(np.int32)
        for number, draw in enumerate(draws)
    }
    with whole_file(path) as temporary:
        # Not compressed: pictures are already, and a file is read in milliseconds so.
        np.savez(
            temporary,
            digest=np.array(data.digest),
            side=np.array(side, np.int32),
            indices=indices.astype(np.int32),
            labels=data.train.labels[indices],
            ends=np.cumsum([len(one) for one in pictures], dtype=np.int64),
            pictures=np.frombuffer(b"".join(pictures), np.uint8),
            **places,  # type: ignore[arg-type]
        )
    return read_remembered(path)


def read_remembered(path: Path) -> RememberedImages:
    """Read what `write_remembered` wrote.

    Raises:
        DamagedFile: a part is missing, or the parts do not fit each other.
        FileNotFoundError: there is no such file.
    """
    stored = read_arrays(path, most_bytes=MOST_BYTES)
    try:
        found = RememberedImages(
            digest=str(stored["digest"]),
            side=int(stored["side"]),
            indices=stored["indices"],
            labels=stored["labels"],
            draws=tuple(stored[name] for name in sorted(stored) if name.startswith(_DRAW)),
            ends=stored["ends"],
            pictures=stored["pictures"],
        )
    except KeyError as error:
        raise DamagedFile(f"it has no {error.args[0]}") from error
    except (TypeError, ValueError) as error:
        raise DamagedFile(f"its digest or side is none ({error})") from error
    if not _fits(found):
        raise DamagedFile("its parts do not fit each other")
    return found


def _encoded(image: NDArray[np.uint8]) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "WEBP", quality=QUALITY, method=6)
    return encoded.getvalue()


def _fits(one: RememberedImages) -> bool:
    arrays: tuple[tuple[NDArray[Any], type[np.generic]], ...] = (
        (one.indices, np.int32),
        (one.labels, np.uint8),
        (one.ends, np.int64),
        (one.pictures, np.uint8),
        *((draw, np.int32) for draw in one.draws),
    )
    return (
        all(array.dtype == kind and array.ndim == 1 and array.size for array, kind in arrays)
        and one.side > 0
        and len(one.indices) == len(one.labels) == len(one.ends)
        and bool((np.diff(one.ends, prepend=0) > 0).all())
        and int(one.ends[-1]) == len(one.pictures)
        and all(0 <= int(draw.min()) and int(draw.max()) < len(one) for draw in one.draws)
    )
