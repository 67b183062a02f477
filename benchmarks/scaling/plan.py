"""The tables of docs/scaling.md: `python -m benchmarks.scaling.plan [--write]`

What is measured comes from `measured.json`, which `python -m benchmarks.scaling.check --keep`
writes; all else is calculated from that and from the assumptions here, each of which the page
states.  `--write` puts the tables into the page.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.scaling import costs as measuring
from benchmarks.scaling.autoscaling import Rule, simulate_scaling
from benchmarks.scaling.check import BAR, QUIET
from benchmarks.scaling.costs import Measured
from benchmarks.scaling.simulation import Costs, Settings, arrivals, simulate
from benchmarks.scaling.training import (
    TRAINED,
    Link,
    Network,
    card_of,
    multiplications,
    networks_here,
)

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "scaling.md"
IN_USE = 0.7
"""Of the processors, so that a surge does not wait."""
CORES_OF_A_LARGE_MACHINE = 64
CORE_HOUR, GPU_HOUR = 0.04, 3.00  # dollars
GPU_FLOPS = 50e12
"""That a GPU reaches on these networks, in mixed precision: an assumption."""
ASKED_FLOPS = GPU_FLOPS / 10
"""That a GPU reaches where it answers by a network of depthwise convolutions, which move more data
than they compute: an assumption."""
SHORTEST_STEP = 0.003  # seconds: some hundred kernels, each begun by a processor: an assumption
INSIDE, BETWEEN = Link("inside a machine", 200e9), Link("between machines", 12.5e9)
"""NVLink of one direction that collectives reach, and 100 Gbit/s for each GPU: assumptions."""
GPUS_OF_A_MACHINE = 8
RATES = (10, 1_000, 100_000)
PIXEL_BYTES = 3
"""Of a pixel that a model server is sent, whose networks take whole numbers from 0 to 255."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, or write them into the page."""
    parser = argparse.ArgumentParser(description="The tables of docs/scaling.md.")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args(arguments)
    measured = measuring.read()
    page = PAGE.read_text("utf-8")
    for name, table in TABLES.items():
        made = table(measured)
        if asked.write:
            page = put(page, name, made)
        else:
            print(f"## {name}\n\n{made}\n")
    if asked.write:
        PAGE.write_text(page, "utf-8")


def put(page: str, name: str, table: str) -> str:
    """Return `page` with `table` between the marks called `name`."""
    pattern = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.S)
    changed, count = pattern.subn(lambda found: f"{found[1]}{table}\n{found[2]}", page)
    assert count == 1, f"{PAGE.name} has no place for the table {name!r}"
    return changed


def photo(measured: Measured) -> str:
    """Return what a photo costs, stage by stage."""
    stages: dict[str, Callable[[Costs], float]] = {
        "decoding, in a process of its own": lambda one: one.decode,
        "the network, asked about one photo": lambda one: one.batch + one.views * one.image,
        "all else: receiving, judging, answering": lambda one: one.rest,
        "**a photo**": lambda one: one.photo,
        "a photo where every batch is full": lambda one: one.at_best(Settings().most),
    }
    rows = [
        [name, *(f"{1000 * stage(site.costs):.1f} ms" for site in measured.sites)]
        for name, stage in stages.items()
    ]
    rows.insert(1, ["views of a photo", *(f"{site.costs.views}" for site in measured.sites)])
    return table(["processor time", *(f"`{site.model}`" for site in measured.sites)], rows)


def checked(measured: Measured) -> str:
    """Return the comparison of the simulation with the load test."""
    heads = ["model", "photos a second", "a photo", "answered a second", "half waited"]
    heads += ["95 of 100 waited", "off by"]
    rows = [
        [
            f"`{site.model}`",
            f"{row['rate']:.1f}",
            f"{1000 * row['photo']:.0f} ms",
            f"{row['real_answered']:.1f}, {row['simulated_answered']:.1f}",
            f"{row['real_median']:.3f}, {row['simulated_median']:.3f} s",
            f"{row['real_p95']:.3f}, {row['simulated_p95']:.3f} s",
            f"{row['off']:.0%}",
        ]
        for site in measured.sites
        for row in site.rows
    ]
    return table(heads, rows)


def conditions(measured: Measured) -> str:
    """Return where and when that was measured, and whether it says anything."""
    worst = max(row["off"] for site in measured.sites for row in site.rows)
    said = (
        f"On {measured.date}, {measured.cores} cores ({measured.machine}). Others used up to "
        f"{measured.others:.0%} of the processor meanwhile. "
    )
    if measured.others > QUIET:
        said += f"**That is more than {QUIET:.0%}, so this comparison says nothing yet** "
        return said + f"(off by {worst:.0%} at most): it is to be repeated on a quiet machine."
    outcome = "reached" if worst <= BAR else "**missed**"
    return said + f"Off by {worst:.0%} at most; the bar of {BAR:.0%} is {outcome}."


def loads(measured: Measured) -> str:
    """Return what photos wait on one machine like this, by how much of it is in use."""
    costs, settings = _alone(measured.costs), Settings(cores=measured.cores)
    capacity, rows = settings.cores / costs.photo, []
    for load in (0.3, 0.5, 0.7, 0.9, 1.2):
        times = arrivals(load * capacity, 60, seed=1)
        found = simulate(times, costs, settings)
        rows.append(
            [
                f"{load:.0%}",
                f"{load * capacity:.1f}",
                f"{found.quantile(0.5):.2f} s",
                f"{found.quantile(0.95):.2f} s",
                f"{len(found.refused) / len(times):.1%}",
            ]
        )
    return table(["load", "photos a second", "half wait", "95 of 100 wait", "refused"], rows)


def rates(measured: Measured) -> str:
    """Return the machines for so many photos a second."""
    costs, rows = measured.costs, []
    for rate in RATES:
        cores = rate * costs.photo / IN_USE
        rows.append(
            [
                f"{rate:,}",
                f"{rate:,} × {1000 * costs.photo:.0f} ms ÷ {IN_USE} = {_round(cores)}",
                f"{math.ceil(cores / CORES_OF_A_LARGE_MACHINE):,}",
                f"{_bits(rate * measured.photo_bytes)}",
                f"${CORE_HOUR * cores:,.2f}",
            ]
        )
    heads = ["photos a second", "cores", "machines of 64", "photos in", "an hour"]
    return table(heads, rows)


def engines(measured: Measured) -> str:
    """Return what the same photos take where a model server runs the networks on GPUs."""
    costs, card, rows = measured.costs, card_of(measured.sites[0].model), []
    each = 2 * multiplications(card) * costs.views / ASKED_FLOPS
    asked = costs.batch + costs.views * costs.image
    for rate in (RATES[0], _worth_a_gpu(asked), *RATES[1:]):
        cores = rate * (costs.photo - asked) / IN_USE
        count = math.ceil(rate * each / IN_USE)
        alone = CORE_HOUR * rate * costs.photo / IN_USE
        rows.append(
            [
                f"{rate:,}",
                f"${alone:,.2f}",
                f"{rate:,} × {1000 * (costs.photo - asked):.0f} ms ÷ {IN_USE} = {_round(cores)}",
                f"{rate:,} × {1000 * each:.2f} ms ÷ {IN_USE} = {count:,}",
                _bits(rate * costs.views * card.input_size**2 * PIXEL_BYTES),
                f"${CORE_HOUR * cores + GPU_HOUR * count:,.2f}",
            ]
        )
    heads = ["photos a second", "an hour, processors alone", "cores", "GPUs", "pixels to the GPUs"]
    return table([*heads, "an hour"], rows)


def _worth_a_gpu(asked: float) -> int:
    """Return the photos a second from which on one GPU is cheaper than the cores that it saves."""
    return math.ceil(GPU_HOUR / (CORE_HOUR * asked / IN_USE))


def surge(measured: Measured) -> str:
    """Return what happens when photos become ten times as many at once."""
    costs, settings = _alone(measured.costs), Settings(cores=measured.cores)
    one = settings.cores / costs.photo
    low, high, at, rows = 0.7 * one, 7 * one, 60.0, []
    for target in (0.7, 0.5):
        for start in (round(measured.start), 60 + round(measured.start)):
            rule = Rule(target=target, start=start, least=math.ceil(low / one / target))
            run = simulate_scaling(
                lambda time: low if time < at else high, high, 420.0, costs, settings, rule
            )
            after = [time for time in run.refused if time >= at]
            calm = [time for time in run.refused if time > 360]
            enough = next((t - at for t, n in run.machines if n * one * 0.9 >= high), math.nan)
            coming = high * 360
            rows.append(
                [
                    f"{target:.0%}",
                    f"{start} s",
                    f"{rule.least}",
                    "later" if math.isnan(enough) else f"{enough:.0f} s",
                    f"{len(after) / coming:.0%}",
                    f"{len(calm) / (high * 60):.0%}",
                    f"{run.machines[-1][1]}",
                ]
            )
    heads = ["target", "a machine starts in", "machines before", "enough after"]
    heads += ["refused in six minutes", "refused in the last", "machines at the end"]
    return table(heads, rows)


def million(measured: Measured) -> str:
    """Return what a million photos cost."""
    costs = measured.costs
    full = costs.at_best(Settings().most)
    ways = (
        ("the site, one photo a request", costs.photo, IN_USE),
        ("`flask classify`: decoding and the network, without judging", full - costs.rest, 1.0),
    )
    rows = []
    for name, seconds, used in ways:
        hours = 1e6 * seconds / 3600 / used
        rows.append(
            [name, f"10⁶ × {1000 * seconds:.1f} ms ÷ {used:g}", f"{hours:.1f}"]
            + [f"${hours * CORE_HOUR:.2f}"]
        )
    return table(["way", "processor time", "core-hours", f"at ${CORE_HOUR} each"], rows)


def gpus(measured: Measured) -> str:
    """Return what a step takes on so many GPUs."""
    rows = []
    for network in networks_here(TRAINED):
        each = measured.drawing[network.name]
        one = _step(network, 1, each)
        for count in (1, 8, 64):
            step, share = _step(network, count, each), network.batch // count
            rows.append(
                [
                    network.name if count == 1 else "",
                    f"{count}",
                    f"{share} × {1e6 * each:.1f} µs = {1000 * share * each:.2f} ms",
                    f"{1000 * network.compute(network.batch / count, GPU_FLOPS):.2f} ms",
                    f"{1000 * _told(network, count):.2f} ms",
                    f"{1000 * step:.1f} ms",
                    f"{one / step:.1f}×",
                    f"{network.epochs * network.images * step / network.batch:.0f} s",
                ]
            )
    heads = ["network", "GPUs", "drawing", "computing", "communication", "a step", "faster"]
    return table([*heads, "training"], rows)


def wide(measured: Measured) -> str:
    """Return the images a second of 64 GPUs of which each keeps a recipe's batch for itself."""
    rows = []
    for network in networks_here(TRAINED):
        own = network.compute(network.batch, GPU_FLOPS)
        drawn = network.batch * measured.drawing[network.name]
        step = drawn + max(own, SHORTEST_STEP) + _told(network, 64)
        rows.append(
            [
                network.name,
                f"{network.flops / 1e9:.2f}",
                f"{4 * network.parameters / 1e6:.1f} MB",
                f"{64 * network.batch:,}",
                f"{1000 * step:.1f} ms",
                f"{own / step:.0%}",
                f"{drawn / step:.0%}",
                f"{64 * network.batch / step:,.0f}",
            ]
        )
    heads = ["network", "GFLOP an image", "gradients", "batch", "a step", "of it computing"]
    return table([*heads, "drawing", "images a second"], rows)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


TABLES: dict[str, Callable[[Measured], str]] = {
    "photo": photo,
    "checked": checked,
    "conditions": conditions,
    "loads": loads,
    "rates": rates,
    "engines": engines,
    "surge": surge,
    "million": million,
    "gpus": gpus,
    "wide": wide,
}


def _step(network: Network, count: int, drawing: float) -> float:
    """Return the seconds of a step on `count` GPUs; nothing in it overlaps.

    Args:
        drawing: the seconds in which an image is drawn and augmented.
    """
    share = network.batch / count
    computing = max(network.compute(share, GPU_FLOPS), SHORTEST_STEP)
    return share * drawing + computing + _told(network, count)


def _told(network: Network, count: int) -> float:
    """Return the seconds in which `count` GPUs add up their gradients."""
    inside = min(count, GPUS_OF_A_MACHINE)
    return network.told(inside, INSIDE) + network.told(
        count // inside, BETWEEN, divided_among=inside
    )


def _alone(costs: Costs) -> Costs:
    """Return the costs where clients are elsewhere."""
    return Costs(**vars(costs) | {"client": 0.0})


def _round(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"


def _bits(each_second: float) -> str:
    bits = 8 * each_second
    return f"{bits / 1e9:,.1f} Gbit/s" if bits >= 1e9 else f"{bits / 1e6:.0f} Mbit/s"


if __name__ == "__main__":
    main()
