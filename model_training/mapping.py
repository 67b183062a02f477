"""Arrays in mapped files: read like any other, and their memory is the kernel's cache."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 64
"""Bytes; what vector instructions of today's processors ask of where an array begins."""


def map_arrays(arrays: Iterable[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return arrays equal to `arrays` that lie in a nameless file, mapped into memory.

    As long as nobody writes to them, their pages are not this process's own: the kernel drops them
    when memory is short, and reads them again.  What is written stays in this process.  The file
    ends with the last of its arrays.  Where none can be written, as on a full disk, the arrays are
    in memory as ever.
    """
    given = [np.asarray(one, order="C") for one in arrays]
    with contextlib.suppress(OSError), tempfile.TemporaryFile() as file:
        places = []
        for one in given:
            file.write(bytes(-file.tell() % ALIGNMENT))
            places.append(file.tell())
            file.write(one.tobytes() if one.ndim == 0 else one.data)
        file.write(bytes(1))  # An empty file cannot be mapped.
        file.flush()
        # Copy on write: what cannot be written at all is refused by other libraries.
        whole = np.memmap(file, np.uint8, mode="c").view(np.ndarray)
        return [
            whole[place : place + one.nbytes].view(one.dtype).reshape(one.shape)
            for one, place in zip(given, places, strict=True)
        ]
    return given
