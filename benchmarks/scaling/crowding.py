"""How much quicker a core is while others rest, from what photos took of a processor at some loads.

Two cores may be two threads of one, and share caches: a photo then takes more of a processor where
there is more to do.  What it takes on average says little of the moments that make waits long, in
which every core computes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.scaling.costs import as_busy
from benchmarks.scaling.simulation import Costs, Settings, simulate

CROWDINGS = np.arange(1.0, 2.01, 0.1)
DRAWS = 3
ROUNDS = 2
"""The share of a load in which a core rests depends, a little, on what a photo costs."""


def fit_crowding(
    costs: Costs, loads: Sequence[tuple[NDArray[np.float64], float]], settings: Settings
) -> Costs:
    """Return `costs` with the crowding, and the cost of a photo where every core computes, with
    which simulated photos take of a processor what real ones took.

    Args:
        loads: at least two: when photos came, and the processor seconds that each took on average,
            without those of its client.
    """
    measured = np.array([photo for _times, photo in loads])
    fits = []
    for crowding in CROWDINGS:
        tried = as_busy(costs, float(measured.mean()), float(crowding))
        for _ in range(ROUNDS):
            taken = np.array([taken_of(times, tried, settings) for times, _photo in loads])
            tried = as_busy(costs, tried.photo * float((measured / taken).mean()), float(crowding))
        off = np.abs(taken / measured * (measured / taken).mean() - 1).max()
        fits.append((float(off), tried))
    return min(fits, key=lambda fit: fit[0])[1]


def taken_of(times: NDArray[np.float64], costs: Costs, settings: Settings) -> float:
    """Return the processor seconds of a simulated photo, without those of its client."""
    used = [simulate(times, costs, settings, seed=seed).used for seed in range(DRAWS)]
    return float(np.mean(used)) / len(times) - costs.client
