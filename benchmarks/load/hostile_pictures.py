"""Pictures that ask for far more work than their size, by kind; what the tests know and more."""

from __future__ import annotations

import struct
import zlib
from functools import cache

from tests import pictures

SIDE = 8000  # pixels: 64 megapixels, the most that are taken
_ADAM7 = ((8, 8, 0, 0), (8, 8, 4, 0), (4, 8, 0, 4), (4, 4, 2, 0), (2, 4, 0, 2), (2, 2, 1, 0))


@cache
def hostile_pictures() -> dict[str, bytes]:
    """Return one picture of each kind, the same each time."""
    return {
        "JPEG, 771 scans": pictures.many_scans(771),
        "JPEG, 16 scans, 64 MP": pictures.many_scans(16),
        "PNG, 16 bit, interlaced, 64 MP": interlaced_png(),
        "PNG, one bit, 62 MP": pictures.png_bomb(7900, 7900),
        "TIFF, floating numbers, 64 MP": float_tiff(),
        "TIFF, overlapping strips": pictures.tiff_of_overlapping_strips(),
        "GIF, one pixel on 64 MP": pictures.gif_with_a_large_canvas(),
        "BMP, run lengths": pictures.run_length_bmp(),
        "a cut JPEG": pictures.truncated_jpeg(),
    }


def interlaced_png(side: int = SIDE) -> bytes:
    """Return a PNG of 16 bits a colour, interlaced (Adam7), black."""
    packer = zlib.compressobj(1)
    packed = b""
    for across, down, right, below in (*_ADAM7, (1, 2, 0, 1)):
        columns, rows = -(-(side - right) // across), -(-(side - below) // down)
        row = bytes(1 + 6 * columns)
        packed += b"".join(packer.compress(row) for _ in range(rows))
    header = struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", packed + packer.flush()), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def float_tiff(side: int = SIDE, rows: int = 100) -> bytes:
    """Return a TIFF of 32-bit floating numbers, each strip packed by itself."""
    strip = zlib.compress(bytes(4 * side * rows), 1)
    count = side // rows
    offsets = [len(strip) * number for number in range(count)]
    tags = {258: [32], 259: [8], 339: [3], 273: offsets, 278: [rows], 279: [len(strip)] * count}
    return pictures.grey_tiff(side, side, tags, strip * count)
