"""Which method explains a network best: chosen on some images, reported on others."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_training.explaining.measuring import insertion_minus_deletion
from model_training.explaining.methods import BLOB, CONTROLS, METHODS, Method
from model_training.explaining.target import NoExplanation, Pixels, Target, features_of
from model_training.judging.backend import Backend
from model_training.judging.judge import Judge

_NORMAL = 1.96
"""Standard errors to each side of a 95 % interval."""


@dataclass(frozen=True)
class Measured:
    """Insertion minus deletion of each method and control, and what they cost.

    Args:
        scores: of each image, float64 (images,), by the name of the method or control.
        milliseconds: the shortest time of one map, by the name of the method: other load only adds.
    """

    scores: Mapping[str, NDArray[np.float64]]
    milliseconds: Mapping[str, float]

    @property
    def means(self) -> dict[str, float]:
        """Return the mean score of each method and control."""
        return {name: float(scores.mean()) for name, scores in self.scores.items()}

    @property
    def margins(self) -> dict[str, tuple[float, float]]:
        """Return the 95 % interval of each one's mean lead over the blob on the same images."""
        return {name: _interval(scores - self.scores[BLOB]) for name, scores in self.scores.items()}

    def best(self, *, quick: bool = False) -> str:
        """Return the name of the method with the highest mean score.

        Args:
            quick: among the quick methods only.

        Raises:
            ValueError: no such method could explain the network.
        """
        means = self.means
        able = [name for name in METHODS if name in means and (METHODS[name].quick or not quick)]
        if not able:
            raise ValueError("no method can explain this network")
        return max(able, key=lambda name: means[name])


def compare_methods(
    network: Backend,
    judge: Judge,
    views: Sequence[Pixels],
    on_views: Callable[[int, int], None] = lambda done, total: None,
    methods: Mapping[str, Method] = METHODS,
) -> Measured:
    """Explain the most probable class of each of `views` by every method and control.

    A method that needs more than `network` offers is left out.

    Args:
        views: uint8 (side, side, 3) each, two or more.
        on_views: called with the number of views done so far and their total.
        methods: by name; the controls are measured too.
    """
    scores: dict[str, list[float]] = {}
    times: dict[str, list[float]] = {}
    for done, view in enumerate(views):
        number = int(judge.logits(features_of(network, view[None]))[0].argmax())
        target = Target(judge, number)
        for name, method in {**methods, **CONTROLS}.items():
            started = time.perf_counter()
            try:
                heat = method.explain(network, view, target)
            except NoExplanation:
                continue
            times.setdefault(name, []).append(time.perf_counter() - started)
            found = insertion_minus_deletion(network, judge, view, number, heat)
            scores.setdefault(name, []).append(found)
        on_views(done + 1, len(views))
    return Measured(
        {name: np.array(found) for name, found in scores.items()},
        {name: min(found) * 1000 for name, found in times.items() if name in methods},
    )


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    return float(mean - _NORMAL * error), float(mean + _NORMAL * error)
