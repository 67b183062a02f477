"""A bundle as bytes, for another machine."""

from __future__ import annotations

from pathlib import Path

from model_training.bundles.bundle import Bundle
from model_training.bundles.reading import read_bundle


def pack(bundle: Bundle) -> dict[str, bytes]:
    """Return the content of each file of `bundle`, by its name.

    Raises:
        OSError: one cannot be read.
    """
    return {name: path.read_bytes() for name, path in bundle.files.items()}


def unpack(files: dict[str, bytes], path: Path) -> Bundle:
    """Write `files` into the new folder `path`, and read them as the bundle that they were.

    Raises:
        BundleError: they are not what they were.
        OSError: they cannot be written.
    """
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return read_bundle(path)
