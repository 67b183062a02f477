"""What a run is told beside its settings, and what of it goes on with a run that is resumed."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from model_training.training.checkpoint import State


@dataclass(frozen=True)
class Asked:
    """What a run is told when it begins; its state keeps it, so that nobody has to tell it again.

    `command` is what began it, for the card; after `minutes` no new epoch begins; with `replace` it
    may replace the bundle that is there; `report_only` leaves the network out of its own;
    `deterministic` is whether the backend's deterministic mode was on.
    """

    command: str = ""
    minutes: float | None = None
    replace: bool = False
    report_only: bool = False
    deterministic: bool = False

    def begun(self, state: State) -> State:
        """Return `state`, that of a run which begins, with all of this."""
        return replace(state, **vars(self))

    def added_to(self, state: State) -> State:
        """Return `state`, that of a run which goes on, with what is told only now.

        Its command becomes one that gives what the whole run gives: minutes that are told when
        nothing is left to learn are in none.
        """
        command, minutes = state.command, state.minutes
        learns = not state.is_trained and state.stopped != "time"
        if learns and self.minutes not in (None, minutes):
            minutes = self.minutes
            told = re.sub(r" --minutes \S+", "", command)
            command = f"{told} --minutes {minutes:g}"
        if self.report_only and "--report-only" not in command.split():
            command = f"{command} --report-only"
        return replace(
            state,
            command=command,
            minutes=minutes,
            replace=state.replace or self.replace,
            report_only=state.report_only or self.report_only,
        )


ASKED_NOTHING = Asked()
