"""What is said of one picture, as a flat row."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from model_training.judging.judge import Judgement

COLUMNS = ("file", "verdict", "label", "probability", "novelty", "resembles", "error", "detail")
"""Those of every table, before the probability of each class."""


@dataclass(frozen=True)
class Row:
    """One picture and what was said of it.

    Args:
        file: its name (`sources.Picture`).
        verdict: "known", "unsure" or "stranger"; None of a picture that was not judged.
        label: the most probable class, whatever the verdict.
        probability: of the label, of a picture of any kind: it falls as the picture grows strange.
        novelty: as in `Judgement`.
        resembles: what else it resembles, where the network knows that.
        probabilities: of each class, of a picture that is of one; in the order of the classes.
        error, detail: why it was not judged: a code for programs, and a sentence.
        stamp: of its file when that was read (`sources.Picture`); no table has it.
    """

    file: str
    verdict: str | None = None
    label: str | None = None
    probability: float | None = None
    novelty: float | None = None
    resembles: str | None = None
    probabilities: tuple[float, ...] | None = None
    error: str | None = None
    detail: str | None = None
    stamp: str | None = None

    @classmethod
    def of(
        cls, file: str, judgement: Judgement, classes: tuple[str, ...], stamp: str | None = None
    ) -> Row:
        """Return the row that says what `judgement` does."""
        shares = judgement.probabilities.tolist()
        share = max(shares)
        familiarity = 1.0 if judgement.familiarity is None else judgement.familiarity
        return cls(
            file,
            judgement.verdict,
            classes[shares.index(share)],
            round(share * familiarity, 6),
            round(judgement.novelty, 6),
            judgement.resembles,
            tuple([round(one, 6) for one in shares]),
            stamp=stamp,
        )

    def flat(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """Return the row as a table has it: a column for each class, `probability:dog`."""
        shares: tuple[float | None, ...] = self.probabilities or (None,) * len(classes)
        row = self._columns()
        return row | {
            f"probability:{name}": share for name, share in zip(classes, shares, strict=True)
        }

    def nested(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """Return the row as JSON lines have it: what is there, `probabilities` by class."""
        row = self._columns()
        if self.probabilities:
            row["probabilities"] = dict(zip(classes, self.probabilities, strict=True))
        return {name: value for name, value in row.items() if value is not None}

    def _columns(self) -> dict[str, Any]:
        row = {name: getattr(self, name) for name in COLUMNS}
        row["file"] = readable(self.file)
        if self.detail:
            row["detail"] = readable(self.detail)
        return row

    def to_json(self) -> str:
        """Return the whole row as one line of JSON, from which `from_json` makes it again."""
        there = {name: value for name, value in vars(self).items() if value is not None}
        return json.dumps(there)  # In ASCII: a file's name may be no Unicode.

    @classmethod
    def from_json(cls, line: str) -> Row:
        """Return the row of a line that `to_json` made.

        Raises:
            ValueError: it is another line.
        """
        try:
            told = json.loads(line)
            if shares := told.get("probabilities"):
                told["probabilities"] = tuple(shares)
            return cls(**told)
        except (AttributeError, TypeError) as error:
            raise ValueError(f"no row: {line[:80]!r}") from error


def readable(name: str) -> str:
    r"""Return the name of a file as text: bytes that are no UTF-8 become `\xff`, in every table.

    No two names become one: a backslash that stands before `x` and two digits becomes `\x5c`.
    """
    told = re.sub(r"\\(?=x[0-9a-f]{2})", r"\\x5c", name) if "\\" in name else name
    return told.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
