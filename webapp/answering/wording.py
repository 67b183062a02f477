"""Verdicts in words: the same on the pages, on a saved picture and in the list of other models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from model_training.judging.parts.verdicts import VerdictName
from webapp.answering.answers import Answer, Opinion, Verdict
from webapp.filters import a, capital, in_words, percent

FEW = 3
"""The classes whose bars are shown at once."""
_SCALE: dict[VerdictName, str] = {
    "known": "familiar",
    "unsure": "borderline",
    "stranger": "strange",
}


class Headline(NamedTuple):
    """A verdict as a sentence without its full stop: what it says, and what it adds to that."""

    says: str
    adds: str = ""

    def __str__(self) -> str:
        """Return the whole sentence."""
        return f"{self.says} {self.adds}".strip()


class Sureness(NamedTuple):
    """How sure a verdict is: a figure, which may be missing, and the words behind it."""

    figure: str
    words: str

    def __str__(self) -> str:
        """Return figure and words as one sentence."""
        return f"{self.figure} {self.words}".strip()


class Remainder(NamedTuple):
    """The classes behind the first few: their number, and their probability together."""

    classes: int
    together: float

    def __str__(self) -> str:
        """Return them as the line that stands for their bars."""
        share = percent(self.together) if self.together >= 0.0005 else "under 0.1%"
        if self.classes == 1:
            return f"one other, {share}"
        return f"{in_words(self.classes)} others, together {share}"


def headline(verdict: Verdict) -> Headline:
    """Return `verdict` as the page says it first and largest."""
    if verdict.verdict == "known":
        return Headline(capital(a(verdict.label)))
    if verdict.verdict == "unsure":
        return Headline(f"Perhaps {a(verdict.label)},", "but unlike what I learned from")
    none = capital(none_of(len(verdict.shares), "my"))
    if verdict.resembles is None:
        return Headline(none)
    return Headline(f"{none}:", f"it looks more like {a(verdict.resembles)}")


def sureness(verdict: Verdict) -> Sureness:
    """Return how sure `verdict` is, as the sentence behind its headline."""
    count = len(verdict.shares)
    if verdict.verdict == "stranger":
        if verdict.something_else is None:
            return Sureness("", "It resembles nothing that I learned from.")
        return Sureness(percent(verdict.something_else), f"sure that it is {none_of(count)}.")
    if verdict.verdict == "unsure" and verdict.familiarity is None:
        # Then its probability is that of a photo which is one of them, and says too much alone.
        return Sureness(percent(verdict.share), f"sure, if it is {one_of(count)} at all.")
    if verdict.stated < 0.5:
        return Sureness(percent(verdict.stated), "sure, that is, not sure at all.")
    guess = ", so take it as a guess" if verdict.stated < 0.8 or verdict.verdict == "unsure" else ""
    return Sureness(percent(verdict.stated), f"sure{guess}.")


def remainder(shares: Sequence[tuple[str, float]], few: int = FEW) -> Remainder | None:
    """Return what of `shares`, the largest first, stands behind the first `few`."""
    rest = [share for _, share in shares[few:]]
    return Remainder(len(rest), sum(rest)) if rest else None


def says(opinion: Opinion) -> str:
    """Return what `opinion` says in two or three words."""
    if opinion.verdict == "stranger":
        return "none of the classes"
    perhaps = "perhaps " if opinion.verdict == "unsure" else ""
    return perhaps + a(opinion.label)


def tally(answer: Answer) -> str:
    """Return how many of the models that were asked say what most of them say, and how surely."""
    opinions = (answer.opinion, *answer.opinions)
    votes = Counter(None if one.verdict == "stranger" else one.label for one in opinions)
    label, count = votes.most_common(1)[0]
    what = none_of(len(answer.shares)) if label is None else label
    unsure = sum(one.verdict == "unsure" and one.label == label for one in opinions)
    if unsure == count:
        what = f"perhaps {what}"
    perhaps = f", {unsure} of them perhaps" if 0 < unsure < count else ""
    if count == len(opinions):
        return f"{'Both' if count == 2 else f'All {in_words(count)}'} models say {what}{perhaps}."
    say = "says" if count == 1 else "say"
    return f"{count} of {len(opinions)} models {say} {what}{perhaps}."


def milliseconds(value: float) -> str:
    """Write 23.4 as `23 ms`, and 3.42 as `3.4 ms`."""
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def on_scale(verdict: VerdictName) -> str:
    """Return the name of the part of the scale of novelty that `verdict` stands for."""
    return _SCALE[verdict]


def none_of(count: int, whose: str = "the") -> str:
    """Return "none of the" and the number of classes in words."""
    return f"{'neither' if count == 2 else 'none'} of {whose} {in_words(count)}"


def one_of(count: int) -> str:
    """Return "one of the" and the number of classes in words."""
    return f"one of the {in_words(count)}"


FOR_TEMPLATES: dict[str, Callable[..., object]] = {
    "headline_of": headline,
    "sureness_of": sureness,
    "remainder_of": remainder,
    "tally_of": tally,
    "none_of": none_of,
    "one_of": one_of,
    "on_scale": on_scale,
}
"""What the templates call, by name."""
FILTERS: dict[str, Callable[..., object]] = {"says": says, "milliseconds": milliseconds}
