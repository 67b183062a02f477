"""Verdicts: what the novelty of an image says of it, and how often each verdict was right.

Thresholds are set on validation images when a run ends, and better on photos (`flask calibrate
--photos`): one half of them sets the thresholds, the other half measures how often each verdict is
right.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

VerdictName = Literal["known", "unsure", "stranger"]
VERDICTS: tuple[VerdictName, ...] = ("known", "unsure", "stranger")

Share = Annotated[float, Field(ge=0, le=1)]
Shares = tuple[Share, Share, Share]
Count = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """A part of a judge that is kept as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class VerdictRates(Part):
    """How often each verdict was given, and right, on photos that set no threshold.

    Args:
        measured_on: a description of the photos.
        photos: the number of photos of the classes.
        strangers: the number of photos of none of the classes.
        of_photos: the shares of the photos that are called known, unsure and strangers.
        of_strangers: the same of the strangers.
        right: the shares of the photos called known, unsure and strangers whose most probable class
            is theirs.
    """

    measured_on: str
    photos: Count
    strangers: Count
    of_photos: Shares
    of_strangers: Shares
    right: Shares

    @property
    def named_right(self) -> float:
        """Return the share of the photos of the classes that are given their class, if unsurely."""
        known, unsure, _refused = range(3)
        return sum(self.of_photos[one] * self.right[one] for one in (known, unsure))


class Familiarity(Part):
    """The probability that an image is one of the classes at all, by its novelty: a logistic curve.

    It is fitted on photos of which as many belong to a class as do not, by weight (J. Platt,
    "Probabilistic Outputs for Support Vector Machines", 1999).

    Args:
        centre: the novelty at which both are as likely.
        slope: how fast it falls from there, per unit of novelty.
    """

    centre: float
    slope: Annotated[float, Field(gt=0)]

    def at(self, novelty: float) -> float:
        """Return the probability, 0 to 1, at `novelty`."""
        return 1 / (1 + math.exp(min(self.slope * (novelty - self.centre), 500.0)))


class Threshold(Part):
    """The novelties that separate the verdicts.

    Args:
        novelty: above this, an image is called none of the classes: a stranger.
        unsure: above this, it is unsure; None: nothing is.
        kept: the share of the images it was set on that are not called strangers.
        set_on: a description of these images.
        familiarity: what novelty means, as photos said; None where there were none.
        rates: how often each verdict is right; None where nobody measured it.
    """

    novelty: float
    kept: Annotated[float, Field(gt=0, lt=1)]
    set_on: str
    unsure: float | None = None
    familiarity: Familiarity | None = None
    rates: VerdictRates | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Threshold:
        if self.unsure is not None and self.unsure > self.novelty:
            raise ValueError("what is unsure must lie below what is a stranger")
        return self

    def verdict(self, novelty: float) -> VerdictName:
        """Return the verdict on an image of this `novelty`."""
        if novelty > self.novelty:
            return "stranger"
        return "known" if self.unsure is None or novelty <= self.unsure else "unsure"

    def familiarity_at(self, novelty: float) -> float | None:
        """Return the probability that an image of this `novelty` is one of the classes at all."""
        return None if self.familiarity is None else self.familiarity.at(novelty)

    def strangeness(self, novelty: float) -> float:
        """Return the place of `novelty` on a scale from 0 to 1.

        The thresholds lie at one and two thirds; a threshold for unsure images that is missing
        counts as the other.  Beyond the outer ones the scale closes in on its ends.
        """
        low = self.novelty if self.unsure is None else self.unsure
        width = max(self.novelty - low, 1.0)
        if novelty <= low:
            place = math.exp(max((novelty - low) / width, -50.0)) / 3
        elif novelty > self.novelty:
            place = 1 - math.exp(max((self.novelty - novelty) / width, -50.0)) / 3
        else:
            place = (1 + (novelty - low) / (self.novelty - low)) / 3
        return place
