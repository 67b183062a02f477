"""Machines that are added and taken away as photos come: a rule like Kubernetes' own, simulated."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import numpy as np
import simpy

from benchmarks.scaling.simulation import Costs, Machine, Outcome, Settings, visit


@dataclass(frozen=True)
class Rule:
    """When machines are added, as `HorizontalPodAutoscaler` does by default.

    Args:
        target: of the processors of all machines, the part that is to be in use.
        every: seconds between two looks.
        start: seconds until a new machine answers.
        calm: seconds for which fewer must be enough before any is taken away.
        tolerance: how far from the target nothing is done.
    """

    target: float = 0.7
    every: float = 15.0
    start: float = 60.0
    calm: float = 300.0
    tolerance: float = 0.1
    least: int = 1
    most: int = 1000


@dataclass
class Run(Outcome):
    """What became of the requests, and the machines there were: (time, count) at each look."""

    machines: list[tuple[float, int]] = field(default_factory=list)


def simulate_scaling(
    rate: Callable[[float], float],
    peak: float,
    seconds: float,
    costs: Costs,
    settings: Settings,
    rule: Rule,
    *,
    seed: int = 0,
) -> Run:
    """Return what becomes of photos that come `rate(time)` a second, on as many machines as `rule`
    decides.

    Args:
        peak: the most that `rate` gives.
        seconds: how long photos come.
    """
    env, run, rng = simpy.Environment(), Run(), random.Random(seed)
    draw = np.random.default_rng(seed)
    machines = [Machine(env, costs, settings) for _ in range(rule.least)]
    starting = 0

    def photos() -> Generator[simpy.Event, None, None]:
        while env.now < seconds:
            yield env.timeout(draw.exponential(1 / peak))
            # Of those at the greatest rate, as many are kept as come by now.
            if draw.random() < rate(env.now) / peak:
                env.process(visit(env, machines, costs, run, rng))

    def start() -> Generator[simpy.Event, None, None]:
        nonlocal starting
        starting += 1
        yield env.timeout(rule.start)
        starting -= 1
        machines.append(Machine(env, costs, settings))

    def look() -> Generator[simpy.Event, None, None]:
        wanted_lately: list[tuple[float, int]] = []
        before: dict[int, float] = {}
        while env.now < seconds:
            run.machines.append((env.now, len(machines)))
            yield env.timeout(rule.every)
            used = [one.cores.used - before.get(id(one), 0.0) for one in machines]
            before = {id(one): one.cores.used for one in machines}
            in_use = sum(used) / (len(machines) * settings.cores * rule.every)
            count = len(machines) + starting
            off = abs(in_use / rule.target - 1)
            wanted = math.ceil(len(machines) * in_use / rule.target)
            wanted = count if off <= rule.tolerance else wanted
            wanted = max(rule.least, min(rule.most, wanted))
            for _ in range(wanted - count):
                env.process(start())
            wanted_lately = [one for one in wanted_lately if one[0] > env.now - rule.calm]
            wanted_lately.append((env.now, wanted))
            enough = max(one for _, one in wanted_lately)
            if env.now >= rule.calm and enough < count:
                # What is taken away answers what it has; nothing new is sent to it.
                del machines[max(rule.least, enough) :]

    env.process(photos())
    env.process(look())
    env.run()
    return run
