"""Every kind of picture a visitor may send, made in memory as bytes."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import ExifTags, Image

RED, GREEN, BLUE, YELLOW = (230, 20, 20), (20, 200, 20), (20, 20, 230), (240, 220, 20)
QUARTERS = (RED, GREEN, BLUE, YELLOW)  # top left, top right, bottom left, bottom right


def quarters(width: int = 96, height: int = 64) -> Image.Image:
    """A picture of four plain colours, so that a turned or mirrored one is found out."""
    pixels = np.empty((height, width, 3), np.uint8)
    for number, colour in enumerate(QUARTERS):
        down, right = divmod(number, 2)
        rows = slice(down * height // 2, (down + 1) * height // 2)
        columns = slice(right * width // 2, (right + 1) * width // 2)
        pixels[rows, columns] = colour
    return Image.fromarray(pixels)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(width: int = 96, height: int = 64, **options: Any) -> bytes:
    return encode(quarters(width, height), "JPEG", quality=95, subsampling=0, **options)


def png(width: int = 96, height: int = 64, **options: Any) -> bytes:
    return encode(quarters(width, height), "PNG", **options)


def webp() -> bytes:
    return encode(quarters(), "WEBP", lossless=True)


def gif() -> bytes:
    return encode(quarters(), "GIF")


def bmp() -> bytes:
    return encode(quarters(), "BMP")


def tiff() -> bytes:
    return encode(quarters(), "TIFF")


def avif() -> bytes:
    return encode(quarters(), "AVIF", quality=95, subsampling="4:4:4")


def avif_that_says_mif1_first() -> bytes:
    return avif().replace(b"ftypavif", b"ftypmif1", 1)


def mpo() -> bytes:
    """What some phones save as .jpg: the photo, then a second, smaller picture."""
    second = Image.new("RGB", (48, 32), "black")
    return encode(
        quarters(), "MPO", save_all=True, append_images=[second], quality=95, subsampling=0
    )


ALL_KINDS = {
    "JPEG": jpeg,
    "PNG": png,
    "WEBP": webp,
    "GIF": gif,
    "BMP": bmp,
    "TIFF": tiff,
    "AVIF": avif,
}


def truncated(data: bytes, share: float = 0.6) -> bytes:
    return data[: int(len(data) * share)]


def truncated_jpeg() -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)
    return truncated(encode(Image.fromarray(noise), "JPEG"))


def cmyk_jpeg(width: int = 96, height: int = 64) -> bytes:
    """As Photoshop writes it: with an Adobe marker and the inks stored upside down."""
    return encode(quarters(width, height).convert("CMYK"), "JPEG", quality=95)


def grey_jpeg() -> bytes:
    return encode(Image.new("L", (96, 64), 100), "JPEG", quality=95)


def turned_jpeg(orientation: int, width: int = 96, height: int = 64) -> bytes:
    """Quarters, upright for who heeds the EXIF orientation, turned for who does not."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = quarters(width, height)
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encode(stored, "JPEG", quality=95, subsampling=0, exif=exif)


def turned(kind: str) -> bytes:
    """The same with orientation 6 in another format."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return encode(quarters().transpose(Image.Transpose.ROTATE_90), kind, exif=exif)


def palette_png() -> bytes:
    return encode(quarters().quantize(16), "PNG")


def one_bit_png() -> bytes:
    return encode(Image.new("1", (64, 64), 1), "PNG")


def sixteen_bit_grey(kind: str, levels: list[int], mode: str = "I;16") -> bytes:
    """One row of pixels with these levels, 0 to 65535."""
    order = ">" if mode.endswith("B") else "<"
    row = struct.pack(f"{order}{len(levels)}H", *levels)
    return encode(Image.frombytes(mode, (len(levels), 1), row), kind)


def sixteen_bit_png_with_a_clear_level(levels: list[int], clear: int) -> bytes:
    row = struct.pack(f"<{len(levels)}H", *levels)
    image = Image.frombytes("I;16", (len(levels), 1), row)
    return encode(image, "PNG", transparency=clear)


def number_tiff(values: list[float], whole: bool) -> bytes:
    """One row of 32-bit numbers: whole ones (mode I) or floating ones (mode F)."""
    return encode(Image.fromarray(np.array([values], np.int32 if whole else np.float32)), "TIFF")


def lab_tiff() -> bytes:
    return encode(quarters().convert("LAB"), "TIFF")


def half_clear_png() -> bytes:
    """Left half opaque red, middle column half clear red, the rest clear over black."""
    image = Image.new("RGBA", (5, 4), (0, 0, 0, 0))
    image.paste((200, 0, 0, 255), (0, 0, 2, 4))
    image.paste((200, 0, 0, 128), (2, 0, 3, 4))
    return encode(image, "PNG")


def clear_grey_png() -> bytes:
    return encode(Image.new("LA", (4, 4), (0, 0)), "PNG")


def clear_palette_png() -> bytes:
    """Left half palette colour 1 (blue), right half colour 0, which is black and clear."""
    image = Image.new("P", (4, 4), 0)
    image.putpalette([0, 0, 0, 0, 0, 255])
    image.paste(1, (0, 0, 2, 4))
    return encode(image, "PNG", transparency=bytes([0, 255]))


def clear_colour_png() -> bytes:
    """RGB without an alpha channel, black declared clear: left half blue, right half black."""
    image = Image.new("RGB", (4, 4), (0, 0, 0))
    image.paste((0, 0, 255), (0, 0, 2, 4))
    return encode(image, "PNG", transparency=(0, 0, 0))


def animated(kind: str) -> bytes:
    """Two pictures: first quarters, then black."""
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    black = Image.new("RGB", (96, 64))
    return encode(quarters(), kind, save_all=True, append_images=[black], duration=100, **options)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_bomb(width: int = 13000, height: int = 13000) -> bytes:
    """A few kilobytes that unfold to width x height black pixels of one bit each."""
    packer = zlib.compressobj(1)
    row = bytes(1 + (width + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", packed)
        + _chunk(b"IEND", b"")
    )


def webp_bomb() -> bytes:
    """A header that promises 16384 x 16384 pixels."""
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3f\0" + b"\xff\x3f\0"
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif_bomb() -> bytes:
    """A header that promises 65535 x 65535 pixels, and a first frame as large."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x01\x44\x00;"
    return screen + frame


def one_pixel() -> bytes:
    return encode(Image.new("RGB", (1, 1), RED), "PNG")


def very_wide(kind: str = "PNG") -> bytes:
    return encode(Image.new("RGB", (20000, 10), BLUE), kind)


def nothing() -> bytes:
    return b""


def not_an_image() -> bytes:
    return b"Dear diary, today I uploaded the wrong file.\n" * 20


def heic() -> bytes:
    return b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)


def video() -> bytes:
    return b"\0\0\0\x18ftypisom\0\0\0\0mp41isom" + bytes(200)


def svg() -> bytes:
    return b'<?xml version="1.0"?>\n<!-- a cat -->\n<svg xmlns="http://www.w3.org/2000/svg"></svg>'


def pdf() -> bytes:
    return b"%PDF-1.7\n" + bytes(100)


# Columns: where the red, green and blue of Display P3 lie in the profile's own space (XYZ, D50).
P3_TO_XYZ = np.array(
    [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)
P3_GAMMA = 2.2


def p3_profile() -> bytes:
    """A small but complete wide-gamut profile, like the one in the photos of an iPhone."""

    def fixed(*numbers: float) -> bytes:
        return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)

    name = b"Display P3\0"
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(P3_GAMMA * 256)) + bytes(2)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(79),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249),
        b"rXYZ": b"XYZ " + bytes(4) + fixed(*P3_TO_XYZ[:, 0]),
        b"gXYZ": b"XYZ " + bytes(4) + fixed(*P3_TO_XYZ[:, 1]),
        b"bXYZ": b"XYZ " + bytes(4) + fixed(*P3_TO_XYZ[:, 2]),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, value in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    header = struct.pack(">I4sI", start + len(body), b"lcms", 0x02100000) + b"mntrRGB XYZ "
    header += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + table + body


def p3(colour: tuple[int, int, int], kind: str = "PNG") -> bytes:
    return encode(Image.new("RGB", (32, 32), colour), kind, icc_profile=p3_profile())


# Files that ask for far more work than their size.  Flooded ones have about as many bytes as are
# taken.

FLOOD = 20_000_000  # bytes


def run_length_bmp(packing: int = 1, header: int = 40) -> bytes:
    """One pixel and the end of a line that is 64,000,000 pixels long."""
    body = b"\x01\x01\x00\x00\x00\x01"
    start = 14 + header + 4
    info = struct.pack("<IiiHHIIiiII", header, 64_000_000, 1, 1, 8, packing, len(body), 0, 0, 1, 0)
    head = b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start)
    return head + info.ljust(header, b"\0") + bytes(4) + body


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def many_scans(scans: int, width: int = 8000, height: int = 8000) -> bytes:
    """A grey progressive JPEG whose later scans refine every block, and change none of them."""
    blocks = -(-width // 8) * -(-height // 8)
    runs = ""  # a run of up to 32,767 blocks without a change is the code 0 and 14 bits
    while blocks > 0:
        run = max(16384, min(blocks, 32767))
        runs += f"0{run - 16384:014b}"
        blocks -= run
    runs += "1" * (-len(runs) % 8)
    packed = int(runs, 2).to_bytes(len(runs) // 8, "big").replace(b"\xff", b"\xff\0")
    one_code = bytes([1] + [0] * 15)
    return (
        b"\xff\xd8"
        + _segment(0xDB, b"\0" + b"\1" * 64)
        + _segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00")
        + _segment(0xC4, b"\x00" + one_code + b"\x00")
        + _segment(0xC4, b"\x10" + one_code + b"\xe0")
        + _segment(0xDA, b"\x01\x01\x00\x00\x00\x00")
        + (_segment(0xDA, b"\x01\x01\x00\x01\x3f\x10") + packed) * (scans - 1)
        + b"\xff\xd9"
    )


def flooded_jpeg(part: bytes, *, in_scan: bool = False) -> bytes:
    """A small JPEG with `part` again and again, before its first segment or at its end."""
    plain, at = jpeg(), -2 if in_scan else 2
    return plain[:at] + part * (FLOOD // len(part)) + plain[at:]


FLOODS = {
    "restarts": b"\xff\xd0",
    "fill bytes": b"\xff",
    "empty segments": _segment(0xE0, b""),
    "pieces of EXIF": _segment(0xE1, b"Exif\0\0aaaa"),
    "tables": _segment(0xDB, (b"\0" + b"\1" * 64) * 1000),
}
SCAN_FLOODS = {"fill bytes": b"\xff", "restarts": b"\xff\xd0", "zeros": b"\xff\0"}


def with_chunks(plain: bytes, name: bytes, content: bytes, count: int = 1) -> bytes:
    """A PNG with another chunk, `count` times, behind its first."""
    return plain[:33] + _chunk(name, content) * count + plain[33:]


def flooded_png(name: bytes, content: bytes) -> bytes:
    """A small PNG with a chunk again and again."""
    return with_chunks(png(), name, content, FLOOD // (12 + len(content)))


def png_with_profiles() -> bytes:
    """Each of its colour profiles unfolds to a megabyte."""
    return flooded_png(b"iCCP", b"a\0\0" + zlib.compress(bytes(1024 * 1024 - 10), 9))


def flooded_gif() -> bytes:
    """A comment in pieces of one letter before the picture."""
    plain = gif()
    at = plain.index(b",", 13 + 3 * 2 ** ((plain[10] & 7) + 1))
    return plain[:at] + b"!\xfe" + b"\x01a" * (FLOOD // 2) + b"\0" + plain[at:]


def gif_with_a_large_canvas() -> bytes:
    """One pixel on a canvas of 64 million."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 8000, 8000, 0x80, 0, 0) + bytes(3) + b"\xff\xff\0"
    return screen + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00;"


def grey_tiff(width: int, height: int, tags: dict[int, list[int]], content: bytes) -> bytes:
    """A TIFF with `tags` beside the usual ones; offsets among them count from `content`."""
    values = {256: [width], 257: [height], 258: [8], 259: [1], 262: [1], 277: [1]} | tags
    place = 8 + 2 + 12 * len(values) + 4
    content_at = place + sum(4 * len(numbers) for numbers in values.values() if len(numbers) > 1)
    directory, arrays = struct.pack("<H", len(values)), b""
    for tag, numbers in sorted(values.items()):
        if tag in (273, 324):
            numbers = [number + content_at for number in numbers]
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            packed, arrays = struct.pack("<I", place + len(arrays)), arrays + packed
        directory += struct.pack("<HHI", tag, 4, len(numbers)) + packed
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + arrays + content


def tiff_of_overlapping_strips() -> bytes:
    """Each row begins four bytes behind the one before."""
    rows = range(30_000)
    strips = {273: [4 * row for row in rows], 278: [1], 279: [2000 for row in rows]}
    return grey_tiff(2000, 30_000, strips, bytes(130_000))


def tiff_of_tiny_tiles() -> bytes:
    """Four million tiles of four by four pixels, all the same."""
    count = 8000 // 4 * 8000 // 4
    tiles = {322: [4], 323: [4], 324: [0] * count, 325: [16]}
    return grey_tiff(8000, 8000, tiles, bytes(16))


def tiff_of_a_huge_tile() -> bytes:
    """One pixel, on a tile of 900 million."""
    packer, row = zlib.compressobj(1), bytes(30_000)
    content = b"".join(packer.compress(row) for _ in range(30_000)) + packer.flush()
    tile = {259: [8], 322: [30_000], 323: [30_000], 324: [0], 325: [len(content)]}
    return grey_tiff(1, 1, tile, content)


def tiff_of_the_same_bytes() -> bytes:
    """Three thousand strips that are unpacked from the same megabyte, which holds nothing."""
    content = b"\x78\x01" + b"\0\0\0\xff\xff" * 200_000 + zlib.compress(bytes(10))[2:]
    strips = {259: [8], 273: [0] * 3000, 278: [1], 279: [len(content)] * 3000}
    return grey_tiff(10, 3000, strips, content)


def tiff_of_many_scans() -> bytes:
    """A JPEG of many scans in a TIFF."""
    content = many_scans(90)
    strip = {259: [7], 273: [0], 278: [8000], 279: [len(content)]}
    return grey_tiff(8000, 8000, strip, content)


def flooded_tiff() -> bytes:
    """A big TIFF with a million tags that are all the same."""
    tag = struct.pack("<HHQQ", 256, 4, 1, 1)
    return b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 1_000_000) + tag * 1_000_000 + bytes(8)
