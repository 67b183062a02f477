"""The environment of a run: the machine, the versions of what could change a result, switches."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import keras

_PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "scipy", "pillow")


@dataclass(frozen=True)
class Environment:
    """The machine and the versions that a run used, as its card tells them."""

    machine: str
    versions: dict[str, str]


def environment() -> Environment:
    """Return the environment of this process.

    Asked before training, so that nothing can fail here that hours were spent on.
    """
    return Environment(machine(), versions())


def machine() -> str:
    """Return the processor, the cores that this process may use, and the operating system."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    cores = _cores()
    return f"{processor}, {cores} core{'s' if cores != 1 else ''}, {platform.system()}"


def _cores() -> int:
    # Linux tells which cores this process may use; macOS and Windows only which there are.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Return Python's version and those of the packages that could change a result."""
    found = {"python": platform.python_version(), "backend": keras.backend.backend()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except ModuleNotFoundError:  # PackageNotFoundError is one of these.
            continue
    return found


def make_deterministic() -> None:
    """Switch off what makes two runs of one seed differ, for the rest of the process.

    Keras' seeds are set by the trainer; this is the backend's part.  What it costs is measured by
    `benchmarks/determinism.py`; JAX needs no switch on a processor.
    """
    if keras.backend.backend() == "tensorflow":
        # Only TensorFlow has the switch, so only it is imported, and only where it is used anyway.
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif keras.backend.backend() == "torch":
        import torch

        torch.use_deterministic_algorithms(True)
