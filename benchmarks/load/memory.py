"""The memory of the processes that this one has started, and of those that they have started."""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """How many processes there are, and the MB that are theirs alone (`private`) or in all.

    `kinds` has the MB of each process alone, the largest first, by what it is: gunicorn's first
    process (`server`), a `worker`, or a `decoder`.
    """

    processes: int
    private: float
    resident: float
    kinds: dict[str, list[float]] = field(default_factory=dict)

    def of(self, kind: str) -> str:
        """Return the MB of the processes of one kind, such as `512 + 498`."""
        return " + ".join(f"{one:.0f}" for one in self.kinds.get(kind, [])) or "none"


def memory_below(process: int | None = None) -> Memory:
    """Return the memory of all processes below `process` (of this one, if it is None)."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                children[int(parent)].append(int(entry.name))
    found, left = [], [process or os.getpid()]
    while left:
        below = children[left.pop()]
        found += below
        left += below
    private, resident = 0.0, 0.0
    kinds: dict[str, list[float]] = defaultdict(list)
    for one in found:
        with suppress(OSError):
            kind = _kind(one, bool(children[one]))
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()[1:]
            sizes = {line.split()[0]: int(line.split()[1]) / 1000 for line in rollup}
            # What the server imported before it forked its workers, they share.
            own = sizes["Anonymous:"] - sizes["Shared_Dirty:"]
            private += own
            resident += sizes["Rss:"]
            kinds[kind].append(own)
    by_size = {kind: sorted(sizes, reverse=True) for kind, sizes in kinds.items()}
    return Memory(len(found), private, resident, by_size)


def _kind(process: int, is_parent: bool) -> str:
    if b"decoder_process" in Path(f"/proc/{process}/cmdline").read_bytes():
        return "decoder"
    # The first process of gunicorn is the only one that is not a child of another of its kind.
    stat = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    above = Path(f"/proc/{stat[1]}/cmdline").read_bytes()
    return "worker" if b"gunicorn" in above else "server" if is_parent else "other"
