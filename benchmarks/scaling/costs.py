"""What a photo costs the site, in processor time: measured at a real gunicorn, and by asking the
network itself.  Processor time is longer where others use the caches, but does not count waiting.
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from statistics import NormalDist

import numpy as np

from benchmarks.load.clients import Reply, ask, form
from benchmarks.scaling.simulation import REST, Costs, Settings, simulate
from benchmarks.site import Site

MEASURED = Path(__file__).with_name("measured.json")
_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
IDLE = 5.0  # seconds for which nobody asks
SIZES = (1, 2, 4, 8, 16)
TIMES = ("decode", "rest", "batch", "image", "client", "waking")
"""Those of the `Costs` that are seconds."""


@dataclass(frozen=True)
class Answering:
    """What a photo costs a site that answers by `model`, and the comparison with the simulation."""

    model: str
    costs: Costs
    rows: list[dict[str, float]]


@dataclass(frozen=True)
class Measured:
    """What was measured, where and when.

    Args:
        start: seconds until the site was ready.
        photo_bytes: the size of the photo.
        others: the part of the machine's processors that others used meanwhile.
        sites: by model; the first is what the tables are made for.
        drawing: seconds in which a process draws and augments an image, by recipe.
    """

    machine: str
    cores: int
    date: str
    start: float
    photo_bytes: int
    others: float
    sites: list[Answering]
    drawing: dict[str, float]

    @property
    def costs(self) -> Costs:
        """Return what a photo costs the first of the sites."""
        return self.sites[0].costs

    def write(self, path: Path = MEASURED) -> None:
        """Keep it for the simulation and the tables."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")


def read(path: Path = MEASURED) -> Measured:
    """Return what was measured last."""
    told = json.loads(path.read_text("utf-8"))
    sites = [Answering(**one | {"costs": Costs(**one["costs"])}) for one in told["sites"]]
    return Measured(**told | {"sites": sites})


def classify(address: str, photo: bytes, source: str = "127.0.0.1") -> Reply:
    """Send `photo` as a program does."""
    body, headers = form(photo)
    return ask(address, "POST", "/api/classify", body, headers, source=source)


def measure_costs(site: Site, photo: bytes, model: Path, count: int = 80) -> Costs:
    """Return what `photo` costs the running `site`, which answers by `model` by default.

    As many clients as there are cores send it again and again: a machine that rests in between
    spends more on each photo, and a busy one is what the arithmetic is for.  What a photo takes
    that comes alone is measured too, and what it takes longer than its computing is `waking`.
    """
    address = f"http://127.0.0.1:{site.port}"

    def sent(number: int) -> Reply:
        return classify(address, photo, f"127.0.3.{1 + number % cores()}")

    def send(number: int) -> float:
        return _answered(sent(number))

    def rested(number: int) -> float:
        time.sleep(REST)
        return send(number)

    # Decoders start, functions are traced; until then a worker may have too much to do.
    with ThreadPoolExecutor(4 * cores()) as clients:
        list(clients.map(sent, range(8 * cores())))
    workers = site.workers()
    theirs, decoders = [site.server, *workers], _below(workers)
    time.sleep(IDLE)  # What they begin with goes on for a while.
    before, begun = sum(map(_spent, theirs)), time.perf_counter()
    time.sleep(IDLE)
    idle = (sum(map(_spent, theirs)) - before) / (time.perf_counter() - begun)
    lone = [rested(number) for number in range(count // 2)]
    alone = statistics.median(lone)
    before, decoded = sum(map(_spent, theirs)), sum(map(_spent, decoders))
    begun, own = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(cores()) as clients:
        list(clients.map(send, range(count)))
    client = (time.process_time() - own) / count
    # What a worker does while nobody asks is not what a photo costs.
    waited = idle * (time.perf_counter() - begun)
    each = (sum(map(_spent, theirs)) - before - waited) / count
    decode = (sum(map(_spent, decoders)) - decoded) / count
    print(f"\nWhile nobody asks, the site uses {idle:.1%} of a processor.")
    print(f"Half of the photos that come alone are answered within {1000 * alone:.0f} ms.")
    lower, _, upper = statistics.quantiles(lone, n=4)
    network, views, spread, together = measure_network(model)
    image, batch = (float(value) for value in np.polyfit(SIZES, network, 1, w=1 / np.array(SIZES)))
    batch = max(0.0, batch)
    costs = Costs(
        decode=round(decode, 5),
        rest=round(max(0.0, each - batch - views * image), 5),
        batch=round(batch, 5),
        image=round(image, 5),
        views=views,
        spread=round(spread, 3),
        together=together,
        client=round(client, 5),
        # Of a normal distribution with these quartiles: one that waited for long does not count.
        variation=round(math.log(upper / lower) / (2 * NormalDist().inv_cdf(0.75)), 4),
    )
    return replace(costs, waking=round(max(0.0, alone - _computing(costs)), 5))


def mean_costs(measured: Sequence[Costs]) -> Costs:
    """Return the mean of what was `measured` of one site at different times."""
    fields = [asdict(costs) for costs in measured]
    means = {
        name: round(statistics.fmean(one[name] for one in fields), 5)
        for name, value in fields[0].items()
        if isinstance(value, float)
    }
    return Costs(**fields[0] | means)


def as_busy(costs: Costs, photo: float, crowding: float = 1.0) -> Costs:
    """Return `costs` of a machine on which a photo costs `photo` seconds without its client, and
    one that comes alone takes as long."""
    times = photo / costs.photo
    parts = {name: times * getattr(costs, name) for name in ("decode", "rest", "batch", "image")}
    parts = {name: round(value, 5) for name, value in parts.items()}
    busy = replace(costs, **parts, crowding=round(crowding, 2))
    alone = costs.waking + _computing(costs)
    return replace(busy, waking=round(max(0.0, alone - _computing(busy)), 5))


def as_slow(costs: Costs, times: float) -> Costs:
    """Return `costs` of the same machine while everything on it takes `times` as long."""
    return replace(costs, **{name: times * getattr(costs, name) for name in TIMES})


def measure_network(model: Path, rounds: int = 15) -> tuple[list[float], int, float, bool]:
    """Return the processor seconds of calls of so many images (`SIZES`) where all cores are busy
    with such, the images of a photo, how much of a call the cores share where nothing else runs,
    and whether photos that come meanwhile share one."""
    from model_training.bundles.reading import read_bundle
    from webapp.serving.classifier import Classifier

    classifier = Classifier(read_bundle(model))
    plan = classifier.judge.plan
    image = np.random.default_rng(0).integers(0, 256, (1, plan.side, plan.side, 3), np.uint8)
    spent: dict[int, list[float]] = {size: [] for size in SIZES}
    alone: dict[int, list[float]] = {size: [] for size in SIZES}
    walls: dict[int, list[float]] = {size: [] for size in SIZES}
    with ThreadPoolExecutor(cores()) as askers:
        for number in range(rounds + 2):
            for size in SIZES:
                images = np.repeat(image, size, axis=0)
                wall, begun = time.perf_counter(), time.process_time()
                classifier.backend.features(images)
                taken, used = time.perf_counter() - wall, time.process_time() - begun
                begun = time.process_time()
                list(askers.map(classifier.backend.features, [images] * cores()))
                if number >= 2:
                    walls[size].append(taken)
                    alone[size].append(used)
                    spent[size].append((time.process_time() - begun) / cores())
    # Others make calls longer, never shorter: the shortest says how well the cores share them.
    shares = [_spread(min(walls[size]) / statistics.median(alone[size]), cores()) for size in SIZES]
    together = classifier.asked is not classifier.backend
    return _medians(spent), len(plan.views), statistics.median(shares), together


def machine() -> str:
    """Return what processor this is."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cores() -> int:
    """Return how many cores this machine has."""
    return os.cpu_count() or 1


def today() -> str:
    """Return the date in ISO 8601."""
    return date.today().isoformat()


def busy_seconds(table: Path = Path("/proc/stat")) -> float:
    """Return the seconds since the start that all processors have been busy, or, in a virtual
    machine, were given to other machines while something here waited for them."""
    fields = table.read_text("utf-8").splitlines()[0].split()[1:9]
    user, nice, system, _idle, _waiting, interrupt, soft, stolen = (int(one) for one in fields)
    return (user + nice + system + interrupt + soft + stolen) / _TICK


def site_seconds(site: Site) -> float:
    """Return the processor seconds of all processes of the site."""
    workers = site.workers()
    return sum(map(_spent, [site.server, *workers, *_below(workers)]))


def _spread(ratio: float, cores: int) -> float:
    """Return how much of a call the cores share, where it took `ratio` of its processor time."""
    return min(1.0, max(0.0, (1 - ratio) / (1 - 1 / cores))) if cores > 1 else 0.0


def _computing(costs: Costs) -> float:
    """Return the seconds in which a photo that comes alone is answered, by the simulation."""
    by_itself = replace(costs, variation=0.0, waking=0.0)
    (seconds,) = simulate([0.0], by_itself, Settings(cores=cores())).seconds
    return seconds


def _medians(seconds: dict[int, list[float]]) -> list[float]:
    return [statistics.median(some) for some in seconds.values()]


def _answered(reply: Reply) -> float:
    if reply.status != 200:
        raise SystemExit(f"The site answered {reply.status}: {reply.body[:300]!r}")
    return reply.seconds


def _spent(process: int) -> float:
    try:
        after_name = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:  # It has ended.
        return 0.0
    return (int(after_name[11]) + int(after_name[12])) / _TICK


def _below(processes: list[int]) -> list[int]:
    """Return the children of `processes`, and theirs."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_text("utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(after_name[1]), []).append(int(entry.name))
    found, last = [], processes
    while last := [child for parent in last for child in parents.get(parent, [])]:
        found += last
    return found
