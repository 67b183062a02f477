"""Models taken up under traffic: `python -m benchmarks.reload`

Two workers answer four clients without a pause.  A bundle is replaced, one is added and one is
removed, each followed by SIGHUP, and then every worker is replaced after its share of requests.
Counted are requests that were lost or refused, the longest time in which nobody was answered, and
the longest that one request took.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.site import PROJECT, Site, Visitors, running
from model_training.bundles.manage import rename_bundle
from model_training.bundles.reading import read_bundle
from model_training.bundles.writing import replace_judge

SHIPPED = PROJECT / "instance" / "models"
MODEL, OTHER = "efficientnet-lite0", "custom-cnn"
CLIENTS = 4
PHOTO = next((PROJECT / "static" / "examples").glob("*.jpg"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        for name in (MODEL, OTHER):
            shutil.copytree(SHIPPED / name, models / name)
        print(f"{arguments.workers} workers, {CLIENTS} clients\n")
        with running(workers=arguments.workers, MODELS_FOLDER=models) as (site, seconds):
            print(f"ready after {seconds:.1f} s")
            _wait_until(site, lambda states: set(states.values()) == {"loaded"})
            _measure("nothing has changed", site, arguments.workers)
            _replace(models / MODEL)
            _measure(f"{MODEL} replaced", site, arguments.workers)
            _add(models)
            _measure("a model added", site, arguments.workers)
            shutil.rmtree(models / "added")
            _measure("it is removed", site, arguments.workers)
        _measure_replaced(arguments.workers, models)


def _replace(path: Path) -> None:
    bundle = read_bundle(path)
    assert bundle.judge is not None
    novelty = bundle.judge.threshold.novelty - 0.5
    threshold = bundle.judge.threshold.model_copy(update={"novelty": novelty})
    replace_judge(bundle, replace(bundle.judge, threshold=threshold))


def _add(models: Path) -> None:
    with tempfile.TemporaryDirectory(dir=models, prefix=".") as folder:
        copied = shutil.copytree(SHIPPED / "fast-cnn", Path(folder) / "fast-cnn")
        rename_bundle(read_bundle(copied), "added")
        os.replace(Path(folder) / "added", models / "added")


def _measure(title: str, site: Site, workers: int) -> None:
    count = len(site.log.read_text("utf-8").split("models taken up in"))
    with Visitors(site, CLIENTS, "POST", "/api/classify", PHOTO.read_bytes(), "image/jpeg") as them:
        time.sleep(2)
        os.kill(site.server, signal.SIGHUP)
        for _ in range(600):
            if len(site.log.read_text("utf-8").split("models taken up in")) >= count + workers:
                break
            time.sleep(0.1)
        time.sleep(2)
    _print(title, them)


def _measure_replaced(workers: int, models: Path) -> None:
    with running(workers=workers, MODELS_FOLDER=models, max_requests=150) as (site, _seconds):
        before = set(site.workers())
        begun = time.perf_counter()
        with Visitors(
            site, CLIENTS, "POST", "/api/classify", PHOTO.read_bytes(), "image/jpeg"
        ) as them:
            while before & set(site.workers()) and time.perf_counter() - begun < 300:
                time.sleep(0.5)
        _print("every worker replaced after 150 requests", them)


def _wait_until(site: Site, is_so: Callable[[dict[str, str]], bool]) -> None:
    while True:
        found = json.loads(site.ask("GET", "/readyz")[1])["models"]
        if is_so({name: one["state"] for name, one in found.items()}):
            return
        time.sleep(0.5)


def _print(title: str, them: Visitors) -> None:
    refused = sum(one.status != 200 for one in them.asked)
    print(
        f"{title}: {len(them.asked)} requests answered, {refused} refused, {len(them.lost)} lost; "
        f"longest gap {them.longest_gap:.2f} s, longest wait {them.longest_wait:.2f} s"
    )
    for one in them.lost[:3]:
        print(f"  {one}")


if __name__ == "__main__":
    main()
