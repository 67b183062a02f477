"""Timing on a noisy machine: the candidates take turns, and ratios are taken pairwise."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def alternate(
    candidates: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """Run all candidates in turn, one round to warm up and `rounds` that count.

    Returns:
        The seconds of each counted run, by candidate.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 1):
        for name, run in candidates.items():
            started = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def print_table(seconds: dict[str, list[float]], per_run: int, unit: str) -> None:
    """Print milliseconds per `unit` (of which a run has `per_run`) and ratios to the first."""
    first = next(iter(seconds))
    print(f"{'':44} {'ms per ' + unit:>16} {'ratio (min..max)':>24}")
    for name, values in seconds.items():
        ratios = [value / base for value, base in zip(values, seconds[first], strict=True)]
        milliseconds = statistics.median(values) / per_run * 1000
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"
        print(f"{name:44} {milliseconds:16.2f} {spread:>24}")
