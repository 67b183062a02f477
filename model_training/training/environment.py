"""The environment of a run: the machine, the versions of what could change a result, switches."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import keras

from model_training.networks.importing import onednn_asked_for
from model_training.recipes.recipe import Precision

_PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "scipy", "pillow")
_CPUINFO = Path("/proc/cpuinfo")
# Processors with one of these multiply bfloat16, the last of them on Arm.  With AVX-512 alone
# oneDNN converts every operand to float32 and back, below it even step by step.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"}


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
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text(encoding="utf-8").splitlines():
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
    """Return the versions of Python and of the packages that could change a result."""
    found = {"python": platform.python_version(), "backend": keras.backend.backend()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except ModuleNotFoundError:  # PackageNotFoundError is one of these.
            continue
    if keras.backend.backend() == "tensorflow" and onednn_asked_for():
        found["onednn"] = "on"  # Sums in another order, so other last digits.
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


def usable_precision(wanted: Precision) -> Precision:
    """Return the precision to train in here: `wanted`, or float32 where bfloat16 is only emulated.

    Emulated, the shorter numbers, which are there to be quick, are slow: a step of `custom-cnn`
    takes three times as long as in float32 on a processor with AVX-512 and ten times on one with
    AVX2 and no more (`benchmarks/precision.py`).  Only processors that are known to lack bfloat16
    are treated so, and only under TensorFlow: a graphics card, and other backends, have ways of
    their own.
    """
    if wanted == "float32" or keras.backend.backend() != "tensorflow":
        return wanted
    if keras.distribution.list_devices("gpu") or not _CPUINFO.exists():
        return wanted
    for line in _CPUINFO.read_text(encoding="utf-8").splitlines():
        name, _, flags = line.partition(":")
        # "flags" on x86, "Features" on Arm.
        if name.strip() in ("flags", "Features"):
            return wanted if _BFLOAT16_FLAGS & set(flags.split()) else "float32"
    return wanted
