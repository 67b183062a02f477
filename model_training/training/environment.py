"""What a run runs on: the machine, the versions of what could change a result, and its switches."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import keras

from model_training.recipes.recipe import Precision

_PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "pillow")
_CPUINFO = Path("/proc/cpuinfo")
# Without one of these TensorFlow computes bfloat16 step by step: on x86 its oneDNN asks for
# AVX-512 or for the first of these names, on Arm for the last.
_BFLOAT16_FLAGS = {"avx_ne_convert", "avx512f", "bf16"}


def machine() -> str:
    """The processor, its cores as this process sees them, and the operating system."""
    processor = platform.processor() or platform.machine()
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    return f"{processor}, {len(os.sched_getaffinity(0))} cores, {platform.system()}"


def versions() -> dict[str, str]:
    """Python's version and those of the packages that could change a result."""
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


def usable_precision(wanted: Precision) -> Precision:
    """Return the precision to train in here: `wanted`, or float32 where bfloat16 is only emulated.

    A step of `custom-cnn` in bfloat16 takes ten times as long as in float32 on a processor with
    AVX2 and no more (55 s and 5.3 s of processor time, measured), so the shorter numbers, which are
    there to be quick, are not worth it.  Only processors that are known to lack them are treated
    so, and only under TensorFlow: a graphics card, and other backends, have ways of their own.
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
