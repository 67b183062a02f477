"""Frozen layers: the lower part of a network that is cut in two is run once per image.

The output of the frozen part for an image never changes, so it is computed once, kept on disk as
float16, and only the upper part is trained on it.  It is kept piece by piece: computing it may take
hours, and is gone on with where it was interrupted.  Several processes each compute a share of
every piece, and each keeps all of it, since any image may come in its part of a batch.

Frozen layers may be given in parts.  Then the output of each part is kept, and a phase or a recipe
that freezes fewer layers finds what is below it.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from model_training.datasets.augmentation import ALL, Transform
from model_training.networks.frozen.digest import digest_of
from model_training.networks.frozen.pieces import FullDisk, Pieces, full_disk_said
from model_training.networks.frozen.sharing import (
    OneProcess,
    Sharing,
    failing_together,
    is_first_in,
)
from model_training.networks.memory import batch_within_memory

if TYPE_CHECKING:
    import keras


_LOOK_AGAIN_SECONDS = 1.0
_SEEN_WITHIN_SECONDS = 90.0
"""Disks of a network may show a new file to another machine a minute later."""


class Stopped(Exception):
    """The caller asked to stop between two pieces."""


class FeatureViews:
    """Draws batches from features: another view of each image every epoch.

    Args:
        views: for each transform the features of all images so transformed, (count, ...).
    """

    def __init__(self, views: list[NDArray[np.float16]], seed: int) -> None:
        self._views = views
        count = len(views[0])
        self._first = np.random.default_rng([seed, 3]).integers(0, len(views), count)

    def batch(
        self, chosen: NDArray[np.int64], epoch: int, number: int, own: slice = ALL
    ) -> NDArray[np.float16]:
        """Return the features of the images `chosen` in `epoch`, of which only `own`."""
        chosen = chosen[own]
        which = (self._first[chosen] + epoch) % len(self._views)
        found = np.empty((len(chosen), *self._views[0].shape[1:]), np.float16)
        for place, view in enumerate(self._views):
            found[which == place] = view[chosen[which == place]]
        return found


@dataclass(frozen=True)
class Features:
    """The output of frozen layers: for each transform an array (count, ...), read from disk.

    `seconds` is the time that computing each file took, whenever that was, by its name.
    """

    views: list[NDArray[np.float16]]
    seconds: dict[str, float]


@dataclass(frozen=True)
class Step:
    """What one part of the frozen layers makes of one view of the images.

    Args:
        pieces: where it is kept, or is to be.
        given: the pieces of the part below, which this one is given; None: the images.
        transform: of the images; none for what is made of them.
    """

    part: keras.Model
    pieces: Pieces
    given: Pieces | None
    transform: Transform


def extract(
    parts: Sequence[keras.Model],
    images: NDArray[np.uint8],
    views: tuple[Transform, ...],
    folder: Path,
    *,
    on_images: Callable[[int], None] = lambda count: None,
    stop: Callable[[], bool] = lambda: False,
    on_wait: Callable[[], None] = lambda: None,
    team: Sharing | None = None,
) -> Features:
    """Return the output of `parts`, one after the other, for each view of the images, from `folder`
    if it is kept there.

    What is there in part, since an earlier call was stopped or killed, is gone on with, also by
    another number of processes.

    Args:
        parts: the frozen layers from the bottom up; the output of each part is kept.
        images: uint8 (count, height, width, 3).
        views: the transforms of the images.
        on_images: called with the number of images that one part is done with, by whichever
            process; at first with those kept in `folder`.
        on_wait: called where somebody else computes the same, whom this waits for.
        team: the processes that each compute a share, with a `folder` of their own or a shared
            one; all of them have to call this, with the same arguments.

    Raises:
        Stopped: `stop` returned True, in any process; what is done stays.
        FullDisk: a disk has no room for all of it; what is done stays.
        OSError: a file cannot be written.
    """
    team = team or OneProcess()
    found = steps_of(parts, images, views, folder)
    missing: list[tuple[Step, int]] = []
    kept = 0
    for steps in found:
        # What one process has, not all of them have.
        told = team.gather(np.array([[step.pieces.whole, step.pieces.done] for step in steps]))
        is_whole, done = told.min(axis=0).T
        lacking = _above_whole(steps, is_whole.astype(bool).tolist())
        below = len(steps) - len(lacking)
        missing += zip(lacking, done[below:].tolist(), strict=True)
        kept += below * len(images) + int(done[below:].sum())
    if missing:
        with failing_together(team):
            lacking_pieces = [step.pieces for step, _done in missing]
            check_room(f"{len(images):,} images", lacking_pieces)
        writes = is_first_in(folder, team)
    # All of it before the first is computed: how long the others take is told by what comes after.
    on_images(kept)
    for step, done in missing:
        # Two trainings with the same frozen layers would write into each other's pieces.
        with _alone(step.pieces.path, writes, team, stop, on_wait):
            step.pieces.look()
            given = images if step.given is None else _opened(step.given)
            _complete(step, given, done, on_images, stop, team, writes)
        team.any(False)  # From here on it is whole everywhere.
    views_found = [_opened(steps[-1].pieces) for steps in found]
    every = [step.pieces for steps in found for step in steps]
    return Features(views_found, {pieces.path.name: pieces.took() for pieces in every})


def steps_of(
    parts: Sequence[keras.Model],
    images: NDArray[np.uint8],
    views: tuple[Transform, ...],
    folder: Path,
) -> list[list[Step]]:
    """Return for each view of the images the steps from them to the output of the last part."""
    found = []
    of_images = digest_of(parts[0], images)
    for transform in views:
        steps: list[Step] = []
        for part in parts:
            if steps:
                given, shape = steps[-1].pieces, steps[-1].pieces.shape
                digest, transform = digest_of(part, given.path.name.encode()), Transform()
            else:
                given, shape, digest = None, images.shape, of_images
            name = hashlib.sha256(f"{digest} {transform.key}".encode()).hexdigest()[:32]
            shape = (len(images), *part.compute_output_shape((1, *shape[1:]))[1:])
            steps.append(Step(part, Pieces(folder / f"{name}.npy", shape), given, transform))
        found.append(steps)
    return found


def missing_of(steps: list[Step]) -> list[Pieces]:
    """Return the pieces that are still to be computed, in whole or in part."""
    return [step.pieces for step in _above_whole(steps, [step.pieces.whole for step in steps])]


def _above_whole(steps: list[Step], whole: list[bool]) -> list[Step]:
    # What is kept of an upper part needs nothing of those below it.
    done = max((place for place, is_whole in enumerate(whole, start=1) if is_whole), default=0)
    return steps[done:]


def _complete(
    step: Step,
    given: NDArray[Any],
    counted: int,
    on_images: Callable[[int], None],
    stop: Callable[[], bool],
    team: Sharing,
    writes: bool,
) -> None:
    """Add what is missing, and put the whole file into place.

    The images are taken in order, as many at a time as one process would, so that the features are
    those of one process and what is kept can be gone on with by any number.

    Args:
        given: the images, or what the part below made of them.
        counted: the images that `on_images` was told of.
        writes: whether this process, rather than another with the same folder, writes.

    Raises:
        Stopped, FullDisk, OSError: as `extract`.
    """
    pieces, count, size = step.pieces, len(given), batch_within_memory(step.part)
    there = team.gather(np.array(pieces.done))
    position, most, source = int(there.min()), int(there.max()), int(there.argmax())
    if position != counted:  # Somebody else has added to them meanwhile.
        on_images(position - counted)
    while position < count:
        if team.any(stop()):
            raise Stopped
        started = time.monotonic()
        end = min(position + size * team.processes, most if position < most else count)
        if position < most:
            own = pieces.rows(position, end).tobytes() if team.rank == source else None
            rows = np.frombuffer(team.told(own, source), np.float16)
            features = rows.reshape(end - position, *pieces.shape[1:])
        else:
            features = _in_shares(step, given[position:end], size, team)
        with failing_together(team):
            if writes and pieces.done < end:
                pieces.append(features[pieces.done - position :], time.monotonic() - started)
        on_images(end - position)
        position = end
    with failing_together(team):
        if writes and not pieces.whole:
            pieces.finish()


def _in_shares(step: Step, given: NDArray[Any], size: int, team: Sharing) -> NDArray[np.float16]:
    """Return the features of what is `given`, of which each process computes up to `size`."""
    mine, shape = given[team.rank * size : (team.rank + 1) * size], step.pieces.shape[1:]
    own = np.zeros((size, *shape), np.float16)
    if len(mine):
        # Eleven significant bits: more than bfloat16 has, fewer than float32.
        own[: len(mine)] = step.part.predict_on_batch(step.transform(mine))
    # As whole numbers: not every way between processes carries float16.
    gathered = team.gather(own.view(np.uint16)).view(np.float16)
    return gathered.reshape(-1, *shape)[: len(given)]


def _opened(pieces: Pieces) -> NDArray[np.float16]:
    deadline = time.monotonic() + _SEEN_WITHIN_SECONDS
    while (there := pieces.open()) is None:
        if time.monotonic() > deadline:
            raise OSError(f"{pieces.path} was written, and cannot be read.")
        time.sleep(_LOOK_AGAIN_SECONDS)
    return there


def check_room(images: str, missing: Iterable[Pieces]) -> None:
    """Raise `FullDisk` at once where hours of work would end in it.

    Args:
        images: what the pieces are about, for the message.
        missing: pieces, all in one folder, which is made.

    Raises:
        FullDisk: there is too little for what is still to be written of them.
        OSError: the folder cannot be made.
    """
    missing = [*missing]
    folder = missing[0].path.parent
    with full_disk_said("not even a folder fits there. Make room"):
        folder.mkdir(parents=True, exist_ok=True)
    wanted, free = sum(pieces.lacking() for pieces in missing), shutil.disk_usage(folder).free
    if wanted > free:
        raise FullDisk(
            f"What frozen layers say about {images} takes {wanted / 1e9:.1f} GB, and {folder} has "
            f"room for {free / 1e9:.1f} GB. Make room (`flask models clean features` removes all "
            "that is kept there, also of this run)."
        )


@contextmanager
def _alone(
    path: Path,
    writes: bool,
    team: Sharing,
    stop: Callable[[], bool],
    on_wait: Callable[[], None],
) -> Iterator[None]:
    """Wait until nobody but this team computes what belongs into `path`.

    Raises:
        Stopped: `stop` returned True meanwhile.
        FullDisk: there is no room for the file that says so.
    """
    lock = FileLock(path.with_suffix(".lock"), blocking=False)
    has_waited = False
    while True:
        waits = False
        with failing_together(team), full_disk_said(f"nothing fits into {path.parent}. Make room"):
            try:
                if writes:
                    lock.acquire()
            except Timeout:
                waits = True
        if not team.any(waits):
            break
        # Two teams of which each has one of two folders would wait for each other.
        lock.release()
        if not has_waited:
            on_wait()
            has_waited = True
        if team.any(stop()):
            raise Stopped
        time.sleep(_LOOK_AGAIN_SECONDS * random.uniform(0.5, 1.5))
    try:
        yield
    finally:
        lock.release()
