"""A review of photos in class folders (`FOLDER/cat/*.jpg`) before anything is trained on them.

Files are read and opened once, one at a time; a bad one is named, and the rest are still read.  The
result is small and is kept as JSON.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model_training.datasets.dataset import MOST_CLASSES
from model_training.datasets.folders.class_folders import (
    KINDS,
    Opened,
    Opener,
    class_files,
    outside,
    printable,
    read_file,
    what_is_wrong,
)
from model_training.datasets.folders.folder import FEWEST
from model_training.faults import first_fault
from model_training.files import DamagedFile, whole_file
from model_training.naming import Slug

LISTED = 100
"""The most bad files and sets of copies that are named; the rest are only counted."""
GREY = 8
"""The most, of 255, by which the channels of a grey pixel differ: JPEG changes them a little."""
SIDES = (32, 64, 128, 256, 512, 1024)
"""The lower ends of the ranges of the shorter side, after 0."""

Size = tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(_Part):
    """A file that is damaged or not a picture.  `file` is relative to the folder."""

    file: str
    what: str


class ClassReview(_Part):
    """The pictures of one class.

    `smallest`, `median` and `largest` are the width and height of the pictures with the fewest, the
    median and the most pixels; None where there is no picture.  `modes` counts what a pixel is in
    the files, by Pillow's names (RGB, L, CMYK ...); empty in reviews of before it was counted.
    `copies` counts pictures whose bytes are also those of an earlier file, in any class.
    """

    name: str
    pictures: int
    smallest: Size | None
    median: Size | None
    largest: Size | None
    formats: dict[str, int]
    modes: dict[str, int] = {}
    greys: int
    copies: int
    bad: int


class Review(_Part):
    """The findings, version 1.  `sides` counts shorter sides: below 32, from 32 to 63, and so on.

    `copies` are sets of files with the same bytes; `across` counts the sets that span more than one
    class.  `bad` and `copies` name the first hundred.
    """

    schema_version: Literal[1] = 1
    name: Slug
    folder: str
    made: str
    classes: Annotated[list[ClassReview], Field(min_length=1)]
    sides: Annotated[list[int], Field(min_length=len(SIDES) + 1, max_length=len(SIDES) + 1)]
    landscape: int
    portrait: int
    commonest_size: Size | None
    commonest_count: int
    bad: list[Problem]
    copies: list[list[str]]
    copied_sets: int
    across: int
    outside: int
    """The number of files that lie beside the class folders, and so have no class."""
    obstacles: tuple[str, ...] = ()
    """The obstacles to training on the folder, a sentence each; empty where there are none.  A
    class folder without pictures is one of them: training would skip it."""

    @property
    def ready(self) -> bool:
        """Return whether a network can be trained on the folder as it is."""
        return not self.obstacles

    @property
    def pictures(self) -> int:
        """Return the number of pictures in all classes."""
        return sum(one.pictures for one in self.classes)


@dataclass
class _Found:
    """The findings on one class while its files are read."""

    sizes: list[tuple[int, int]] = field(default_factory=list)
    formats: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    greys: int = 0
    copies: int = 0
    bad: int = 0


@dataclass(frozen=True)
class FileFacts:
    """One picture: a row of the table of files.  `hash` is the SHA-256 of its bytes, `path` is
    relative to the folder, and `mode` is Pillow's name of what a pixel is."""

    hash: str
    width: int
    height: int
    mode: str
    format: str
    orientation: str
    path: str
    label: str


def review(
    folder: Path,
    name: str,
    opener: Opener,
    progress: Callable[[int, int], None],
    on_file: Callable[[FileFacts], None] = lambda facts: None,
) -> Review:
    """Review every picture in the class folders of `folder`, and whether one can train on it.

    Args:
        name: the name of the review.
        progress: called at first and after each file, with the number of files done and their
            total.
        on_file: told of each picture.

    Raises:
        FolderError: `class_files` finds no class folders.
        OSError: the folder cannot be listed.
    """
    files = class_files(folder)
    total = sum(map(len, files.values()))
    found = {label: _Found() for label in files}
    first: dict[bytes, str] = {}
    classes_of: dict[bytes, set[str]] = {}
    same: dict[bytes, list[str]] = {}
    problems: list[Problem] = []
    done = 0
    progress(done, total)
    for label, paths in files.items():
        here = found[label]
        for path in paths:
            shown = printable(path.relative_to(folder).as_posix())
            try:
                data = read_file(path)
                opened = opener(data)
            except (OSError, ValueError) as error:
                here.bad += 1
                problems.append(Problem(file=shown, what=what_is_wrong(error)))
            else:
                _note(here, opened)
                digest = hashlib.sha256(data).digest()
                on_file(_facts(digest, opened, shown, label))
                if digest in first:
                    here.copies += 1
                    same.setdefault(digest, [first[digest]]).append(shown)
                first.setdefault(digest, shown)
                classes_of.setdefault(digest, set()).add(label)
            done += 1
            progress(done, total)
    sizes = [size for one in found.values() for size in one.sizes]
    sides = np.searchsorted(SIDES, [min(size) for size in sizes], side="right")
    loose = outside(folder)
    commonest, times = Counter(sizes).most_common(1)[0] if sizes else (None, 0)
    return Review(
        name=name,
        folder=printable(folder.resolve().name),
        made=time.strftime("%Y-%m-%d %H:%M:%S%z"),
        classes=[_class_review(printable(label), one) for label, one in found.items()],
        sides=np.bincount(sides, minlength=len(SIDES) + 1).tolist(),
        landscape=sum(width > height for width, height in sizes),
        portrait=sum(width < height for width, height in sizes),
        commonest_size=commonest,
        commonest_count=times,
        bad=problems[:LISTED],
        copies=list(same.values())[:LISTED],
        copied_sets=len(same),
        across=sum(len({file.split("/")[0] for file in files}) > 1 for files in same.values()),
        outside=len(loose),
        obstacles=tuple(_obstacles(folder, found, classes_of, loose)),
    )


def write_review(path: Path, made: Review) -> None:
    """Write `made` to the file `path`."""
    with whole_file(path) as temporary:
        temporary.write_text(made.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_review(path: Path) -> Review:
    """Read what `write_review` wrote.

    Raises:
        DamagedFile: it is not whole, or holds something else.
        FileNotFoundError: there is none.
    """
    try:
        return Review.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DamagedFile(first_fault(error)) from error


def _obstacles(
    folder: Path,
    found: Mapping[str, _Found],
    classes_of: Mapping[bytes, set[str]],
    loose: Sequence[Path],
) -> Iterator[str]:
    """Yield a sentence on each thing that keeps `folder.divide` from making a data set.

    Args:
        classes_of: the classes in which each picture lies, by its digest.
        loose: the files beside the class folders.
    """
    filled = [label for label, one in found.items() if one.sizes]
    if not filled:
        yield "It holds no pictures: none of its files is one that can be opened."
        return
    for label in found:
        if label not in filled:
            yield (
                f"{printable(label)} holds no picture that can be opened. Fill the folder, or take "
                "it away."
            )
    if len(filled) < 2:
        yield f"Only {printable(filled[0])} has pictures, and two classes are the fewest."
        if any(path.suffix.lower() in KINDS for path in loose):
            yield (
                "Pictures lie beside the class folder: if it is the folder of one class, give the "
                f"one above it, {printable(str(folder.resolve().parent))}."
            )
    # One in two classes could be both learned and tested on, so it counts in neither.
    usable = Counter(next(iter(labels)) for labels in classes_of.values() if len(labels) == 1)
    for label in filled:
        if usable[label] < FEWEST:
            yield (
                f"{printable(label)} has {usable[label]} different picture"
                f"{'s' if usable[label] != 1 else ''} that can be learned from, and {FEWEST} are "
                "the fewest."
            )
    if len(filled) > MOST_CLASSES:
        yield f"There are {len(filled)} classes, and {MOST_CLASSES} are the most."


def _facts(digest: bytes, opened: Opened, path: str, label: str) -> FileFacts:
    width, height = opened.original_size
    orientation = "square" if width == height else "landscape" if width > height else "portrait"
    shape = (width, height, opened.mode, opened.format, orientation)
    return FileFacts(digest.hex(), *shape, path, printable(label))


def _note(found: _Found, opened: Opened) -> None:
    found.sizes.append(opened.original_size)
    found.formats[opened.format] += 1
    found.modes[opened.mode] += 1
    pixels = np.asarray(opened.image, np.int16)
    found.greys += int((pixels.max(axis=2) - pixels.min(axis=2)).max() <= GREY)


def _class_review(name: str, found: _Found) -> ClassReview:
    sizes = sorted(found.sizes, key=lambda size: (size[0] * size[1], size))
    return ClassReview(
        name=name,
        pictures=len(sizes),
        smallest=sizes[0] if sizes else None,
        median=sizes[len(sizes) // 2] if sizes else None,
        largest=sizes[-1] if sizes else None,
        formats=dict(found.formats.most_common()),
        modes=dict(found.modes.most_common()),
        greys=found.greys,
        copies=found.copies,
        bad=found.bad,
    )
