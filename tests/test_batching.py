"""Threads that ask a network at the same time are answered together, each with its own answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from flask import Flask
from numpy.typing import NDArray

from model_training.judging.backend import Backend
from webapp.library import load_library
from webapp.serving.batching import MicroBatching

Floats = NDArray[np.float32]
BAD = 13


class Gated:
    """A backend that waits at a gate, and fails for pictures that begin with `BAD`."""

    width = 1

    def __init__(self) -> None:
        self.gate, self.arrived = threading.Event(), threading.Event()
        self.calls: list[tuple[int, ...]] = []

    def features(self, pixels: NDArray[np.uint8]) -> Floats:
        self.calls.append(pixels.shape)
        self.arrived.set()
        assert self.gate.wait(60)
        firsts = pixels[:, 0, 0, :1]
        if (firsts == BAD).any():
            raise ValueError("bad picture")
        return firsts.astype(np.float32)


def picture(value: int, count: int = 1, side: int = 4) -> NDArray[np.uint8]:
    return np.full((count, side, side, 3), value, np.uint8)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def ask_while_one_runs(
    threads: ThreadPoolExecutor, backend: Gated, batching: MicroBatching, *asked: NDArray[np.uint8]
) -> list[Future[Floats]]:
    """Ask about the first of `asked`, and about the rest in their order while that runs."""
    futures = []
    for number, pixels in enumerate(asked):
        futures.append(threads.submit(batching.features, pixels))
        assert backend.arrived.wait(60)
        deadline = time.monotonic() + 60
        while len(batching._waiting) < number:
            assert time.monotonic() < deadline
            time.sleep(0.001)
    backend.gate.set()
    return futures


def test_who_comes_alone_is_answered_at_once() -> None:
    backend = Gated()
    backend.gate.set()
    batching = MicroBatching(backend)
    for value in (1, 2):
        assert batching.features(picture(value, 2)).tolist() == [[value], [value]]
    assert [shape[0] for shape in backend.calls] == [2, 2]


def test_those_who_come_meanwhile_are_answered_together_each_with_its_own(
    threads: ThreadPoolExecutor,
) -> None:
    backend = Gated()
    batching = MicroBatching(backend, most=6)
    sizes = [1, 2, 1, 3, 1, 2]
    asked = [picture(20 + number, size) for number, size in enumerate(sizes)]
    futures = ask_while_one_runs(threads, backend, batching, *asked)
    for number, (future, size) in enumerate(zip(futures, sizes, strict=True)):
        assert future.result(60).tolist() == [[20 + number]] * size
    # The first alone; then 2, 1 and 3, the most at a time; then the rest.
    assert [shape[0] for shape in backend.calls] == [1, 6, 3]


def test_a_few_are_asked_about_at_once_and_only_those_beyond_wait(
    threads: ThreadPoolExecutor,
) -> None:
    backend = Gated()
    batching = MicroBatching(backend, at_once=3)
    first = [threads.submit(batching.features, picture(value)) for value in (1, 2, 3)]
    deadline = time.monotonic() + 60
    while len(backend.calls) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    rest = [threads.submit(batching.features, picture(value)) for value in (4, 5)]
    while len(batching._waiting) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    backend.gate.set()
    assert [future.result(60).item() for future in (*first, *rest)] == [1, 2, 3, 4, 5]
    assert sum(shape[0] for shape in backend.calls[3:]) == 2, "they waited for a call to end"


def test_pictures_of_another_size_make_a_batch_of_their_own(threads: ThreadPoolExecutor) -> None:
    backend = Gated()
    batching = MicroBatching(backend)
    asked = [picture(1), picture(2), picture(3, side=8), picture(4), picture(5, side=8)]
    futures = ask_while_one_runs(threads, backend, batching, *asked)
    assert [future.result(60).item() for future in futures] == [1, 2, 3, 4, 5]
    assert [shape[:2] for shape in backend.calls] == [(1, 4), (2, 4), (2, 8)]


def test_an_error_is_told_to_nobody_else(threads: ThreadPoolExecutor) -> None:
    backend = Gated()
    batching = MicroBatching(backend)
    asked = [picture(value) for value in (1, 2, BAD, 4, 5)]
    futures = ask_while_one_runs(threads, backend, batching, *asked)
    for value, future in zip((1, 2, BAD, 4, 5), futures, strict=True):
        if value == BAD:
            with pytest.raises(ValueError, match="bad picture"):
                future.result(60)
        else:
            assert future.result(60).item() == value
    assert [shape[0] for shape in backend.calls] == [1, 4, 1, 1, 1, 1]
    # An error alone, and one of the first, hold nobody up either.
    for value in (BAD, BAD):
        with pytest.raises(ValueError, match="bad picture"):
            batching.features(picture(value))
    assert batching.features(picture(6)).item() == 6


def test_who_brings_a_whole_batch_does_not_wait(threads: ThreadPoolExecutor) -> None:
    backend = Gated()
    batching = MicroBatching(backend, most=4)
    first = threads.submit(batching.features, picture(1))
    assert backend.arrived.wait(60)
    many = threads.submit(batching.features, picture(2, 4))
    deadline = time.monotonic() + 60
    while len(backend.calls) < 2:  # It is in the network, though the first is not done.
        assert time.monotonic() < deadline
        time.sleep(0.001)
    backend.gate.set()
    assert len(first.result(60)) == 1 and len(many.result(60)) == 4


def test_a_real_network_answers_many_threads_as_it_answers_one(
    site: Flask, threads: ThreadPoolExecutor
) -> None:
    classifier = load_library(site).classifiers["tiny"]
    asked: Backend = classifier.asked
    assert isinstance(asked, MicroBatching)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), np.uint8)
    expected = classifier.backend.features(pixels)
    found = list(threads.map(lambda number: asked.features(pixels[number : number + 1]), range(64)))
    assert np.concatenate(found) == pytest.approx(expected, abs=1e-5)
