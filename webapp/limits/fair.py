"""Turns that are given fairly: a client that has few goes before one that has many."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class FairTurns:
    """A number of turns for which clients wait.

    A turn that becomes free goes to the client that holds fewest, and among those to whoever has
    waited longest: so one that sends much waits for its own, and not others for it.

    Args:
        count: how many there are at a time.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._held: Counter[str] = Counter()
        self._waiting: dict[int, str] = {}
        self._numbers = itertools.count()
        self._changed = threading.Condition()

    def take(self, client: str, seconds: float) -> bool:
        """Wait for a turn, `seconds` at most; return whether there was one."""
        deadline = time.monotonic() + seconds
        with self._changed:
            number = next(self._numbers)
            self._waiting[number] = client
            try:
                while not self._is_next(number):
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return False
                    self._changed.wait(left)
                self._free -= 1
                self._held[client] += 1
                return True
            finally:
                del self._waiting[number]
                # Whoever is next now may have been behind this one.
                self._changed.notify_all()

    def give_back(self, client: str) -> None:
        """Give a turn of `client` back."""
        with self._changed:
            self._free += 1
            self._held -= Counter({client: 1})
            self._changed.notify_all()

    @contextmanager
    def turn(self, client: str, seconds: float) -> Iterator[bool]:
        """Hold a turn, having waited `seconds` at most; yields whether there was one."""
        taken = self.take(client, seconds)
        try:
            yield taken
        finally:
            if taken:
                self.give_back(client)

    def is_wanted_beside(self, client: str) -> bool:
        """Return whether a client other than `client` waits for a turn."""
        with self._changed:
            return any(other != client for other in self._waiting.values())

    def _is_next(self, number: int) -> bool:
        if not self._free:
            return False
        waiting = self._waiting
        return number == min(waiting, key=lambda one: (self._held[waiting[one]], one))
