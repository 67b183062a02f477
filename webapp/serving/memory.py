"""The memory of a worker: weights in mapped files, and what is free given back.

Weights are read and never written.  Mapped from a file they are the kernel's cache, as a program's
own code is, and not the worker's own memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from typing import TYPE_CHECKING

from model_training.judging.judge import Judge
from model_training.mapping import map_arrays

if TYPE_CHECKING:
    import keras

# Of `mallopt`, as glibc's malloc.h has them.
_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
ARENAS = 2
LARGE = 8 * 1024**2
"""Bytes; what is at least so large is given back as soon as it is free.  What a network computes
between its layers is smaller: to have the kernel clear it anew for each call took as long as the
call (`python -m benchmarks.heap`)."""
KEPT = 64 * 1024**2
"""Bytes that may be free at the end of a heap until memory is trimmed, every few seconds."""


def map_weights(model: keras.Model) -> None:
    """Let the variables of `model` lie in a mapped file; they hold what they held."""
    import tensorflow as tf

    variables = [one.value for one in model.variables if one.value.dtype == tf.float32]
    mapped = map_arrays(one.numpy() for one in variables)
    for variable, array in zip(variables, mapped, strict=True):
        # A variable takes over the buffer of the tensor that it is given, and that of this tensor
        # is the array itself.
        variable.assign(tf.experimental.dlpack.from_dlpack(array.__dlpack__()))


def map_judge(judge: Judge) -> Judge:
    """Return a judge equal to `judge` whose arrays lie in a mapped file."""
    arrays = judge.arrays()
    header = arrays.pop("header")
    mapped = map_arrays(arrays.values())
    return Judge.from_arrays({"header": header} | dict(zip(arrays, mapped, strict=True)))


def keep_in_bounds(large: int = LARGE, kept: int = KEPT) -> None:
    """Let all threads of this process share a few heaps; elsewhere than on glibc, do nothing.

    Each of a worker's forty threads would have one of its own, and what is free in one is of no use
    to another.

    Args:
        large: bytes; what is at least so large lies in no heap.
        kept: bytes that may be free at the end of a heap.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_ARENA_MAX, ARENAS)
        library.mallopt(_MMAP_THRESHOLD, large)
        library.mallopt(_TRIM_THRESHOLD, kept)


def give_back() -> None:
    """Give memory that is free back to the system, that of networks nobody holds any more too."""
    gc.collect()
    trim()


def trim() -> None:
    """Give memory that nobody uses back to the system; elsewhere than on glibc, do nothing."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
