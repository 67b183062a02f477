"""Filters that write numbers and nouns on the pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from flask import Flask


def percent(share: float, digits: int = 1) -> str:
    """Write 0.9253 as `92.5%`; never round up to a certainty that is not there."""
    text = f"{share:.{digits}%}"
    if share < 1 and text == f"{1:.{digits}%}":
        return f">{1 - 10.0 ** -(digits + 2):.{digits}%}"
    return text


def published(share: float) -> str:
    """Write 0.8195 as `81.95%` and 0.91 as `91%`: with no digit that its source does not give."""
    return f"{share * 100:.4g}%"


def points(difference: float, digits: int = 2) -> str:
    """Write 0.0174 as `+1.74`, in percentage points, with a real minus sign; nothing has none."""
    text = f"{difference * 100:+.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) else text[1:]


def count(number: int) -> str:
    """Write 1117514 as `1,117,514`."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """Write `1 photo`, `2,000 photos`: a number of what `noun` names."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


WORDS = "two three four five six seven eight nine ten eleven twelve".split()


def in_words(number: int) -> str:
    """Write 7 as `seven`; from thirteen on, figures."""
    return WORDS[number - 2] if 2 <= number <= 12 else count(number)


def ordinal(number: int) -> str:
    """Write 1 as `1st`, 12 as `12th`, 9372 as `9,372nd`."""
    ends = {1: "st", 2: "nd", 3: "rd"}
    end = "th" if 10 < number % 100 < 14 else ends.get(number % 10, "th")
    return f"{count(number)}{end}"


def times(number: int) -> str:
    """Write 1 as `once`, 2 as `twice`, 3 as `3 times`."""
    return {1: "once", 2: "twice"}.get(number) or f"{count(number)} times"


def duration(seconds: float) -> str:
    """Write 2712 as `45 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def megabytes(count: int) -> str:
    """Write 20971520 bytes as `20 MB`."""
    return f"{count / 2**20:g} MB"


def file_size(count: int) -> str:
    """Write 8912345 bytes as `8.9 MB`, 3100 as `3.1 kB`."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def moment(text: str) -> str:
    """Write a moment in ISO 8601 as `2026-11-23 07:42 UTC`; what is none stays as it is."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def listed(names: Sequence[str]) -> str:
    """Write three names as `apple, pear and plum`."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def capital(words: str) -> str:
    """Write `a Samoyed` as `A Samoyed`: the rest stays as it is."""
    return words[:1].upper() + words[1:]


LIKE_CONSONANTS = ("eu", "one", "uk", "uni", "use", "utensil")
LIKE_VOWELS = ("heir", "hour")
"""How words begin that are spoken otherwise than their first letter says."""
WITHOUT_ARTICLE = frozenset(
    "binoculars; parallel bars; sunglasses; swimming trunks; "
    "broccoli; chain mail; chocolate sauce; corn; dough; eggnog; face powder; guacamole; "
    "hair spray; hay; mashed potato; rapeseed; red wine; sunscreen; thatch; toilet tissue; "
    "velvet; wool".split("; ")
)
"""Plurals, and what is not counted, among the things that networks name."""


def a(noun: str) -> str:
    """Write `pear` as `a pear`, `apple` as `an apple`, `hour` as `an hour`, `wool` as it is."""
    word = noun.lower()
    if word in WITHOUT_ARTICLE:
        return noun
    vowel = word.startswith(("a", "e", "i", "o", "u")) and not word.startswith(LIKE_CONSONANTS)
    return f"{'an' if vowel or word.startswith(LIKE_VOWELS) else 'a'} {noun}"


def init_app(app: Flask) -> None:
    """Give `app`'s templates these filters."""
    numbers = (percent, published, points, count, counted, in_words, ordinal, times, duration)
    for function in (*numbers, megabytes, file_size, moment, listed, capital, a):
        app.add_template_filter(function)
