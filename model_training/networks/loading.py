"""Saved networks: the one place where Keras loads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


class NetworkError(ValueError):
    """A file does not hold a network that can be loaded here; the message says why."""


def load_network(path: Path) -> keras.Model:
    """Load the network in the `.keras` file `path`: to be run, not to be trained further.

    Raises:
        NetworkError: there is no such file, or Keras cannot make a network of it.
    """
    # Imported here, so that pages and commands that run no network need not wait for Keras.
    import keras

    if not path.is_file():
        raise NetworkError(f"There is no network at {path}.")
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras and h5py do not document what a bad file raises.
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise NetworkError(f"{path.name} holds no network that Keras can load: {why[0]}") from error
