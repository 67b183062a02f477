"""CIFAR-100: 60,000 colour photographs of 32x32 pixels in a hundred classes, 500 of each to train
on and 100 to test on (A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images",
2009).  The labels are the fine ones; the twenty coarse ones are not read.

An official archive, of the Python or the binary batches, is checked by the MD5 that the data set's
page gives for it.  Batches from a folder or from another archive are checked by the MD5 of both
batch files: for the Python batches these are torchvision's (`torchvision.datasets.CIFAR100`), for
the binary ones those of another project's reader.  Keras' loader compares the archive with a
SHA-256 of its own.  In every case there must be as many images of each class as CIFAR-100 has, and
class names that lie beside the batches must be the ones below.

The images were not available where this was written, so there is no digest of labels and pixels
here as there is for CIFAR-10: `DataSet.digest` is computed from what was read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from model_training.datasets.catalog import cifar_batches
from model_training.datasets.catalog.cifar_batches import (
    assembled,
    image_sets,
    read_binary_batch,
    read_pickle,
    read_python_batch,
)
from model_training.datasets.dataset import DataSet, content_digest
from model_training.datasets.description import About, Note
from model_training.datasets.registry import KnownDataSet
from model_training.datasets.sources import Arrays, Progress, SourceError, find, no_progress

NAME, TITLE = "cifar100", "CIFAR-100"
IMAGE_SIZE = 32
EACH_TRAIN, EACH_TEST = 500, 100
CLASSES = tuple(
    name.replace("_", " ")
    for name in """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
    camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
    cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp
    lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
    oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
    possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake
    spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
    train trout tulip turtle wardrobe whale willow_tree wolf woman worm
    """.split()
)
ARCHIVE_MD5 = {
    "eb9058c3a382ffc7106e4002c42a8d85",  # cifar-100-python.tar.gz
    "03b5dce01913d631647c71ecec9e9cb8",  # cifar-100-binary.tar.gz
}
BATCH_MD5 = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "train.bin": "6172c7755cfe09b2fe270c85cebc1b15",
    "test.bin": "4499cfba6c016c1be1438163640a0898",
}
ABOUT = About(
    lead="Sixty thousand colour photographs of 32×32 pixels in a hundred classes, collected in "
    "2009 by Alex Krizhevsky, Vinod Nair and Geoffrey Hinton: as many as in CIFAR-10, and a tenth "
    "as many of each class.",
    notes=(
        Note(
            title="A hundred classes, close to each other",
            text="Each class has four others that are much like it: the bear stands beside the "
            "leopard, the lion, the tiger and the wolf, the maple beside the oak, the palm, the "
            "pine and the willow. At 32×32 pixels these are hard to tell apart, for people too.",
        ),
    ),
    examples="The networks never learned from these, and 32×32 pixels is all there is of them.",
)


def load(cache: Path, path: Path | None = None, progress: Progress = no_progress) -> DataSet:
    """Find CIFAR-100, check it, and keep it in the file `cache` for the next time.

    With `path` (a folder or archive of the Python or binary batches, or a cache file) only that is
    tried.  Otherwise the cache, then Keras' own loader.

    Raises:
        DataError: nothing was found, or what was found is not CIFAR-100.
    """
    return find(
        TITLE,
        cache,
        path,
        progress,
        read_path=read_path,
        fetchers=FETCHERS,
        verified=_verified,
        advice="Connect this machine to the internet and run `flask data fetch --dataset "
        f"{NAME}`, or download cifar-100-python.tar.gz elsewhere and give its path with --data.",
    )


def read_path(path: Path) -> Arrays:
    """Read CIFAR-100 from a folder or archive of official batches, or from a cache file.

    Raises:
        SourceError: there is nothing at `path`, or it is not CIFAR-100.
    """
    try:
        official = path.is_file() and _md5(path) in ARCHIVE_MD5
    except OSError as error:
        raise SourceError(f"it cannot be read ({error})") from error
    forms = {
        "train.bin": partial(_read_binary, checked=official),
        "train": partial(_read_python, checked=official),
    }
    return cifar_batches.read_path(path, forms, "CIFAR-100 batches (train and meta, or train.bin)")


FETCHERS: dict[str, Callable[[Progress], Arrays]] = {
    "Keras' loader": lambda _progress: cifar_batches.fetch_with_keras("cifar100")
}


def _read_python(folder: Path, checked: bool) -> Arrays:
    if not (folder / "meta").is_file():
        raise SourceError("meta, which names the classes, is missing beside train")
    try:
        names = [name.decode("ascii") for name in read_pickle(folder / "meta")[b"fine_label_names"]]
    except Exception as error:  # A damaged pickle can raise nearly anything.
        raise SourceError(f"meta is damaged ({error})") from error
    _check_names(names, "meta")
    train, test = (
        read_python_batch(_batch_file(folder / name, checked), b"fine_labels")
        for name in ("train", "test")
    )
    return assembled([train], test)


def _read_binary(folder: Path, checked: bool) -> Arrays:
    names = folder / "fine_label_names.txt"
    if names.is_file():
        _check_names(names.read_text(encoding="ascii", errors="replace").split(), names.name)
    # Each row begins with the coarse label, then the fine one.
    train, test = (
        read_binary_batch(_batch_file(folder / name, checked), label_bytes=2)
        for name in ("train.bin", "test.bin")
    )
    return assembled([train], test)


def _batch_file(path: Path, checked: bool) -> Path:
    try:
        if not checked and _md5(path) != BATCH_MD5[path.name]:
            raise SourceError(f"{path.name} is damaged: its MD5 is not the one of CIFAR-100")
    except OSError as error:
        raise SourceError(f"{path.name} is missing or cannot be read") from error
    return path


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        # Against damage, not against forgery, for which MD5 is no good.
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _check_names(names: list[str], file: str) -> None:
    if tuple(name.replace("_", " ") for name in names) != CLASSES:
        raise SourceError(f"the classes in {file} are not those of CIFAR-100")


def _verified(arrays: Arrays, source: str) -> DataSet:
    train, test = image_sets(arrays, TITLE, EACH_TRAIN * len(CLASSES), EACH_TEST * len(CLASSES))
    for kind, images, each in (("training", train, EACH_TRAIN), ("test", test, EACH_TEST)):
        if np.bincount(images.labels, minlength=len(CLASSES)).tolist() != [each] * len(CLASSES):
            raise SourceError(f"there are not {each} {kind} images of each of the hundred classes")
    digest = content_digest(CLASSES, train, test)
    return DataSet(NAME, TITLE, CLASSES, train, test, digest, source, ABOUT)


DATA_SET = KnownDataSet(
    NAME,
    TITLE,
    CLASSES,
    IMAGE_SIZE,
    None,
    load,
    ABOUT,
    marks=(frozenset({"train", "test", "meta"}), frozenset({"train.bin", "test.bin"})),
)
