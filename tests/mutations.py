"""Pictures that were encoded properly and then damaged, each by its number: the same every time."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image

from tests import pictures

Random = np.random.Generator
_TELLING = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 8000)


@cache
def sound_pictures() -> tuple[tuple[str, bytes], ...]:
    """Pictures in every format that is taken, in the variants that their encoders have."""
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    photo = Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC)
    clear = photo.convert("RGBA")
    clear.putalpha(photo.convert("L"))
    grey = photo.convert("L")
    exif = Image.Exif()
    exif[274] = 6
    variants: list[tuple[str, Image.Image, dict[str, object]]] = [
        ("JPEG", photo, {"quality": 85}),
        ("JPEG", photo, {"progressive": True, "exif": exif, "icc_profile": pictures.p3_profile()}),
        ("JPEG", photo.convert("CMYK"), {}),
        ("JPEG", grey, {"restart_marker_rows": 1}),
        ("PNG", photo, {}),
        ("PNG", clear, {"icc_profile": pictures.p3_profile()}),
        ("PNG", photo.quantize(16), {"transparency": 3}),
        ("PNG", grey.convert("I;16"), {}),
        ("PNG", grey.convert("1"), {}),
        ("WEBP", photo, {"quality": 80}),
        ("WEBP", clear, {"lossless": True}),
        ("WEBP", photo, {"save_all": True, "append_images": [photo.rotate(90)], "exif": exif}),
        ("GIF", photo, {}),
        ("GIF", photo, {"save_all": True, "append_images": [photo.rotate(90)], "interlace": True}),
        ("BMP", photo, {}),
        ("BMP", photo.quantize(16), {}),
        ("BMP", clear, {}),
        ("TIFF", photo, {}),
        ("TIFF", photo, {"compression": "tiff_lzw", "tiffinfo": {278: 16}}),
        ("TIFF", photo, {"compression": "tiff_adobe_deflate", "big_tiff": True}),
        ("TIFF", photo, {"compression": "jpeg"}),
        ("TIFF", grey.convert("F"), {"compression": "packbits"}),
        ("TIFF", grey.convert("1"), {"compression": "group4"}),
        ("TIFF", photo.convert("LAB"), {}),
        ("AVIF", photo, {"quality": 60, "speed": 8}),
        ("AVIF", clear, {"quality": 60, "speed": 8}),
    ]
    return tuple(
        (kind, pictures.encode(image, kind, **options)) for kind, image, options in variants
    )


def mutated(seed: int, number: int) -> tuple[str, bytes]:
    """Return the kind and the bytes of the damaged picture `number`."""
    random = np.random.default_rng((seed, number))
    sound = sound_pictures()
    kind, data = sound[number % len(sound)]
    for _ in range(int(random.integers(1, 4))):
        change = _CHANGES[int(random.integers(len(_CHANGES)))]
        data = change(data, random) or data
    if kind == "PNG" and random.random() < 0.7:
        data = _with_sums(data)
    return kind, data


def _place(data: bytes, random: Random) -> int:
    """Somewhere in `data`; in half of the cases near its beginning, where the headers are."""
    end = len(data) if random.random() < 0.5 else min(len(data), 200)
    return int(random.integers(max(1, end)))


def _flip(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(int(random.integers(1, 17))):
        changed[_place(data, random)] ^= 1 << int(random.integers(8))
    return bytes(changed)


def _cut(data: bytes, random: Random) -> bytes:
    return data[: _place(data, random)]


def _without(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return data[:at] + data[at + int(random.integers(1, 400)) :]


def _again(data: bytes, random: Random) -> bytes:
    at, length = _place(data, random), int(random.integers(1, 2000))
    return data[:at] + data[at : at + length] * int(random.integers(2, 20)) + data[at + length :]


def _spliced(data: bytes, random: Random) -> bytes:
    sound = sound_pictures()
    _kind, other = sound[int(random.integers(len(sound)))]
    at, of_other = _place(data, random), _place(other, random)
    length = int(random.integers(1, 3000))
    return data[:at] + other[of_other : of_other + length] + data[at + length * (length % 2) :]


def _number(data: bytes, random: Random) -> bytes:
    """Another number where one may be: a length, a count, a side, an offset."""
    form = str(random.choice(["<I", ">I", "<H", ">H", "B"]))
    most = 256 ** struct.calcsize(form) - 1
    value = int(random.choice(_TELLING)) if random.random() < 0.7 else int(random.integers(70_000))
    at = _place(data, random)
    packed = struct.pack(form, min(value, most))
    return data[:at] + packed + data[at + len(packed) :]


def _random_bytes(data: bytes, random: Random) -> bytes:
    at, length = _place(data, random), int(random.integers(1, 64))
    return data[:at] + random.bytes(length) + data[at + length :]


_CHANGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    _flip,
    _cut,
    _without,
    _again,
    _spliced,
    _number,
    _number,
    _random_bytes,
)


def _with_sums(data: bytes) -> bytes:
    """A PNG whose chunks have the sums that they should have, so that decoders read on."""
    at, found = 8, [data[:8]]
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        content = data[at + 4 : at + 8 + length]
        if len(content) < length + 4:
            break
        found.append(data[at : at + 4] + content + struct.pack(">I", zlib.crc32(content)))
        at += 12 + length
    return b"".join(found) + data[at:]
