"""Folders of photos by kind, judged as a visitor's photos are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_training.datasets.pictures.opener import PhotoError, open_photo
from model_training.datasets.pictures.views import View
from model_training.judging.backend import Backend
from model_training.judging.judge import Judge, mean_features

AT_A_TIME = 16


@dataclass(frozen=True)
class PhotoFiles:
    """The files of FOLDER/KIND/, in the order of their names.

    Args:
        paths: all of them.
        kinds: the kind of each: the name of its folder.
        second: whether each is the second, fourth ... of its kind: the half that measures.
    """

    paths: list[Path]
    kinds: list[str]
    second: list[bool]

    @classmethod
    def of(cls, folder: Path) -> PhotoFiles:
        """Return the files in the folders of `folder`; hidden ones are left out."""
        found: list[tuple[Path, str, bool]] = []
        for kind in sorted(path for path in folder.iterdir() if path.is_dir()):
            there = sorted(path for path in kind.iterdir() if path.name[0] != ".")
            found += [(path, kind.name, bool(place % 2)) for place, path in enumerate(there)]
        return cls([one[0] for one in found], [one[1] for one in found], [one[2] for one in found])

    def labels(self, classes: Sequence[str]) -> NDArray[np.int64]:
        """Return the place of each one's kind among `classes`, -1 for a stranger: (count,)."""
        places = {name: place for place, name in enumerate(classes)}
        return np.array([places.get(kind, -1) for kind in self.kinds], np.int64)

    def take(self, chosen: Sequence[bool]) -> PhotoFiles:
        """Return those that are `chosen`, one for each."""
        places = [place for place, wanted in enumerate(chosen) if wanted]
        return PhotoFiles(
            [self.paths[place] for place in places],
            [self.kinds[place] for place in places],
            [self.second[place] for place in places],
        )


def judged_features(
    files: PhotoFiles,
    judge: Judge,
    backend: Backend,
    max_pixels: int,
    on_photo: Callable[[int, int], None] = lambda done, total: None,
    on_problem: Callable[[Path, str], None] = lambda path, problem: None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the features of the photos that can be opened, and which of `files` they are.

    Args:
        max_pixels: of the largest photo that is opened.
        on_photo: told how many are done, of how many.
        on_problem: told of each that cannot be opened, and why.
    """
    opened: list[int] = []
    views: list[list[View]] = []
    features: list[NDArray[np.float32]] = []

    def flush() -> None:
        if views:
            features.append(mean_features(views, backend))
            views.clear()

    for place, photo in _photos(files, max_pixels, on_problem):
        opened.append(place)
        views.append(judge.views(photo))
        if len(views) == AT_A_TIME:
            flush()
        on_photo(place + 1, len(files.paths))
    flush()
    if not features:
        return np.empty((0, backend.width), np.float32), np.empty(0, np.int64)
    return np.concatenate(features), np.array(opened, np.int64)


def _photos(
    files: PhotoFiles, max_pixels: int, on_problem: Callable[[Path, str], None]
) -> Iterator[tuple[int, Image.Image]]:
    for place, path in enumerate(files.paths):
        try:
            yield place, open_photo(path.read_bytes(), max_pixels=max_pixels).image
        except (PhotoError, OSError) as error:
            on_problem(path, getattr(error, "message", str(error)))
