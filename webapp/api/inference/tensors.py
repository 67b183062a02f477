"""Tensors as they come: nested lists of JSON, or bytes; and what is accepted of them.

A declared shape is compared with what is there before anything is made of that size.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webapp.errors import Refusal

MOST_AXES = 4
_PIXELS = "Pixels are whole numbers from 0 to 255."


class BadTensor(Refusal):
    """A tensor that is not what it should be."""

    code = "bad-tensor"


def pixels_from_json(data: Any, shape: Sequence[int], name: str) -> NDArray[np.uint8]:
    """Return pixels given as a flat or nested list of numbers from 0 to 255.

    Raises:
        BadTensor: there are more or fewer than `shape` says, or others.
    """
    flat = _flattened(data, shape, name)
    kinds = set(map(type, flat))
    if not kinds <= {int, float}:
        raise BadTensor(f"{name} holds what is no number. {_PIXELS}")
    # Many clients send whole numbers as 17.0.
    if float in kinds and not all(type(value) is int or value.is_integer() for value in flat):
        raise BadTensor(
            f"{name} holds fractions. {_PIXELS} Send them as they are, not scaled to 0 to 1."
        )
    if flat and (min(flat) < 0 or max(flat) > 255):
        raise BadTensor(f"{name} holds numbers below 0 or above 255. {_PIXELS}")
    return np.array(flat, np.float64).astype(np.uint8).reshape(shape)


def pixels_from_bytes(data: memoryview, shape: Sequence[int], name: str) -> NDArray[np.uint8]:
    """Return pixels given as one byte each, without a copy.

    Raises:
        BadTensor: there are more or fewer than `shape` says.
    """
    if len(data) != math.prod(shape):
        raise BadTensor(
            f"{name} has {len(data):,} bytes of binary data, and its shape {list(shape)} needs "
            f"{math.prod(shape):,}."
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def texts_from_bytes(data: memoryview, count: int, name: str) -> list[memoryview]:
    """Return the elements of a BYTES tensor: each has its length before it, in four bytes.

    Raises:
        BadTensor: there are more or fewer than `count`, or the last is cut off.
    """
    found: list[memoryview] = []
    at = 0
    while at < len(data) and len(found) <= count:
        if at + 4 > len(data):
            break
        (length,) = struct.unpack_from("<I", data, at)
        if at + 4 + length > len(data):
            break
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    if at != len(data) or len(found) != count:
        raise BadTensor(
            f"{name} is not {count:,} elements of BYTES, each with its length before it as a "
            "little-endian number of four bytes."
        )
    return found


def texts_from_json(data: Any, shape: Sequence[int], name: str) -> list[bytes]:
    """Return encoded pictures that are given as base64 texts.

    Raises:
        BadTensor: there are more or fewer than `shape` says, or they are not base64.
    """
    return [from_base64(text, name) for text in _flattened(data, shape, name)]


def from_base64(text: Any, name: str) -> bytes:
    """Return the bytes that `text` is the base64 form of.

    Raises:
        BadTensor: it is not.
    """
    try:
        if isinstance(text, str):
            # The URL-safe alphabet, line breaks and missing padding are all in use.
            plain = "".join(text.split()).translate(_URL_SAFE).rstrip("=")
            return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        pass
    raise BadTensor(f"{name} holds what is no picture in base64.")


_URL_SAFE = str.maketrans("-_", "+/")


def shape_of(data: Any) -> list[int]:
    """Return the shape of nested lists, if they are regular: the first of each is looked at."""
    shape: list[int] = []
    while isinstance(data, list) and len(shape) <= MOST_AXES:
        shape.append(len(data))
        data = data[0] if data else None
    return shape


def _flattened(data: Any, shape: Sequence[int], name: str) -> list[Any]:
    """Return the values of a flat list, or of one nested as `shape` says, in one list."""
    if isinstance(data, list) and not (data and isinstance(data[0], list)):
        if len(data) == math.prod(shape):
            return data
        raise BadTensor(
            f"{name} has {len(data):,} values, and its shape {list(shape)} needs "
            f"{math.prod(shape):,}."
        )
    rows = [data]
    for length in shape:
        if not all(type(row) is list and len(row) == length for row in rows):
            raise BadTensor(
                f"{name} is not of the shape {list(shape)}: its lists are of other lengths, or "
                "nested otherwise. All images of a request have one size."
            )
        rows = list(chain.from_iterable(rows))
    return rows
