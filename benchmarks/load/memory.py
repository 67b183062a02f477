"""The memory of the processes that this one has started, and of those that they have started."""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """How many processes there are, and the MB that are theirs alone (`private`) or in all."""

    processes: int
    private: float
    resident: float


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
    for one in found:
        with suppress(OSError):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()[1:]:
                name, kilobytes = line.split()[:2]
                private += int(kilobytes) / 1000 * (name == "Anonymous:")
                resident += int(kilobytes) / 1000 * (name == "Rss:")
    return Memory(len(found), private, resident)
