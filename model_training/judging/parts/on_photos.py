"""Setting a judge's thresholds on photos, and measuring on others how often its verdicts are right.

Data sets of small images say little about photos, so thresholds that were set on them do not hold.
Photos of the classes and of strangers are halved: one half sets, the other measures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_training.judging.parts.verdicts import (
    VERDICTS,
    Familiarity,
    Shares,
    Threshold,
    VerdictRates,
)

REFUSED = 0.05
"""The most photos of the classes that may be called strangers, in expectation."""
MISTAKEN = 0.02
"""The most strangers that may be called known, in expectation."""
FEWEST = 20
"""Photos of the classes, in either half: fewer set no threshold."""


@dataclass(frozen=True)
class JudgedPhotos:
    """Photos as a judge sees them.

    Args:
        novelty: of each, float64 (count,).
        right: whether its most probable class is its own, bool (count,); False for strangers.
        stranger: whether it is of none of the classes, bool (count,).
    """

    novelty: NDArray[np.float64]
    right: NDArray[np.bool_]
    stranger: NDArray[np.bool_]

    def take(self, chosen: NDArray[np.bool_]) -> JudgedPhotos:
        """Return those that are `chosen`, bool (count,)."""
        return JudgedPhotos(self.novelty[chosen], self.right[chosen], self.stranger[chosen])


def set_on_photos(
    photos: JudgedPhotos, chosen: NDArray[np.bool_], called: str
) -> tuple[Threshold, VerdictRates]:
    """Return the threshold that `photos` set, with its rates, and these again.

    The thresholds are finite-sample quantiles (V. Vovk et al., "Algorithmic Learning in a Random
    World", 2005): of photos like these, at most `REFUSED` of those of the classes are called
    strangers, and at most `MISTAKEN` of the strangers known.

    Args:
        chosen: the half that sets the thresholds; the other measures.
        called: a name for the photos.

    Raises:
        ValueError: there are too few photos of the classes.
    """
    setting, measuring = photos.take(chosen), photos.take(~chosen)
    for half in (setting, measuring):
        if (count := int((~half.stranger).sum())) < FEWEST:
            raise ValueError(
                f"{count} photos of the classes are too few to set a threshold on: each half needs "
                f"{FEWEST}"
            )
    known, strange = setting.novelty[~setting.stranger], setting.novelty[setting.stranger]
    refused = upper_quantile(known, REFUSED)
    unsure = min(refused, lower_quantile(strange, MISTAKEN, otherwise=refused))
    threshold = Threshold(
        novelty=refused,
        unsure=unsure,
        kept=1 - REFUSED,
        set_on=f"{len(known):,} photos of the classes and {len(strange):,} of anything else: half "
        f"of {called}",
        familiarity=fit_familiarity(known, strange) if len(strange) >= FEWEST else None,
    )
    rates = measured_rates(threshold, measuring, f"the other half of {called}")
    return threshold.model_copy(update={"rates": rates}), rates


def measured_rates(threshold: Threshold, photos: JudgedPhotos, called: str) -> VerdictRates:
    """Return how often `threshold` gives each verdict on `photos`, and how often it is right."""
    verdicts = np.array([VERDICTS.index(threshold.verdict(value)) for value in photos.novelty])
    known = ~photos.stranger

    def shares(of: NDArray[np.bool_]) -> Shares:
        first, second, third = (
            float((verdicts[of] == number).mean()) if of.any() else 0.0 for number in range(3)
        )
        return first, second, third

    right = [photos.right[known & (verdicts == number)] for number in range(3)]
    first, second, third = (float(one.mean()) if len(one) else 0.0 for one in right)
    return VerdictRates(
        measured_on=called,
        photos=int(known.sum()),
        strangers=int(photos.stranger.sum()),
        of_photos=shares(known),
        of_strangers=shares(photos.stranger),
        right=(first, second, third),
    )


def upper_quantile(values: NDArray[np.float64], above: float) -> float:
    """Return the least of `values` that one more of their kind exceeds at most `above` of times."""
    rank = math.ceil((len(values) + 1) * (1 - above))
    return float(np.sort(values)[min(rank, len(values)) - 1])


def lower_quantile(values: NDArray[np.float64], below: float, otherwise: float) -> float:
    """Return a bound that one more of the kind of `values` falls below at most `below` of times.

    Args:
        otherwise: returned where there are too few for such a bound.
    """
    rank = math.floor((len(values) + 1) * below)
    if rank < 1:
        return otherwise
    return float(np.nextafter(np.sort(values)[rank - 1], -np.inf))


def fit_familiarity(known: NDArray[np.float64], strange: NDArray[np.float64]) -> Familiarity | None:
    """Return the logistic curve over novelty, both kinds weighing alike.

    None where novelty does not tell the one from the other.
    """
    from sklearn.linear_model import LogisticRegression

    novelty = np.concatenate([known, strange])
    is_known = np.arange(len(novelty)) < len(known)
    fitted = LogisticRegression(C=1e6, class_weight="balanced").fit(novelty[:, None], is_known)
    slope = -float(fitted.coef_[0, 0])
    if slope <= 0:
        return None
    return Familiarity(centre=float(fitted.intercept_[0]) / slope, slope=slope)
