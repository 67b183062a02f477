"""A circuit breaker (M. Nygard, Release It!, 2007): who fails again and again is left alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Open(Exception):
    """Nothing is asked now; `seconds` are left until it is tried again."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"open for {seconds:.1f} s")
        self.seconds = seconds


class Failed(Exception):
    """An attempt failed through the fault of whoever was asked."""


class NotAsked(Exception):
    """Nobody was asked after all, for a reason of our own."""


class Circuit:
    """Counts failures in a row; after `most` of them it is open for `seconds`, and refuses at once.

    Then one attempt is let through, alone: if it succeeds the circuit is closed, otherwise it is
    open again.

    Args:
        clock: gives seconds that only grow.
    """

    def __init__(
        self, most: int = 3, seconds: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._lock = threading.Lock()
        self._failures = 0
        self._closed_again = 0.0
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Return whether the last attempts failed, as many as it takes."""
        return self._failures >= self._most

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Count how what is done inside ends: with `Failed` or otherwise; `NotAsked` counts not.

        Raises:
            Open: it may not be done now.
        """
        with self._lock:
            alone = self.is_open
            if alone:
                left = self._closed_again - self._clock()
                if left > 0 or self._trying:
                    raise Open(max(left, 1.0))
                self._trying = True
        try:
            yield
        except Failed:
            with self._lock:
                self._failures += 1
                self._closed_again = self._clock() + self._seconds
            raise
        except NotAsked:
            raise
        except BaseException:
            # Whatever went wrong besides, an answer came.
            self._close()
            raise
        else:
            self._close()
        finally:
            if alone:
                self._trying = False

    def _close(self) -> None:
        with self._lock:
            self._failures = 0
