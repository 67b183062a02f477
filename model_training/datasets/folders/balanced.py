"""Class folders as a data set with equally large classes, in the way of the Animals-10 project."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from model_training.datasets.balancing import enough
from model_training.datasets.dataset import ImageSet
from model_training.datasets.folders.class_folders import Opener, class_files, read_file


@dataclass(frozen=True)
class Picture:
    """A file, its class, and the SHA-256 of its bytes."""

    path: Path
    label: int
    digest: bytes


def list_pictures(folder: Path) -> tuple[tuple[str, ...], list[Picture]]:
    """Return the classes in `folder`, and every file in them by its digest, whatever it is called.

    Raises:
        FolderError: there are no class folders.
        OSError, ValueError: a file cannot be read.
    """
    files = {name: paths for name, paths in class_files(folder).items() if paths}
    found = [
        Picture(path, label, hashlib.sha256(read_file(path)).digest())
        for label, paths in enumerate(files.values())
        for path in paths
    ]
    return tuple(files), sorted(found, key=lambda one: (one.digest, one.label))


def pictures_digest(classes: tuple[str, ...], pictures: list[Picture]) -> str:
    """Return a SHA-256 that names these files and their classes, in any order."""
    lines = sorted(f"{classes[one.label]}/{one.digest.hex()}\n" for one in pictures)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def divide_evenly(
    classes: tuple[str, ...], pictures: list[Picture], test_share: float, each: int | None = None
) -> tuple[list[Picture], list[Picture]]:
    """Take equally many pictures of each class, and divide them into those to train and to test on.

    Which they are depends on their bytes alone; a picture that is there twice counts once, and one
    in two classes not at all.

    Args:
        pictures: in the order of `list_pictures`.
        test_share: of each class.
        each: how many of each class; None: as many as the smallest has.

    Raises:
        DataError: a class has too few.
    """
    labels: dict[bytes, set[int]] = {}
    for one in pictures:
        labels.setdefault(one.digest, set()).add(one.label)
    once = {one.digest: one for one in pictures if len(labels[one.digest]) == 1}
    members: list[list[Picture]] = [[] for _ in classes]
    for one in once.values():
        members[one.label].append(one)
    count = enough({name: len(of) for name, of in zip(classes, members, strict=True)}, each)
    for_test = round(count * test_share)
    train, test = (
        sorted((one for of in members for one in of[part]), key=lambda one: one.digest)
        for part in (slice(for_test, count), slice(for_test))
    )
    return train, test


def read_pictures(
    pictures: list[Picture], side: int, opener: Opener, on_picture: Callable[[], None]
) -> ImageSet:
    """Return the middle square of each picture, reduced or enlarged to `side` pixels.

    Raises:
        ValueError, OSError: one cannot be opened.
    """
    images = np.empty((len(pictures), side, side, 3), np.uint8)
    for number, one in enumerate(pictures):
        opened = opener(read_file(one.path)).image
        images[number] = np.asarray(ImageOps.fit(opened, (side, side), Image.Resampling.LANCZOS))
        on_picture()
    return ImageSet(images, np.array([one.label for one in pictures], np.uint8))
