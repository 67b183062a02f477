"""Questions that come together are asked together: one call of the network for many threads.

Nobody waits for company: a few are asked about at once, each alone, and those who come while as
many run make the next batch.
"""

from __future__ import annotations

import threading
import time

import numpy as np
from numpy.typing import NDArray

from model_training.judging.backend import Backend

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

MOST = 16


class _Question:
    """The pixels of one thread: it is told to lead a batch, to ask alone, or what was answered."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.told = threading.Event()
        self.leads = False
        self.features: Floats | None = None


class MicroBatching:
    """A backend that asks `backend` about what several threads bring, in one call.

    A batch that fails is taken apart, and each thread asks for itself: an error is told to nobody
    but whose pixels cause it.

    Args:
        most: the most images of a batch; who brings as many is asked about alone.
        at_once: the most calls of the network at a time, such large ones aside.
        wait: seconds for which a batch that had to wait anyway waits for more; 0 for none.
    """

    def __init__(
        self, backend: Backend, most: int = MOST, *, at_once: int = 1, wait: float = 0.0
    ) -> None:
        self._backend, self._most, self._wait = backend, most, wait
        self._lock = threading.Lock()
        self._free = at_once
        self._waiting: list[_Question] = []

    @property
    def width(self) -> int:
        """Return the number of features."""
        return self._backend.width

    def features(self, pixels: Pixels) -> Floats:
        """Return the features of `pixels`, uint8 RGB (count, side, side, 3): (count, width)."""
        if len(pixels) >= self._most:
            return self._backend.features(pixels)
        mine = _Question(pixels)
        with self._lock:
            if alone := self._free > 0:
                self._free -= 1
            else:
                self._waiting.append(mine)
        if alone:
            try:
                return self._backend.features(pixels)
            finally:
                self._hand_over()
        mine.told.wait()
        if mine.leads:
            self._lead(mine)
        return self._backend.features(pixels) if mine.features is None else mine.features

    def _lead(self, mine: _Question) -> None:
        """Ask about `mine` and all that came with it; who gets no features asks alone."""
        if self._wait:
            time.sleep(self._wait)
        batch = self._taken(mine)
        try:
            if len(batch) > 1:
                found = self._backend.features(np.concatenate([one.pixels for one in batch]))
                ends = np.cumsum([len(one.pixels) for one in batch])
                for one, part in zip(batch, np.split(found, ends[:-1]), strict=True):
                    one.features = part
            else:
                mine.features = self._backend.features(mine.pixels)
        except Exception:
            if len(batch) == 1:
                raise
        finally:
            for one in batch[1:]:
                one.told.set()
            self._hand_over()

    def _taken(self, first: _Question) -> list[_Question]:
        """Return `first` and those that wait and go with it: pictures of one size."""
        batch, count = [first], len(first.pixels)
        with self._lock:
            for one in list(self._waiting):
                fits = count + len(one.pixels) <= self._most
                if fits and one.pixels.shape[1:] == first.pixels.shape[1:]:
                    self._waiting.remove(one)
                    batch.append(one)
                    count += len(one.pixels)
        return batch

    def _hand_over(self) -> None:
        """Let the first of those that wait lead the next batch."""
        with self._lock:
            if self._waiting:
                following = self._waiting.pop(0)
                following.leads = True
                following.told.set()
            else:
                self._free += 1
