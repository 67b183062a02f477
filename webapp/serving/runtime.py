"""TensorFlow and NumPy as serving needs them.

Keras and TensorFlow look for JAX, pandas and scikit-learn, and import each that is there to support
its types.  The site asks none of them, and where it shares an environment with training they take
100 MB of each worker and half of the time of the import.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.abc
import logging
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from threadpoolctl import threadpool_limits

NOT_NEEDED = frozenset({"jax", "jaxlib", "pandas", "sklearn"})


def prepare() -> None:
    """Import Keras and TensorFlow for a process that only serves, before anything else does.

    What is in memory then is not looked at again by the garbage collector: half a million objects
    that live as long as the process.
    """
    with absent(NOT_NEEDED):
        import tensorflow as tf  # which imports Keras

    # Of what Keras and TensorFlow say in Python; `networks.importing` silences what C++ says.
    logging.getLogger("absl").setLevel(logging.ERROR)
    tf.get_logger().setLevel(logging.ERROR)
    gc.collect()
    gc.freeze()


def multiply_alone() -> None:
    """Make NumPy and SciPy run each matrix multiplication in the calling thread only.

    A judge's matrices are small, and threads that share a multiplication wait for each other while
    a network keeps the processors busy (`benchmarks.products`).  TensorFlow has its own threads.
    """
    threadpool_limits(1, user_api="blas")


@contextlib.contextmanager
def absent(names: frozenset[str]) -> Iterator[None]:
    """Let the packages `names`, unless they are imported already, seem not to be installed."""
    finder = _Absent(names - set(sys.modules))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Absent(importlib.abc.MetaPathFinder):
    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in self._names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None
