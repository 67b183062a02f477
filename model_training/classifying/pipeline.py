"""Judge pictures as they come: decoder threads before, and the network in batches behind them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from threadpoolctl import threadpool_limits

from model_training.classifying.rows import Row
from model_training.classifying.sources import Picture, Unreadable
from model_training.datasets.pictures.opener import PhotoError, PhotoTooLarge, open_at_once
from model_training.datasets.pictures.views import View
from model_training.judging.backend import Backend
from model_training.judging.judge import Judge

BATCH = 64
"""Pictures that go through the network together: more is hardly faster, and holds more memory."""
AHEAD = 3
"""Batches that are read and decoded before the network asks for them."""


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
    batch: int = BATCH,
    threads: int | None = None,
) -> Iterator[list[Row]]:
    """Yield the rows of `pictures`, in their order, a batch at a time.

    A picture that cannot be opened is a row that says why.

    Args:
        threads: that decode; by default as many as there are processors.
    """
    found = iter(pictures)
    # The judge's products are small: on cores that the network keeps busy, threads for them mostly
    # wait for each other (0.04 ms an image by one thread, 1.3 by two, measured on two busy cores).
    one_thread = threadpool_limits(1, user_api="blas")
    with one_thread, ThreadPoolExecutor(threads or os.cpu_count()) as decoders:

        def opening() -> Iterator[tuple[str, Future[list[View] | Row]]]:
            for picture in found:
                # What is in an archive is read in its order, so reading stays in this thread.
                opened = _read(picture, limits)
                if isinstance(opened, Row):
                    done: Future[list[View] | Row] = Future()
                    done.set_result(opened)
                    yield picture.name, done
                else:
                    yield picture.name, decoders.submit(_cut, picture.name, opened, judge, limits)

        coming = opening()
        waiting = deque(islice(coming, batch * AHEAD))
        while waiting:
            now = [waiting.popleft() for _ in range(min(batch, len(waiting)))]
            opened = [(name, future.result()) for name, future in now]
            # Before the network runs, so that decoders are busy while it does.
            waiting.extend(islice(coming, batch))
            yield _judged(opened, judge, backend)


def _read(picture: Picture, limits: Limits) -> bytes | Row:
    try:
        data = picture.read(limits.file_bytes + 1)
    except Unreadable as error:
        return Row(picture.name, error="unreadable-file", detail=str(error))
    if len(data) > limits.file_bytes:
        return _refused(picture.name, PhotoTooLarge.for_bytes(limits.file_bytes))
    return data


def _cut(name: str, data: bytes, judge: Judge, limits: Limits) -> list[View] | Row:
    try:
        return judge.views(open_at_once(data, max_pixels=limits.pixels).image)
    except PhotoError as error:
        return _refused(name, error)


def _judged(
    opened: list[tuple[str, list[View] | Row]], judge: Judge, backend: Backend
) -> list[Row]:
    views = [one for _, one in opened if not isinstance(one, Row)]
    judgements = iter(judge.judge(views, backend) if views else ())
    return [
        one if isinstance(one, Row) else Row.of(name, next(judgements), judge.classes)
        for name, one in opened
    ]


def _refused(name: str, error: PhotoError) -> Row:
    return Row(name, error=error.code, detail=error.message)
