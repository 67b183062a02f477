"""Judge pictures as they come, in three steps that go on at the same time.

Threads read and decode, another runs the network, and the caller's own judges what the network said
of the batch before: a network that waits for none of the rest is what a run's time goes to.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from model_training.classifying.rows import Row
from model_training.classifying.sources import Picture, Unreadable
from model_training.datasets.pictures.opener import PhotoError, PhotoTooLarge, open_photo
from model_training.datasets.pictures.views import View
from model_training.judging.backend import Backend
from model_training.judging.judge import Judge, mean_features

BATCH = 64
"""Pictures that go through the network and the judge together: more holds more memory."""
SMALL_BATCH = 256
"""The same of a network of 32 pixels: its judge takes half as long for each of so many."""
AHEAD = 4
"""Batches that are read and decoded before the network asks for them."""
AHEAD_BYTES = 64 * 2**20
"""Of files of archives, which are read in turn: the most that wait for a decoder.  A photo has a
thousand times as many as a small picture, and a batch is counted in pictures."""
RUNNING = 2
"""Batches that the network has been given: one that it looks at, and one that comes next."""
TOGETHER = 8
"""Pictures that one decoder opens in turn: to hand over each by itself takes as long as to read it,
and of photos, which take long, other decoders have some too."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Limits:
    """What is too large to be opened: bytes of the file, and pixels of the picture."""

    file_bytes: int
    pixels: int


def classify(
    pictures: Iterable[Picture],
    judge: Judge,
    backend: Backend,
    limits: Limits,
    *,
    batch: int | None = None,
    threads: int | None = None,
) -> Iterator[list[Row]]:
    """Yield the rows of `pictures`, in their order, a batch at a time.

    A picture that cannot be opened is a row that says why.

    Args:
        batch: pictures that are judged together; by default as `batch_of` has it.
        threads: that decode; by default as many as there are processors.

    Raises:
        SourceError: what holds the pictures cannot be read any more.
    """
    # The judge's products are small: on cores that the network keeps busy, threads for them mostly
    # wait for each other (0.04 ms an image by one thread, 1.3 by two, measured on two busy cores).
    one_thread = threadpool_limits(1, user_api="blas")
    with (
        one_thread,
        ThreadPoolExecutor(threads or os.cpu_count()) as decoders,
        ThreadPoolExecutor(1) as network,
    ):
        running: deque[tuple[list[_Opened], Future[Floats | None]]] = deque()
        try:
            for opened in _opened(pictures, judge, limits, decoders, batch or batch_of(judge)):
                running.append((opened, network.submit(_features, opened, backend)))
                if len(running) == RUNNING:
                    yield _judged(*running.popleft(), judge)
            for opened, features in running:
                yield _judged(opened, features, judge)
        finally:
            # Where a store is gone, each that was still to be read would be waited for.
            decoders.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class _File:
    """A picture that was read: its bytes, or the row that says why it was not."""

    name: str
    content: bytes | Row
    stamp: str | None = None


@dataclass(frozen=True)
class _Opened:
    """A picture that was opened: its views, or the row that says why it was not."""

    name: str
    views: list[View] | Row
    stamp: str | None = None


def batch_of(judge: Judge) -> int:
    """Return how many pictures are judged together, unless somebody asks for another number."""
    return max(BATCH, SMALL_BATCH * 32**2 // judge.plan.side**2)


def _opened(
    pictures: Iterable[Picture],
    judge: Judge,
    limits: Limits,
    decoders: ThreadPoolExecutor,
    batch: int,
) -> Iterator[list[_Opened]]:
    """Yield batches of pictures, opened, in their order; the next ones are being opened."""

    ahead = -(-batch * AHEAD // TOGETHER)
    waiting: deque[tuple[int, Future[list[_Opened]]]] = deque()
    ready: list[_Opened] = []
    for size, some in _together(pictures, limits):
        waiting.append((size, decoders.submit(_open, some, judge, limits)))
        while len(waiting) > ahead or (size and _held(waiting) > AHEAD_BYTES):
            ready += waiting.popleft()[1].result()
        while len(ready) >= batch:
            yield ready[:batch]
            ready = ready[batch:]
    while waiting:
        ready += waiting.popleft()[1].result()
        while len(ready) >= batch:
            yield ready[:batch]
            ready = ready[batch:]
    if ready:
        yield ready


def _together(
    pictures: Iterable[Picture], limits: Limits
) -> Iterator[tuple[int, list[Picture | _File]]]:
    """Yield a few at a time, and how many bytes of them are read already."""
    some: list[Picture | _File] = []
    size = 0
    for picture in pictures:
        if picture.ordered:
            # What is in an archive is read in its order, so in this thread.
            some.append(read := _read(picture, limits))
            size += 0 if isinstance(read.content, Row) else len(read.content)
        else:
            some.append(picture)
        if len(some) == TOGETHER or size > AHEAD_BYTES // TOGETHER:
            yield size, some
            some, size = [], 0
    if some:
        yield size, some


def _held(waiting: Iterable[tuple[int, Future[list[_Opened]]]]) -> int:
    """Return the bytes that wait for a decoder, or are with one."""
    return sum(size for size, opening in waiting if not opening.done())


def _read(picture: Picture, limits: Limits) -> _File:
    stamp = picture.stamp()
    try:
        data = picture.read(limits.file_bytes + 1)
    except Unreadable as error:
        # Without a stamp: a run that goes on tries again.
        return _File(picture.name, Row(picture.name, error="unreadable-file", detail=str(error)))
    if len(data) > limits.file_bytes:
        large = PhotoTooLarge.for_bytes(limits.file_bytes)
        return _File(picture.name, _refused(picture.name, large, stamp))
    return _File(picture.name, data, stamp)


def _open(some: list[Picture | _File], judge: Judge, limits: Limits) -> list[_Opened]:
    read = (_read(one, limits) if isinstance(one, Picture) else one for one in some)
    return [_Opened(one.name, _cut(one, judge, limits), one.stamp) for one in read]


def _cut(file: _File, judge: Judge, limits: Limits) -> list[View] | Row:
    if isinstance(file.content, Row):
        return file.content
    try:
        return judge.views(open_photo(file.content, max_pixels=limits.pixels).image)
    except PhotoError as error:
        return _refused(file.name, error, file.stamp)


def _features(opened: list[_Opened], backend: Backend) -> Floats | None:
    views = [one.views for one in opened if not isinstance(one.views, Row)]
    return mean_features(views, backend) if views else None


def _judged(opened: list[_Opened], features: Future[Floats | None], judge: Judge) -> list[Row]:
    found = features.result()
    judgements = iter(() if found is None else judge.judge_features(found))
    return [
        one.views
        if isinstance(one.views, Row)
        else Row.of(one.name, next(judgements), judge.classes, one.stamp)
        for one in opened
    ]


def _refused(name: str, error: PhotoError, stamp: str | None) -> Row:
    return Row(name, error=error.code, detail=error.message, stamp=stamp)
