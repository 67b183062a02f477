"""A data set of one's own: a folder with a folder of pictures for each class."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from model_training.datasets.dataset import MOST_CLASSES, DataSet, ImageSet
from model_training.datasets.folders.class_folders import (
    FolderError,
    Opener,
    check_not_one_class,
    class_files,
    outside,
    printable,
    read_file,
    what_is_wrong,
)

FEWEST = 6
"""The fewest pictures of a class; one in as many is kept for the test."""


@dataclass(frozen=True)
class FolderData:
    """Labelled pictures.

    `images` is uint8 (count, side, side, 3), the middle square of each; `labels` int64 (count,),
    indices into `classes`; `names` are the files, relative to the folder, and `digests` the SHA-256
    of their bytes; `unreadable` maps each file that is not a picture to the reason.  `empty` are
    class folders without files, and `outside` counts files that lie in no class folder.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    digests: tuple[bytes, ...]
    unreadable: Mapping[str, str]
    empty: tuple[str, ...] = ()
    outside: int = 0

    @cached_property
    def contradicted(self) -> NDArray[np.bool_]:
        """Return for each picture whether its very bytes are in another class too, (count,)."""
        pairs = set(zip(self.digests, self.labels.tolist(), strict=True))
        times = Counter(digest for digest, _label in pairs)
        return np.array([times[digest] > 1 for digest in self.digests])

    @cached_property
    def repeated(self) -> NDArray[np.bool_]:
        """Return for each picture whether an earlier one of its class has its bytes, (count,)."""
        seen: set[bytes] = set()
        again = []
        for digest in self.digests:
            again.append(digest in seen)
            seen.add(digest)
        return np.array(again) & ~self.contradicted


def read_folder(
    folder: Path,
    side: int,
    opener: Opener,
    on_files: Callable[[int, int], None] = lambda done, total: None,
) -> FolderData:
    """Read every picture in `folder`, upright, its middle square reduced or enlarged to `side`.

    Class folders without files are left out.

    Args:
        opener: opens the bytes of a file.
        on_files: called with the number of files read so far and their total.

    Raises:
        FolderError: there are not two class folders with files, or no picture can be read; the
            message says what was given instead, and what to give.
        OSError: the folder cannot be listed.
    """
    there = class_files(folder)
    classes = {name: files for name, files in there.items() if files}
    if not classes:
        raise FolderError(f"{folder} holds no pictures: there is no file in its class folders.")
    if len(classes) < 2:
        check_not_one_class(folder)
        raise FolderError(
            f"{folder} holds no data set: it needs a folder of pictures for each of two or more "
            "classes, such as cats/1.jpg and dogs/1.jpg."
        )
    files = [(path, number) for number, each in enumerate(classes.values()) for path in each]
    # Filled in place: turning a list into an array would take twice the memory.
    images = np.empty((len(files), side, side, 3), np.uint8)
    labels: list[int] = []
    names: list[str] = []
    digests: list[bytes] = []
    unreadable: dict[str, str] = {}
    for done, (path, label) in enumerate(files, start=1):
        name = printable(path.relative_to(folder).as_posix())
        try:
            data = read_file(path)
            picture = opener(data).image
        except (OSError, ValueError) as error:
            unreadable[name] = what_is_wrong(error)
        else:
            fitted = ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)
            images[len(names)] = np.asarray(fitted)
            labels.append(label)
            names.append(name)
            digests.append(hashlib.sha256(data).digest())
        on_files(done, len(files))
    if not names:
        raise FolderError(
            f"{folder} holds no pictures: none of the {len(files):,} files in its class folders is "
            "one that can be opened. `flask data review` says why, file by file."
        )
    return FolderData(
        images[: len(names)],
        np.array(labels),
        tuple(printable(name) for name in classes),
        tuple(names),
        tuple(digests),
        unreadable,
        tuple(printable(name) for name, files in there.items() if not files),
        len(outside(folder)),
    )


def divide(data: FolderData, name: str) -> DataSet:
    """Divide `data` into a part to train on and a test set, a sixth of each class, as in CIFAR-10.

    A picture that is there twice counts once, and one that lies in two classes not at all: it could
    be both learned and tested on.  Which pictures are for the test depends on their bytes alone, so
    renaming files changes nothing, and adding files changes little.

    Args:
        name: the name of the data set.

    Raises:
        FolderError: a class has too few pictures, or there are too many classes.
    """
    if len(data.classes) > MOST_CLASSES:
        raise FolderError(
            f"{len(data.classes)} classes are too many to train on: {MOST_CLASSES} are the most."
        )
    # The order of digests is as good as random, and a run on the first few has some of each class.
    order = np.array(sorted(range(len(data.names)), key=lambda one: data.digests[one]), np.int64)
    order = order[~(data.contradicted | data.repeated)[order]]
    for_test = np.zeros(len(data.names), bool)
    for label, class_name in enumerate(data.classes):
        members = order[data.labels[order] == label]
        if len(members) < FEWEST:
            raise FolderError(
                f"{class_name} has {len(members)} different picture"
                f"{'s' if len(members) != 1 else ''} that can be read, and {FEWEST} are the fewest "
                "to learn from and to test on. Add some, or take the folder away."
            )
        for_test[members[: round(len(members) / FEWEST)]] = True
    digest = hashlib.sha256(repr(data.classes).encode())
    for number in order.tolist():
        digest.update(data.digests[number] + data.classes[data.labels[number]].encode())
    train, test = (
        ImageSet(data.images[part], data.labels[part].astype(np.uint8))
        for part in (order[~for_test[order]], order[for_test[order]])
    )
    names = tuple(data.names[number] for number in order[for_test[order]].tolist())
    return DataSet(
        name, name, data.classes, train, test, digest.hexdigest(), name, test_names=names
    )
