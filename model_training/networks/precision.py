"""The precision in which the layers of a network compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Set Keras' dtype policy to `name` for the layers that are built inside the context."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def in_float32(build: Callable[[], keras.Model], trained: keras.Model) -> keras.Model:
    """Return a float32 copy of `trained`, which `build` built under another dtype policy.

    Not every machine that serves computes bfloat16 quickly.
    """
    with dtype_policy("float32"):
        model = build()
    model.set_weights(trained.get_weights())
    return model
