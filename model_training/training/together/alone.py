"""One process of several computing by itself: what it builds then runs without the others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def by_itself() -> Iterator[None]:
    """Let this process compute alone for a while: what is built here is its own."""
    together = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(together)


def own_copy(network: keras.Model) -> keras.Model:
    """Return a copy of `network` that this process can run without the others."""
    with by_itself():
        # Without what it is compiled with: Keras cannot copy an optimizer of our own.
        copied = network.__class__.from_config(network.get_config())
        copied.set_weights(network.get_weights())
    return copied
