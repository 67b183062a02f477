"""Frozen layers: the lower part of a network that is cut in two is run once per image.

The output of the frozen part for an image never changes, so it is computed once, kept on disk as
float16, and only the upper part is trained on it.  It is kept piece by piece: computing it may take
hours, and is gone on with where it was interrupted.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from model_training.datasets.augmentation import Transform
from model_training.files import whole_file
from model_training.networks.memory import batch_within_memory

if TYPE_CHECKING:
    import keras


_SUFFIXES = (".npy", ".seconds", ".part", ".progress", ".lock")
_LOOK_AGAIN_SECONDS = 1.0


class Stopped(Exception):
    """The caller asked to stop between two pieces."""


class FullDisk(Exception):
    """The disk has no room for features; the message says how much they need and what to do."""


class FeatureViews:
    """Draws batches from features: another view of each image every epoch.

    Args:
        views: for each transform the features of all images so transformed, (count, ...).
    """

    def __init__(self, views: list[NDArray[np.float16]], seed: int) -> None:
        self._views = views
        count = len(views[0])
        self._first = np.random.default_rng([seed, 3]).integers(0, len(views), count)

    def batch(self, chosen: NDArray[np.int64], epoch: int, number: int) -> NDArray[np.float16]:
        """Return the features of the images `chosen` in `epoch`."""
        which = (self._first[chosen] + epoch) % len(self._views)
        found = np.empty((len(chosen), *self._views[0].shape[1:]), np.float16)
        for place, view in enumerate(self._views):
            found[which == place] = view[chosen[which == place]]
        return found


@dataclass(frozen=True)
class Features:
    """The output of frozen layers: for each transform an array (count, ...), read from disk.

    `seconds` is the time that computing them took, whenever that was.
    """

    views: list[NDArray[np.float16]]
    seconds: float


def extract(
    lower: keras.Model,
    images: NDArray[np.uint8],
    views: tuple[Transform, ...],
    folder: Path,
    *,
    on_images: Callable[[int], None] = lambda count: None,
    stop: Callable[[], bool] = lambda: False,
) -> Features:
    """Return the output of `lower` for each view of the images, from `folder` if it is kept there.

    What is there in part, since an earlier call was stopped or killed, is gone on with.

    Args:
        images: uint8 (count, height, width, 3).
        views: the transforms of the images.
        on_images: called with the number of images just done; those kept in `folder` count at once.

    Raises:
        Stopped: `stop` returned True; what is done stays.
        FullDisk: the disk has no room for all of it; what is done stays.
        OSError: a file cannot be written.
    """
    of_network = _digest(lower, images)
    missing: list[tuple[Path, Transform]] = []
    found: dict[Path, tuple[NDArray[np.float16], float]] = {}
    paths = []
    for transform in views:
        name = hashlib.sha256(f"{of_network} {transform.key}".encode()).hexdigest()[:32]
        path = folder / f"{name}.npy"
        paths.append(path)
        if (there := _open(path, len(images))) is None:
            missing.append((path, transform))
        else:
            found[path] = there
            on_images(len(images))
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        _check_room(lower, images, [path for path, _transform in missing])
    for path, transform in missing:
        # Two trainings with the same frozen layers would write into each other's pieces.
        with _alone(path, stop):
            there = _open(path, len(images))
            if there is None:
                pieces = Pieces(path, len(images))
                pieces.compute(lower, images, transform, on_images, stop)
                there = _open(path, len(images))
            else:
                on_images(len(images))
        assert there is not None
        found[path] = there
    return Features([found[path][0] for path in paths], sum(found[path][1] for path in paths))


def kept(folder: Path) -> list[Path]:
    """Return the files that `extract` keeps in `folder`."""
    return [path for path in sorted(folder.glob("*")) if path.suffix in _SUFFIXES]


class Pieces:
    """The features of one view while they are computed: a file that grows piece by piece.

    It is a whole `.npy` file but for its end, with a count of the images that are safely in it
    beside it, so that whatever a killed process or a full disk left behind the last whole piece is
    written over.

    Args:
        path: where the features are put when all are there.
        count: of the images.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._path, self._count = path, count
        self._partial, self._progress = path.with_suffix(".part"), path.with_suffix(".progress")

    def compute(
        self,
        lower: keras.Model,
        images: NDArray[np.uint8],
        transform: Transform,
        on_images: Callable[[int], None],
        stop: Callable[[], bool],
    ) -> None:
        """Compute what is missing, and put the whole file into place.

        Raises:
            Stopped, FullDisk: as `extract`.
        """
        shape = (self._count, *_shape(lower, images))
        header = _header(shape)
        row = 2 * math.prod(shape[1:])
        done, seconds = self._read_progress(len(header), row)
        on_images(done)
        size = batch_within_memory(lower)
        try:
            # Written, not mapped: storing into a mapped file kills the process on a full disk.
            with self._partial.open("r+b" if done else "w+b") as file:
                if not done:
                    file.write(header)
                file.truncate(len(header) + done * row)
                file.seek(len(header) + done * row)
                while done < self._count:
                    if stop():
                        raise Stopped
                    started = time.monotonic()
                    part = transform(images[done : done + size])
                    # Eleven significant bits: more than bfloat16 has, fewer than float32.
                    features = np.asarray(lower.predict_on_batch(part), np.float16)
                    file.write(features.tobytes())
                    file.flush()
                    os.fsync(file.fileno())
                    done += len(features)
                    seconds += time.monotonic() - started
                    self._write_progress(done, seconds)
                    on_images(len(features))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise FullDisk(
                f"The disk is full: what frozen layers say about {done:,} of {self._count:,} "
                f"images is kept in {self._path.parent}. Make room for "
                f"{(self._count - done) * row / 1e9:.1f} GB more, and go on with --resume."
            ) from error
        with whole_file(self._path.with_suffix(".seconds")) as temporary:
            temporary.write_text(f"{seconds:.1f}", encoding="utf-8")
        os.replace(self._partial, self._path)
        self._progress.unlink(missing_ok=True)

    def size(self) -> int:
        """Return the bytes of what is there already."""
        return self._partial.stat().st_size if self._partial.exists() else 0

    def _read_progress(self, header: int, row: int) -> tuple[int, float]:
        try:
            told = json.loads(self._progress.read_text(encoding="utf-8"))
            done, seconds = int(told["images"]), float(told["seconds"])
            whole = self._partial.stat().st_size >= header + done * row
        except (OSError, ValueError, KeyError, TypeError):  # Missing or damaged: begun anew.
            return 0, 0.0
        return (done, seconds) if whole and 0 <= done <= self._count else (0, 0.0)

    def _write_progress(self, done: int, seconds: float) -> None:
        with whole_file(self._progress) as temporary:
            told = {"images": done, "seconds": round(seconds, 1)}
            temporary.write_text(json.dumps(told), encoding="utf-8")


def _open(path: Path, count: int) -> tuple[NDArray[np.float16], float] | None:
    try:
        seconds = float(path.with_suffix(".seconds").read_text(encoding="utf-8"))
        stored: NDArray[np.float16] = np.load(path, mmap_mode="r")
    except (OSError, ValueError):  # Missing or damaged: it is computed again.
        return None
    return (stored, seconds) if len(stored) == count else None


def _header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    told = {"descr": "<f2", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, told)
    return buffer.getvalue()


def _shape(lower: keras.Model, images: NDArray[np.uint8]) -> tuple[int, ...]:
    """Return the shape of the features of one image."""
    return tuple(lower.compute_output_shape((1, *images.shape[1:]))[1:])


def _check_room(lower: keras.Model, images: NDArray[np.uint8], missing: list[Path]) -> None:
    """Raise `FullDisk` at once where hours of work would end in it."""
    count = len(images)
    each = 2 * count * math.prod(_shape(lower, images))
    wanted = sum(max(0, each - Pieces(path, count).size()) for path in missing)
    folder = missing[0].parent
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise FullDisk(
            f"What frozen layers say about {count:,} images takes {wanted / 1e9:.1f} GB, and "
            f"{folder} has room for {free / 1e9:.1f} GB. Make room (`flask models clean features` "
            "removes those of other trainings), and go on with --resume."
        )


@contextmanager
def _alone(path: Path, stop: Callable[[], bool]) -> Iterator[None]:
    """Wait until no other process computes what belongs into `path`.

    Raises:
        Stopped: `stop` returned True meanwhile.
    """
    lock = FileLock(path.with_suffix(".lock"), blocking=False)
    while True:
        try:
            lock.acquire()
            break
        except Timeout:
            if stop():
                raise Stopped from None
            time.sleep(_LOOK_AGAIN_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _digest(lower: keras.Model, images: NDArray[np.uint8]) -> str:
    import keras

    # A layer's configuration includes its precision.
    configuration = [[type(layer).__name__, layer.get_config()] for layer in lower.layers]
    said = json.dumps([keras.backend.backend(), configuration], sort_keys=True, default=str)
    digest = hashlib.sha256(said.encode())
    for weight in lower.get_weights():
        digest.update(np.ascontiguousarray(weight).data)
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()
