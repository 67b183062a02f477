"""How much work is taken at a time, so that pages are answered however much is sent.

A request with a body is admitted before any of it is read, or refused at once: so of the server's
threads some are left for pages.  What is admitted waits for its turn at a decoder and at a network,
until its deadline.  Both refusals are a 503 with Retry-After.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from flask import Flask, current_app, g, request

from model_training.datasets.pictures.opener import Busy
from webapp.errors import Refusal
from webapp.limits.by_client import client
from webapp.limits.fair import FairTurns
from webapp.operating.metrics import count_admitted, stage

RETRY_AFTER = 5  # seconds
DECODED_AT_ONCE = 2
"""A pixel takes up to 23 bytes while a photo is decoded and converted: a small file can ask for a
gigabyte, and a server with many threads must not grant that to all of them at once."""
SHARE = 0.4
"""Of the places, so many are left to clients that have fewer than so many: none takes all."""


class Overloaded(Refusal):
    """As many requests were admitted as may be."""

    status = 503
    code = "overloaded"
    retry_after = RETRY_AFTER

    def __init__(self) -> None:
        super().__init__(
            "The site is already handling as many requests as it can. Please try again in a few "
            "seconds."
        )


class TooLate(Refusal):
    """A request waited until its deadline."""

    status = 503
    code = "too-late"
    retry_after = RETRY_AFTER

    def __init__(self) -> None:
        super().__init__(
            "The site is too busy to have handled this request in time. Please try again in a few "
            "seconds."
        )


class Admission:
    """What one process admits.

    Args:
        admitted: the most requests at a time, with those that are still received or wait.
        at_work: the most of them that a network, or a page, is made for at a time.
        seconds: the longest that one waits, all its waiting together.
    """

    def __init__(self, admitted: int, at_work: int, seconds: float) -> None:
        self.seconds = seconds
        self.places = threading.BoundedSemaphore(admitted)
        self.turns = threading.BoundedSemaphore(at_work)
        self.decoders = FairTurns(DECODED_AT_ONCE)
        self._share = max(1, int(admitted * SHARE))
        self._free = admitted
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def enter(self, name: str) -> bool:
        """Take a place for the client called `name`; return whether one was free for it."""
        with self._lock:
            if self._held[name] >= self._share and self._free <= self._share:
                return False
            if not self.places.acquire(blocking=False):
                return False
            self._free -= 1
            self._held[name] += 1
            return True

    def leave(self, name: str) -> None:
        """Give the place of a client back."""
        with self._lock:
            self._free += 1
            self._held -= Counter({name: 1})
            self.places.release()


def init_app(app: Flask) -> None:
    """Admit no more to `app` than its settings say; before anything of it reads a body."""
    config = app.config
    app.extensions["admission"] = Admission(
        config["WORK_ADMITTED"], config["WORK_AT_ONCE"], config["WORK_SECONDS"]
    )
    app.before_request(_admit_body)
    app.teardown_request(_leave)


def seconds_left() -> float:
    """Return how long the request that is being answered may still wait, 0 at least.

    The time begins when that is first asked: when the request has been received.
    """
    now = time.monotonic()
    if "deadline" not in g:
        g.deadline = now + _admission().seconds
    return max(0.0, float(g.deadline) - now)


@contextmanager
def turn() -> Iterator[None]:
    """Hold one of the slots for running a network, waiting until one is free.

    Raises:
        Overloaded: as many requests were admitted as may be.
        TooLate: none was free until the deadline.
    """
    if g.get("has_turn"):
        yield
        return
    _admit()
    with waiting_for(_admission().turns):
        g.has_turn = True
        try:
            yield
        finally:
            g.has_turn = False


@contextmanager
def decoder() -> Iterator[None]:
    """Wait for a decoder, behind clients that have fewer at work, and keep it.

    Raises:
        Busy: none was free until the deadline.
    """
    with waiting_fairly(_admission().decoders, Busy):
        yield


@contextmanager
def waiting_fairly(turns: FairTurns, late: type[Exception]) -> Iterator[None]:
    """Hold one of `turns`, having waited behind clients that have fewer, up to the deadline.

    Raises:
        Exception: of the type `late`; none was free until then.
    """
    with ExitStack() as held:
        with stage("wait"):
            free = held.enter_context(turns.turn(client(), seconds_left()))
        if not free:
            raise late
        yield


@contextmanager
def waiting_for(semaphore: threading.Semaphore) -> Iterator[None]:
    """Hold `semaphore`, having waited until the deadline at most.

    Raises:
        TooLate: it was not free until then.
    """
    if not semaphore.acquire(blocking=False):
        with stage("wait"):
            free = semaphore.acquire(timeout=seconds_left())
        if not free:
            raise TooLate
    try:
        yield
    finally:
        semaphore.release()


def _admit_body() -> None:
    if request.method == "POST":
        _admit()


def _admit() -> None:
    if "place" in g:
        return
    name = client()
    if not _admission().enter(name):
        raise Overloaded
    g.place = name
    count_admitted(+1)


def _leave(_error: BaseException | None) -> None:
    if (name := g.pop("place", None)) is not None:
        _admission().leave(name)
        count_admitted(-1)


def _admission() -> Admission:
    admission: Admission = current_app.extensions["admission"]
    return admission
