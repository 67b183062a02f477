"""Is the simulation true? `python -m benchmarks.scaling.check [--seconds 60] [--keep]`

Measures what a photo costs here, sends photos to a real gunicorn at three rates, by chance,
measures the costs once more, and simulates the same photos at the same moments.  Prints both, for
each rate how many were answered a second and what half and 95 of 100 waited, and fails where they
differ by more than 15 %.  Where others use the processor meanwhile, other virtual machines
included, it says how much: above 5 % the figures mean nothing.

A processor whose clock or caches others share is now quicker and now slower, by a quarter within
minutes.  So the rates take turns of a quarter of a minute, and each turn is simulated on a machine
as quick as it was then: as much slower as its photos took more of a processor.  What they waited
goes into nothing.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.crowd import photo
from benchmarks.scaling import costs as measuring
from benchmarks.scaling.costs import (
    TIMES,
    Answering,
    Measured,
    as_slow,
    busy_seconds,
    classify,
    site_seconds,
)
from benchmarks.scaling.crowding import fit_crowding, taken_of
from benchmarks.scaling.simulation import Costs, Outcome, Settings, arrivals, simulate
from benchmarks.scaling.training import TRAINED, measure_drawing
from benchmarks.site import PROJECT, Site, running

LOADS = (0.3, 0.5, 0.7)
"""Of what the machine can answer, by the arithmetic."""
MODELS = ("efficientnet-lite0", "custom-cnn")
"""One that answers each photo for itself, and one that answers them in batches."""
BAR = 0.15
TURNS = 4
DRAWS = 20
"""Simulations of the same moments: what each photo costs is drawn anew, since of one draw of a few
hundred photos the 95th of 100 waits is 10 % more or less by chance."""
QUIET = 0.05


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, load, simulate, compare."""
    parser = argparse.ArgumentParser(description="Compare the simulation with a load test.")
    parser.add_argument("--seconds", type=float, default=60, help="of each rate")
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--keep", action="store_true", help=f"in {measuring.MEASURED.name}")
    asked = parser.parse_args(arguments)
    sent, sites, others, starts = photo(), [], [], []
    for model in asked.models:
        site, other, start = check(model, sent, asked.seconds)
        sites.append(site)
        others.append(other)
        starts.append(start)
    disturbed = max(others)
    if asked.keep:
        Measured(
            machine=measuring.machine(),
            cores=measuring.cores(),
            date=measuring.today(),
            start=round(starts[0], 1),
            photo_bytes=len(sent),
            others=round(disturbed, 3),
            sites=sites,
            drawing={name: round(measure_drawing(name), 8) for name in TRAINED},
        ).write()
    worst = max(row["off"] for site in sites for row in site.rows)
    if disturbed > QUIET:
        raise SystemExit(
            f"Others used up to {disturbed:.0%} of the processor, so this says nothing of the "
            f"simulation (it was off by {worst:.0%} at most). Try again on a quiet machine."
        )
    if worst > BAR:
        raise SystemExit(f"Off by {worst:.0%} at most; the bar is {BAR:.0%}.")
    print(f"\nOff by {worst:.0%} at most: within {BAR:.0%}.")


def check(model: str, sent: bytes, seconds: float) -> tuple[Answering, float, float]:
    """Compare a site that answers by `model` with the simulation; return that, the part of the
    processors that others used, and the seconds until it was ready."""
    settings = Settings(cores=measuring.cores())
    with running(workers=settings.workers, MODELS=model, DEFAULT_MODEL=model) as (site, start):
        bundle = PROJECT / "instance" / "models" / model
        before = measuring.measure_costs(site, sent, bundle)
        capacity = settings.cores / (before.photo + before.client)
        loads = [
            Load(share * capacity, arrivals(share * capacity, seconds, seed=number))
            for number, share in enumerate(LOADS)
        ]
        for times in zip(*(in_turns(load.times, seconds) for load in loads), strict=True):
            for load, some in zip(loads, times, strict=True):
                load.turns.append(load_test(site, sent, some))
        found = measuring.mean_costs([before, measuring.measure_costs(site, sent, bundle)])
    busy = fit_crowding(found, [(load.times, load.photo) for load in loads], settings)
    print_costs(model, busy, settings)
    print_head()
    rows = []
    for load in loads:
        simulated = [outcome for turn in load.turns for outcome in turn.simulated(busy, settings)]
        rows.append(compare(load.rate, [turn.real for turn in load.turns], simulated))
        rows[-1]["photo"] = round(load.photo, 4)
        print_row(rows[-1], load.others)
    return Answering(model, busy, rows), max(load.others for load in loads), start


def in_turns(times: NDArray[np.float64], seconds: float) -> list[NDArray[np.float64]]:
    """Return `times`, all before `seconds`, cut into `TURNS` that begin at 0 each."""
    each = seconds / TURNS
    return [
        times[(times >= each * number) & (times < each * (number + 1))] - each * number
        for number in range(TURNS)
    ]


@dataclass(frozen=True)
class Turn:
    """Photos that were sent within a few seconds, at `times`.

    Args:
        real: what became of them.
        photo: the processor seconds that the site spent on each.
        others: the part of the processors that others used.
    """

    times: NDArray[np.float64]
    real: Outcome
    photo: float
    others: float

    def simulated(self, costs: Costs, settings: Settings) -> list[Outcome]:
        """Return what becomes of the same photos, simulated `DRAWS` times, where a machine of such
        `costs` is as quick as it was then."""
        slow = as_slow(costs, self.photo / taken_of(self.times, costs, settings))
        return [simulate(self.times, slow, settings, seed=seed) for seed in range(DRAWS)]


@dataclass
class Load:
    """So many photos a second, at `times`, and the turns in which they were sent."""

    rate: float
    times: NDArray[np.float64]
    turns: list[Turn] = field(default_factory=list)

    @property
    def photo(self) -> float:
        """Return the processor seconds that the site spent on each photo."""
        spent = sum(turn.photo * len(turn.times) for turn in self.turns)
        return spent / sum(len(turn.times) for turn in self.turns)

    @property
    def others(self) -> float:
        """Return the part of the processors that others used, of the worst turn."""
        return max(turn.others for turn in self.turns)


def load_test(site: Site, photo: bytes, times: NDArray[np.float64]) -> Turn:
    """Send a photo at each of `times` and wait for all answers."""
    outcome, lock, wrong = Outcome(), threading.Lock(), list[str]()
    busy, client, served = busy_seconds(), time.process_time(), site_seconds(site)
    begun = time.perf_counter()

    def visit(number: int, due: float) -> None:
        # From many addresses, as many visitors do.
        source = f"127.0.{1 + number // 200 % 200}.{1 + number % 200}"
        reply = classify(f"http://127.0.0.1:{site.port}", photo, source)
        with lock:
            if reply.status == 200:
                outcome.sent.append(due)
                outcome.seconds.append(reply.seconds)
            elif reply.status == 503:
                outcome.refused.append(due)
            else:
                wrong.append(f"The site answered {reply.status}: {reply.body[:300]!r}")

    threads = []
    for number, due in enumerate(times):
        time.sleep(max(0.0, begun + due - time.perf_counter()))
        threads.append(threading.Thread(target=visit, args=(number, float(due))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    if wrong or not outcome.seconds:
        raise SystemExit(wrong[0] if wrong else "The site answered nobody; it has too much to do.")
    elapsed = time.perf_counter() - begun
    spent = site_seconds(site) - served
    others = (busy_seconds() - busy) - spent - (time.process_time() - client)
    return Turn(times, outcome, spent / len(times), max(0.0, others / elapsed / measuring.cores()))


def compare(rate: float, real: Sequence[Outcome], simulated: Sequence[Outcome]) -> dict[str, float]:
    """Return how both went, all turns and simulations taken together, and how far they are apart
    at most."""
    row = {"rate": rate}
    for name, some in (("real", real), ("simulated", simulated)):
        together = Outcome(seconds=[taken for one in some for taken in one.seconds])
        answered_by = sum(one.answered_by for one in some)
        row[f"{name}_answered"] = len(together.seconds) / answered_by
        row[f"{name}_median"], row[f"{name}_p95"] = together.quantile(0.5), together.quantile(0.95)
    apart = (
        abs(row[f"simulated_{what}"] / row[f"real_{what}"] - 1)
        for what in ("answered", "median", "p95")
    )
    row["off"] = max(apart)
    return {name: round(value, 4) for name, value in row.items()}


def print_costs(model: str, costs: Costs, settings: Settings) -> None:
    """Print what a photo costs, stage by stage."""
    print(f"\n{model}")
    for name, value in asdict(costs).items():
        unit = f"{1000 * value:8.2f} ms" if name in TIMES else f"{value:8.2f}"
        print(f"{name:8} {unit}")
    print(f"a photo  {1000 * costs.photo:8.2f} ms of a processor, {settings.cores} cores\n")


def print_head() -> None:
    """Print the head of the comparison."""
    print(
        "| photos/s | a photo | answered/s | simulated | median | simulated | p95 | simulated "
        "| others |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )


def print_row(row: dict[str, float], others: float) -> None:
    """Print a row of it."""
    cells = [f"{row['rate']:.1f}", f"{1000 * row['photo']:.0f} ms"]
    cells += [f"{row[name]:.1f}" for name in ("real_answered", "simulated_answered")]
    for what in ("median", "p95"):
        cells += [f"{row[f'{name}_{what}']:.3f} s" for name in ("real", "simulated")]
    print(f"| {' | '.join([*cells, f'{others:.0%}'])} |", flush=True)


if __name__ == "__main__":
    main()
