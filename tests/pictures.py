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
