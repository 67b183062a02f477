"""A discrete-event simulation of the site: its cores, decoders, turns and batches (SimPy).

Every stage is so much processor time, and the cores of a machine are shared evenly among all that
is to be computed.  What waits, and why, then follows: admission, decoders and turns
as in `webapp.limits`, batches as in `webapp.serving.batching`.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from model_training.datasets.pictures.decoders import NICE

Steps = Generator[simpy.Event, Any, Any]
Tasks = list[tuple[float, int, simpy.Event]]
GIVING_WAY = 1.25**-NICE
"""What Linux gives a decoder for what it gives another process."""
REST = 0.2
"""Seconds that a machine rests before each photo that is to come alone, to measure it."""
SWITCH = 0.005
"""Seconds after which Python lets another thread of a process go on, by default."""


@dataclass(frozen=True)
class Costs:
    """What one photo costs, in seconds of a processor where every core has something to do.

    Args:
        decode: opening the picture, in a process of its own.
        rest: receiving it, judging and answering, in Python: one thread of a worker at a time.
        batch: a call of the network, whatever it is asked about.
        image: each image of such a call.
        views: the images of a photo.
        together: whether photos that come meanwhile share a call.
        spread: how much of a call several cores can share, from 0 to 1.
        client: sending the photo and reading the answer, where the client is on this machine.
        waking: how much longer a photo takes that finds the machine idle for `REST` seconds, and in
            proportion after less: its cores sleep, its caches hold something else.  Nobody else
            waits for that.
        variation: by how much photos differ, of the same size: the standard deviation of the
            logarithm of what each costs.
        crowding: how many times as quick a core is while no other has anything to do: two cores
            may be two threads of one, and share caches.
    """

    decode: float
    rest: float
    batch: float
    image: float
    views: int
    spread: float
    together: bool = True
    client: float = 0.0
    waking: float = 0.0
    variation: float = 0.0
    crowding: float = 1.0

    @property
    def photo(self) -> float:
        """Return what a photo costs that is asked about alone, without its client."""
        return self.decode + self.rest + self.batch + self.views * self.image

    def drawn(self, rng: random.Random) -> float:
        """Return how many times the mean one photo costs, by chance: log-normal, of mean 1."""
        return rng.lognormvariate(-(self.variation**2) / 2, self.variation)

    def at_best(self, most: int) -> float:
        """Return what a photo costs where every batch holds `most` images."""
        if not self.together:
            return self.photo
        calls = self.views / most
        return self.decode + self.rest + calls * self.batch + self.views * self.image


@dataclass(frozen=True)
class Settings:
    """The settings of a machine's site, as the site has them by default."""

    cores: int = 2
    workers: int = 2
    admitted: int = 10
    at_work: int = 3
    decoders: int = 2
    asked: int = 3
    most: int = 16
    seconds: float = 20.0


@dataclass
class Outcome:
    """What became of the requests: the seconds that answers took, by when they were sent, how
    many were refused, and the processor seconds of all."""

    sent: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    used: float = 0.0

    def quantile(self, share: float) -> float:
        """Return the seconds within which `share` of the answers came."""
        return float(np.quantile(self.seconds, share)) if self.seconds else float("nan")

    @property
    def answered_by(self) -> float:
        """Return when the last answer had come."""
        return max((s + t for s, t in zip(self.sent, self.seconds, strict=True)), default=0.0)


class Cores:
    """The cores of a machine, shared among all that computes as Linux' scheduler does where its
    slices are short: evenly, but for those that give way, and nothing uses more than one.

    Where not all of them compute they are up to `crowding` times as quick.
    """

    def __init__(self, env: simpy.Environment, count: int, crowding: float = 1.0) -> None:
        self._env, self.count, self._crowding = env, count, crowding
        # Of those that do not give way, and of those that do: how far a task has come that has been
        # there from the beginning. Others are as far behind for ever as when they came.
        self._come = [0.0, 0.0]
        self._tasks: tuple[Tasks, Tasks] = ([], [])
        self._last = self._used = 0.0
        self._worked = -math.inf
        self._numbers = itertools.count()
        self._plans = 0

    @property
    def used(self) -> float:
        """Return the processor seconds that were used until now."""
        self._advance()
        return self._used

    @property
    def rested(self) -> float:
        """Return for how many seconds nothing has been computed; at the beginning, for ever."""
        if any(self._tasks):
            return 0.0
        return self._env.now - self._worked

    def compute(self, seconds: float, *, gives_way: bool = False) -> Steps:
        """Compute for `seconds` of a processor."""
        if seconds <= 0:
            return
        self._advance()
        over = self._env.event()
        task = (self._come[gives_way] + seconds, next(self._numbers), over)
        heapq.heappush(self._tasks[gives_way], task)
        self._plan()
        yield over

    def compute_shared(self, seconds: float, spread: float) -> Steps:
        """Compute for `seconds`, of which the part `spread` is divided among the cores."""
        yield from self.compute(seconds * (1 - spread))
        if spread > 0:
            part = seconds * spread / self.count
            yield simpy.AllOf(
                self._env,
                [self._env.process(self.compute(part)) for _ in range(self.count)],
            )

    def _speeds(self) -> tuple[float, float]:
        """Return how much of a core each task has, of either kind."""
        numbers = [len(tasks) for tasks in self._tasks]
        weights = numbers[0] + numbers[1] * GIVING_WAY
        if not weights:
            return 0.0, 0.0
        share = min(1.0, self.count / weights)
        rest = max(0.0, self.count - numbers[0] * share)
        return share, min(1.0, rest / numbers[1]) if numbers[1] else 0.0

    def _pace(self) -> float:
        """Return how many times as quick a core is as where all compute."""
        resting = max(0, self.count - sum(map(len, self._tasks)))
        return 1 + (self._crowding - 1) * resting / max(1, self.count - 1)

    def _advance(self) -> None:
        elapsed, self._last = self._env.now - self._last, self._env.now
        pace = self._pace()
        for kind, speed in enumerate(self._speeds()):
            self._come[kind] += elapsed * speed * pace
            self._used += elapsed * speed * len(self._tasks[kind])

    def _plan(self) -> None:
        """Wake up when the next task is over, if nothing changes before."""
        self._plans += 1
        pace = self._pace()
        left = [
            max(0.0, tasks[0][0] - come) / (speed * pace)
            for tasks, come, speed in zip(self._tasks, self._come, self._speeds(), strict=True)
            if tasks
        ]
        if left:
            plan = self._plans
            self._env.timeout(min(left)).callbacks.append(lambda _event: self._wake(plan))

    def _wake(self, plan: int) -> None:
        if plan != self._plans:
            return
        self._advance()
        for tasks, come in zip(self._tasks, self._come, strict=True):
            while tasks and tasks[0][0] <= come + 1e-9:
                heapq.heappop(tasks)[2].succeed()
                self._worked = self._env.now
        self._plan()


class Worker:
    """One process of the site: what it admits, its decoders, its turns, and its batches."""

    def __init__(
        self, env: simpy.Environment, cores: Cores, costs: Costs, settings: Settings
    ) -> None:
        self._env, self._cores, self._costs, self._settings = env, cores, costs, settings
        self.admitted = 0
        self._decoders = simpy.Resource(env, settings.decoders)
        self._turns = simpy.Resource(env, settings.at_work)
        self._python = simpy.Resource(env, 1)
        self._free = settings.asked
        self._waiting: list[simpy.Event] = []

    def answer(self, factor: float = 1.0) -> Steps:
        """Answer a photo that costs `factor` times what others do; the value is whether it was."""
        if self.admitted >= self._settings.admitted:
            return False
        self.admitted += 1
        try:
            deadline = self._env.now + self._settings.seconds
            yield from self._in_python(factor * self._costs.rest / 2)
            with self._decoders.request() as decoder:
                yield decoder | self._env.timeout(max(0.0, deadline - self._env.now))
                if not decoder.triggered:
                    return False
                yield from self._cores.compute(factor * self._costs.decode, gives_way=True)
            with self._turns.request() as turn:
                yield turn | self._env.timeout(max(0.0, deadline - self._env.now))
                if not turn.triggered:
                    return False
                yield from self._ask_network(factor)
                yield from self._in_python(factor * self._costs.rest / 2)
            return True
        finally:
            self.admitted -= 1

    def _in_python(self, seconds: float) -> Steps:
        """Compute what one thread at a time may; another is let in after each slice."""
        while seconds > 0:
            part = min(seconds, SWITCH)
            with self._python.request() as lock:
                yield lock
                yield from self._cores.compute(part)
            seconds -= part

    def _ask_network(self, factor: float) -> Steps:
        """As `MicroBatching`: alone where few calls run, else with all that came meanwhile."""
        batch: list[simpy.Event] = []
        if self._costs.together and not self._free:
            mine = self._env.event()
            self._waiting.append(mine)
            if not (yield mine):  # Another has asked about this one, too.
                return
            room = self._settings.most // self._costs.views - 1
            batch, self._waiting = self._waiting[:room], self._waiting[room:]
        elif self._costs.together:  # Where nobody shares a call, nobody waits for one.
            self._free -= 1
        images = (1 + len(batch)) * self._costs.views
        seconds = factor * (self._costs.batch + images * self._costs.image)
        yield from self._cores.compute_shared(seconds, self._costs.spread)
        for other in batch:
            other.succeed(False)
        if self._waiting:
            self._waiting.pop(0).succeed(True)
        else:
            self._free += 1


class Machine:
    """A machine that runs the site."""

    def __init__(self, env: simpy.Environment, costs: Costs, settings: Settings) -> None:
        self.cores = Cores(env, settings.cores, costs.crowding)
        self.workers = [Worker(env, self.cores, costs, settings) for _ in range(settings.workers)]

    @property
    def admitted(self) -> int:
        """Return how many requests it has."""
        return sum(worker.admitted for worker in self.workers)


def arrivals(rate: float, seconds: float, seed: int) -> NDArray[np.float64]:
    """Return the times within `seconds` at which photos come by chance, `rate` a second."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(1 / rate, int(rate * seconds * 2 + 50)))
    return times[times < seconds]


def simulate(
    times: Iterable[float],
    costs: Costs,
    settings: Settings,
    *,
    seed: int = 0,
) -> Outcome:
    """Return what becomes of photos that are sent to one machine at `times`, in seconds."""
    env, outcome = simpy.Environment(), Outcome()
    machine, rng = Machine(env, costs, settings), random.Random(seed)
    for time in times:
        env.process(_visit(env, time, [machine], costs, outcome, rng))
    env.run()
    outcome.used = machine.cores.used
    return outcome


def _visit(
    env: simpy.Environment,
    time: float,
    machines: Sequence[Machine],
    costs: Costs,
    outcome: Outcome,
    rng: random.Random,
) -> Steps:
    yield env.timeout(time)
    yield from visit(env, machines, costs, outcome, rng)


def visit(
    env: simpy.Environment,
    machines: Sequence[Machine],
    costs: Costs,
    outcome: Outcome,
    rng: random.Random,
) -> Steps:
    """Send a photo to whichever machine, and then worker, has fewest; by chance among equals."""
    sent = env.now
    factor = costs.drawn(rng)
    machine = min(machines, key=lambda one: (one.admitted, rng.random()))
    if costs.waking and not machine.admitted:
        yield env.timeout(costs.waking * min(1.0, machine.cores.rested / REST))
    if costs.client:
        yield from machine.cores.compute(factor * costs.client)
    worker = min(machine.workers, key=lambda one: (one.admitted, rng.random()))
    if (yield from worker.answer(factor)):
        outcome.sent.append(sent)
        outcome.seconds.append(env.now - sent)
    else:
        outcome.refused.append(sent)
