"""A guard before the decoders: of an untrusted file they are given what they need and no more.

Each format has ways to demand hours of work with a few bytes or a few megabytes: scans that change
nothing, chunks that hold nothing, strips that overlap.  `cleared` walks a file as its decoder
would, refuses such work, and leaves out whatever does not belong to the first picture: comments,
thumbnails, further pictures.  It takes time linear in the size of the file, with no more steps in
Python than an honest file has parts.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

MOST_SCANS = 100
"""The most scans of a JPEG.  A progressive one has about ten, whichever program wrote it."""
MOST_SCANNED = 16
"""Every scan goes over the whole picture: all of them together may cover as many pixels as this
many pictures of the largest size.  The worst such scans at 64 megapixels were measured to take a
second."""
MOST_PARTS = 65_536
"""The most segments of a JPEG, chunks of a PNG, or blocks before the picture of a GIF.  A segment
holds up to 64 kB and a chunk usually 8 kB or more, so honest files of 20 MB have some hundreds or
thousands."""
MOST_TABLES = 256 * 1024  # bytes of a JPEG before its first scan; an honest one has about 1 kB
MOST_STRIPS = 131_072
"""The most strips or tiles of a TIFF: enough for one per row of the tallest picture, in four
planes."""
MOST_VALUES = 200_000  # of any other tag; the colour map of a TIFF with 16 bits has 196,608
MOST_PROFILE = 4 * 1024 * 1024  # bytes of a colour profile; the largest of printers have 3 MB


class Trap(Exception):
    """Opening a file would be far more work than a picture of its size is."""


def cleared(data: bytes, kind: str, max_pixels: int) -> bytes:
    """Return the part of a file that its decoder needs; a damaged file stays damaged.

    Raises:
        Trap: decoding it would be too much work.
    """
    clear = _CLEAR.get(kind)
    return clear(data, max_pixels) if clear else data


def is_run_length_bmp(data: bytes) -> bool:
    """Return whether a BMP is packed by run lengths, which Pillow unpacks bytewise in Python."""
    header = int.from_bytes(data[14:18], "little")
    if header in (12, 16):  # OS/2's short headers have no field for it
        return False
    # RLE8 and RLE4; in the long header of OS/2 a 4 is RLE24, elsewhere an embedded JPEG.
    packed = (1, 2, 4) if header == 64 else (1, 2)
    return int.from_bytes(data[30:34], "little") in packed


# A marker behind whatever precedes it: entropy-coded data (where FF 00 is a byte FF), restarts and
# fill bytes, or junk.  libjpeg looks for the next one in the same way.  A search lets no other
# thread run, so a long one is made in steps.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_STEP = 1024 * 1024
_MOST_FILL = b"\xff" * 1024  # libjpeg begins anew with each block of fill bytes that it is given
_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TABLES = frozenset(range(0xC0, 0xD0)) | frozenset(range(0xDB, 0xE0))  # the frame too
_APPLICATIONS = {
    (0xE0, b"JFIF\0"): 1,
    (0xE1, b"Exif\0\0"): 1,
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0"): 1,  # XMP may say which way is up
    (0xE2, b"ICC_PROFILE\0"): 255,
    (0xEE, b"Adobe"): 1,
}
"""Which other segments of a JPEG are kept, and how many: joining thousands takes Pillow hours."""


def _next_marker(data: bytes, at: int) -> re.Match[bytes] | None:
    for start in range(at, len(data), _STEP):
        if found := _JPEG_MARKER.search(data, start, start + _STEP + 1):
            return found
    return None


def _jpeg(data: bytes, max_pixels: int) -> bytes:
    kept, left = [data[:2]], dict(_APPLICATIONS)
    tables = parts = scans = pixels = profile = 0
    at, end, first_scan = 2, len(data), len(data)
    while found := _next_marker(data, at):
        marker, start, at = data[found.end() - 1], found.start(), found.end()
        parts += 1
        if parts > MOST_PARTS:
            raise Trap
        if marker == _EOI:
            end = at  # a phone's second picture and whatever else follows are left out
            break
        if marker == _TEM:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if marker == _SOI or length < 2 or at + length > len(data):
            break  # the decoder stops here too
        at += length
        if marker == _SOS:
            scans += 1
            first_scan = min(first_scan, start)
        elif scans:
            continue
        elif marker in _TABLES:
            kept.append(data[start:at])
            tables += length
            if marker in _FRAMES:
                height, width = struct.unpack(">HH", data[start + 5 : start + 9].ljust(4, b"\0"))
                pixels = width * height
        else:
            body = data[start + 4 : start + 48]
            for application in left:
                number, name = application
                if marker != number or not body.startswith(name) or not left[application]:
                    continue
                profile += length if number == 0xE2 else 0
                if profile <= MOST_PROFILE:
                    kept.append(data[start:at])
                    left[application] -= 1
        if tables > MOST_TABLES or scans > MOST_SCANS:
            raise Trap
    # What is too large is refused for that.
    if pixels <= max_pixels and scans * pixels > MOST_SCANNED * max_pixels:
        raise Trap
    if data.find(_MOST_FILL, first_scan, end) >= 0:
        raise Trap
    return b"".join(kept) + data[first_scan:end]


_PNG_ONCE = {b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"eXIf"}
_PNG_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_PNG_TURNS = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")  # texts that say which way is up


def _png(data: bytes, _max_pixels: int) -> bytes:
    kept, seen = [data[:8]], set[bytes]()
    at, parts = 8, 0
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        parts += 1
        if parts > MOST_PARTS:
            raise Trap
        start, at = at, at + 12 + length
        what: bytes | None = name if name in _PNG_ONCE else None
        if name in _PNG_TEXTS:
            beginning = data[start + 8 : start + 40]
            what = next((key for key in _PNG_TURNS if beginning.startswith(key)), None)
        if what is not None and what not in seen:
            seen.add(what)
            kept.append(data[start:at])
        elif name in (b"IDAT", b"IEND"):
            kept.append(data[start:at])
        if name == b"IEND":
            break
    return b"".join(kept)


_GIF_BLOCK = re.compile(rb"[!,;]")
_GIF_JUNK = 64 * 1024  # bytes between two blocks at most, where there should be none


def _gif(data: bytes, _max_pixels: int) -> bytes:
    if len(data) < 13:
        return data
    at = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    head, control, parts = data[:at], b"", 0
    while (found := _GIF_BLOCK.search(data, at, at + _GIF_JUNK)) and found[0] == b"!":
        start = found.start()
        at = start + 2
        while True:
            parts += 1
            if parts > MOST_PARTS:
                raise Trap
            length = data[at] if at < len(data) else 0
            at += 1 + length
            if not length:
                break
        if data[start + 1 : start + 2] == b"\xf9":  # says which colour is clear
            control = data[start:at]
    return head + control + (data[found.start() :] if found else b"")


_TIFF_NEEDED = frozenset(
    # Size, bits, packing, colours, strips, orientation, resolution, predictor, colour map, tiles
    {256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 283, 284, 292, 293, 296, 317}
    | {320, 322, 323, 324, 325, 332, 338, 339}
    # JPEG in it, of both kinds; YCbCr; the colour profile; LERC
    | {347, *range(512, 522), 529, 530, 531, 532, 34675, 50674}
)
_TIFF_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_TIFF_BYTES |= {13: 4, 16: 8, 17: 8, 18: 8}
_TIFF_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_TIFF_PROFILE = 34675


@dataclass(frozen=True)
class _Directory:
    """The first directory of a TIFF: its tags as type, count, and value or place of the values."""

    data: bytes
    order: str  # of the bytes, as `struct` writes it
    big: bool
    tags: dict[int, tuple[int, int, bytes]]

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return the whole numbers of `tag`; none if its values are of another kind."""
        kind, count, field = self.tags.get(tag, (0, 0, b""))
        if kind not in _TIFF_NUMBERS:
            return ()
        size = count * _TIFF_BYTES[kind]
        at = 0 if size <= len(field) else self.place(field)
        source = field if size <= len(field) else self.data
        if at + size > len(source):
            return ()
        return struct.unpack_from(f"{self.order}{count}{_TIFF_NUMBERS[kind]}", source, at)

    def number(self, tag: int, default: int) -> int:
        """Return the first number of `tag`."""
        return next(iter(self.numbers(tag)), default)

    def place(self, field: bytes) -> int:
        """Return the offset of the values that do not fit into `field`."""
        return int(struct.unpack(self.order + ("Q" if self.big else "I"), field)[0])

    def alone(self) -> bytes:
        """Return the file with one directory, which holds nothing but `tags`."""
        number, entry, count = ("Q", "HHQ8s", "Q") if self.big else ("I", "HHI4s", "H")
        start = 8 if self.big else 4
        padded = self.data + bytes(len(self.data) % 2)
        directory = struct.pack(self.order + count, len(self.tags))
        for tag, (kind, values, field) in self.tags.items():
            directory += struct.pack(self.order + entry, tag, kind, values, field)
        directory += struct.pack(self.order + number, 0)  # no further picture
        place = struct.pack(self.order + number, len(padded))
        return padded[:start] + place + padded[start + len(place) :] + directory


def _tiff(data: bytes, max_pixels: int) -> bytes:
    directory = _directory(data)
    if directory is None:
        return b""
    for tag, (kind, count, _) in list(directory.tags.items()):
        if tag == _TIFF_PROFILE and count > MOST_PROFILE:
            del directory.tags[tag]
        elif tag != _TIFF_PROFILE and count > MOST_VALUES:
            raise Trap
        elif kind not in _TIFF_BYTES:
            del directory.tags[tag]
    offsets = directory.numbers(273) or directory.numbers(324)
    if {273, 324} <= directory.tags.keys() or len(offsets) > MOST_STRIPS:
        raise Trap
    if not offsets:
        return b""
    needs = _strip_bytes(directory, max_pixels)
    if needs is None:
        return b""
    if directory.number(259, 1) == 1:
        # Pillow reads from one strip up to the next, and again until it has enough.
        strips = sorted((at, needs[number % len(needs)]) for number, at in enumerate(offsets))
        for (at, need), (next_at, _) in zip(strips, strips[1:], strict=False):
            if next_at - at < need:
                raise Trap
    else:
        _check_packed(directory, offsets)
    return directory.alone()


def _directory(data: bytes) -> _Directory | None:
    order = "<" if data.startswith(b"II") else ">"
    big = b"+" in data[2:4]
    number, entry = ("Q", "HHQ8s") if big else ("H", "HHI4s")
    try:
        at = int(struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0])
        count = int(struct.unpack_from(order + number, data, at)[0])
        if count > MOST_PARTS:
            raise Trap
        at += struct.calcsize(number)
        end = at + count * struct.calcsize(order + entry)
        if end > len(data):
            return None
        tags: dict[int, tuple[int, int, bytes]] = {}
        for tag, *rest in struct.iter_unpack(order + entry, data[at:end]):
            if tag in _TIFF_NEEDED:
                tags.setdefault(tag, (rest[0], rest[1], rest[2]))
    except (struct.error, OverflowError):
        return None
    return _Directory(data, order, big, tags)


def _strip_bytes(directory: _Directory, max_pixels: int) -> list[int] | None:
    """Return the unpacked bytes of each strip or tile; None if they cannot be known."""
    number = directory.number
    width, height = number(256, 0), number(257, 0)
    tiled = 324 in directory.tags
    across, down = (number(322, 0), number(323, 0)) if tiled else (width, number(278, height))
    if min(width, height, across, down) < 1:
        return None
    down = down if tiled else min(down, height)
    columns, rows = ceil(width / across), ceil(height / down)
    if width * height <= max_pixels and columns * across * rows * down > 2 * max(max_pixels, 2**20):
        raise Trap  # tiles far larger than the picture
    bits = directory.numbers(258) or (1,)
    samples = number(277, 1)
    apart = number(284, 1) == 2
    if columns * rows * (samples if apart else 1) > MOST_STRIPS:
        raise Trap
    each = min(bits) if apart else sum(bits) if len(bits) == samples else bits[0] * samples
    line = ceil(across * each / 8)
    if tiled:
        return [line * down]
    return [line * down] * (rows - 1) + [line * (height - down * (rows - 1))]


def _check_packed(directory: _Directory, offsets: tuple[int, ...]) -> None:
    whole = len(directory.data)
    counts = directory.numbers(279) or directory.numbers(325)
    places = [(at, min(count, whole)) for at, count in zip(offsets, counts, strict=False)]
    if sum(count for _, count in places) > 2 * whole:
        raise Trap  # the same bytes unpacked again and again
    if directory.number(259, 1) == 7:
        # JPEGs: each has one scan, or one of each colour.
        if len(counts) < len(offsets):
            raise Trap
        for at, count in places:
            if directory.data.count(b"\xff\xda", at, at + count) > 4:
                raise Trap


_CLEAR: dict[str, Callable[[bytes, int], bytes]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "TIFF": _tiff,
}
