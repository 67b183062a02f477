"""Damaged pictures through the site's decoders: `python -m benchmarks.mutated_pictures`

Pictures of every format that is taken are damaged in one to three ways (bits flipped, cut off,
parts left out, repeated or taken from another picture, lengths and sides changed) and opened as the
site opens them: `--count` of them, which `--seed` tells from others.  Each must end as a picture or
as one of the errors that have a name, within 2 seconds of a processor and 400 MB.
"""

from __future__ import annotations

import argparse
import logging
import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from model_training.datasets.pictures import opener
from model_training.datasets.pictures.decoders import Decoder
from tests.mutations import mutated, sound_pictures

MOST_PIXELS = 64_000_000
MOST_SECONDS = 2.0
MOST_MEMORY = 400  # MB
REPORT = 5000  # pictures between two lines about the progress


@dataclass
class Found:
    """What became of the pictures: outcomes by kind, and the worst time and memory of each kind.

    `faults` are errors without a name, and `ended` the pictures that ended a decoder, by number.
    """

    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: dict[str, tuple[float, int]] = field(default_factory=dict)
    megabytes: dict[str, tuple[float, int]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)


def main() -> None:
    """Open them, print a table, and fail where a bar is missed."""
    parser = argparse.ArgumentParser(description="Damaged pictures.")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--decoders", type=int, default=4 * (os.cpu_count() or 1))
    given = parser.parse_args()
    logging.disable()
    begun = time.monotonic()
    found, lock, done = Found(), threading.Lock(), Counter[str]()

    def work(first: int) -> None:
        decoder = Decoder()
        for number in range(first, given.count, given.decoders):
            one(decoder, given.seed, number, found, lock)
            with lock:
                done["all"] += 1
                if done["all"] % REPORT == 0:
                    rate = done["all"] / (time.monotonic() - begun)
                    print(f"{done['all']:,} so far, {rate:.0f} a second", flush=True)
        decoder.close()

    with ThreadPoolExecutor(given.decoders) as pool:
        list(pool.map(work, range(given.decoders)))
    print_table(found)
    minutes = (time.monotonic() - begun) / 60
    print(f"\n{given.count:,} pictures, seed {given.seed}, in {minutes:.0f} minutes")
    slow = max(seconds for seconds, _ in found.seconds.values())
    large = max(megabytes for megabytes, _ in found.megabytes.values())
    for line in (*found.faults, *found.ended):
        print(line)
    if found.faults or found.ended or slow > MOST_SECONDS or large > MOST_MEMORY:
        raise SystemExit("missed")


def one(decoder: Decoder, seed: int, number: int, found: Found, lock: threading.Lock) -> None:
    """Open one damaged picture, and add what became of it to `found`."""
    kind, data = mutated(seed, number)
    if decoder.process_id is None:
        opener.open_photo(sound_pictures()[0][1], max_pixels=MOST_PIXELS, decode=decoder.open)
    process = decoder.process_id
    assert process is not None
    _forget_most_memory(process)
    before, fault = _processor_seconds(process), None
    try:
        photo = opener.open_photo(data, max_pixels=MOST_PIXELS, decode=decoder.open)
        outcome = "opened"
        if photo.image.mode != "RGB" or max(photo.image.size) > opener.WORKING_SIDE:
            fault = f"opened as {photo.image.mode} of {photo.image.size}"
    except opener.PhotoError as error:
        outcome = error.code
    except Exception as error:
        outcome, fault = "fault", repr(error)
    alive = decoder.process_id == process
    took = _processor_seconds(process) - before if alive else MOST_SECONDS
    memory = _most_memory(process) if alive else 0.0
    with lock:
        found.outcomes.setdefault(kind, Counter())[outcome] += 1
        found.seconds[kind] = max(found.seconds.get(kind, (0.0, 0)), (took, number))
        found.megabytes[kind] = max(found.megabytes.get(kind, (0.0, 0)), (memory, number))
        if fault:
            found.faults.append(f"picture {number} ({kind}): {fault}")
        if not alive:
            found.ended.append(f"picture {number} ({kind}) ended its decoder ({outcome})")


def print_table(found: Found) -> None:
    """Print a row for each kind, in Markdown."""
    names = sorted({outcome for counted in found.outcomes.values() for outcome in counted})
    print(f"| format | {' | '.join(names)} | most seconds | most memory |")
    print("| --- |" + " --- |" * (len(names) + 2))
    for kind, counted in sorted(found.outcomes.items()):
        (seconds, slow), (megabytes, large) = found.seconds[kind], found.megabytes[kind]
        numbers = " | ".join(f"{counted[name]:,}" for name in names)
        print(
            f"| {kind} | {numbers} | {seconds:.2f} s (picture {slow}) | "
            f"{megabytes:.0f} MB (picture {large}) |"
        )


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _forget_most_memory(process: int) -> None:
    Path(f"/proc/{process}/clear_refs").write_text("5")


def _most_memory(process: int) -> float:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    return 0.0


if __name__ == "__main__":
    main()
