"""Open an untrusted picture: the only module that lets a visitor's bytes reach a decoder.

Whatever the bytes are, the result is a Photo or a PhotoError with a sentence for the visitor.
"""

import io
import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from model_training.datasets.pictures import sanitizer
from model_training.datasets.pictures.conversion import eight_bits, srgb

ACCEPTED = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"
LONGEST_SIDE = 30_000  # pixels: longer than any photo
WORKING_SIDE = 1024  # pixels: views of an opened photo are cut from this
NEARLY = Fraction(31, 32)  # of the working side is enough for a JPEG decoded straight to it


class PhotoError(ValueError):
    """A photo cannot be used. message: what is wrong and what to do; status: for HTTP.

    retry_after: seconds after which the same photo may well be taken; None if it never will.
    """

    status = 400
    code = "bad-photo"
    retry_after: int | None = None
    message = "That photo cannot be used. Please choose another one."

    def __init__(self, message: str | None = None) -> None:
        self.message = message or type(self).message
        super().__init__(self.message)


class NoPhoto(PhotoError):
    code = "no-photo"
    message = "No photo was chosen. Please choose a photo first."


class EmptyFile(NoPhoto):
    code = "empty-file"
    message = "That file is empty. Please choose it again, or choose another photo."


class NotAnImage(PhotoError):
    status = 415
    code = "not-an-image"
    message = f"That file is not a picture this site can open. Please choose a {ACCEPTED} picture."


class DamagedPhoto(PhotoError):
    status = 422
    code = "damaged-photo"
    message = (
        "That picture is damaged or incomplete, so it cannot be opened. "
        "Please copy or download it again, or choose another one."
    )


class TooMuchWork(PhotoError):
    status = 422
    code = "too-much-work"
    message = (
        "That picture is stored in a way that makes it far more work to open than its size "
        "justifies. Please save it again as a plain JPEG or PNG and try again."
    )


class Busy(PhotoError):
    status = 503
    code = "busy"
    message = (
        "The site is already opening as many photos as it can. Please try again in a few seconds."
    )
    retry_after = 5  # the largest photos take about two


class PhotoTooLarge(PhotoError):
    status = 413
    code = "photo-too-large"
    message = "That photo is too large. Please make it smaller and try again."

    @classmethod
    def for_pixels(cls, pixels: int, max_pixels: int) -> Self:
        has = math.ceil(pixels / 1e5) / 10  # rounded up, so it never reads the same as the limit
        return cls(
            f"That photo has {has:.1f} megapixels, and the limit is {max_pixels / 1e6:g}. "
            "Please make it smaller and try again."
        )

    @classmethod
    def for_side(cls, side: int) -> Self:
        return cls(
            f"That photo is {side:,} pixels long on one side, and the limit is {LONGEST_SIDE:,}. "
            "Please make it smaller and try again."
        )

    @classmethod
    def for_bytes(cls, max_bytes: int) -> Self:
        return cls(
            f"That file is too large: the limit is {max_bytes / 2**20:g} MB. "
            "Please make it smaller and try again."
        )


@dataclass(frozen=True)
class Photo:
    image: Image.Image  # mode RGB, sRGB, upright, long side <= working_side, no metadata
    original_size: tuple[int, int]  # width, height in pixels, as the visitor sees the photo
    format: str  # "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF" or "AVIF"
    mode: str = "RGB"  # Pillow's name of what a pixel is in the file: "RGB", "L", "CMYK", "P" ...


# The classes are called directly rather than through Image.open, which would stop at its own,
# process-wide pixel limit before the photo's size could be told to the visitor.
# JpegImageFile reads the first, full picture of a phone's MPO file, which is the photo itself; the
# sanitizer has left out the others.
_OPENERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
_BEGINNINGS = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
}
_BMP_HEADER_LENGTHS = {12, 16, 40, 52, 56, 64, 108, 124}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_REFUSED = {
    "HEIC": "That is an HEIC photo, which this site cannot open. "
    "Please save or export it as JPEG and try again.",
    "RLE": "That is a run-length encoded BMP picture, which this site cannot open. "
    "Please save it as PNG and try again.",
    "SVG": "That is an SVG drawing, which this site cannot open. "
    "Please save or export it as PNG and try again.",
    "PDF": "That is a PDF document, not a picture. Please save the picture in it as JPEG or PNG.",
    "VIDEO": "That is a video, not a picture. Please save one moment of it as a photo.",
}
_T = Image.Transpose
_TURNS = {2: _T.FLIP_LEFT_RIGHT, 3: _T.ROTATE_180, 4: _T.FLIP_TOP_BOTTOM, 5: _T.TRANSPOSE}
_TURNS |= {6: _T.ROTATE_270, 7: _T.TRANSVERSE, 8: _T.ROTATE_90}


def open_here(data: bytes, kind: str, max_pixels: int, working_side: int) -> Photo:
    """Open `data`, a picture file of a `kind` that its beginning tells, in this process.

    Raises PhotoTooLarge, TooMuchWork or DamagedPhoto, and nothing else.
    """
    # Pillow warns about odd metadata in photos that are otherwise fine. Two threads may leave this
    # filter in place, which does no harm: it names Pillow only.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            needed = sanitizer.cleared(data, kind, max_pixels)
            return _decode(needed, kind, max_pixels, working_side)
        except PhotoError:
            raise
        except (sanitizer.Trap, MemoryError) as trap:
            raise TooMuchWork from trap
        except Image.DecompressionBombError as error:
            # Pillow itself measures a WebP first, and gives its size only in this message.
            pixels = re.search(r"\d+", str(error))
            raise PhotoTooLarge.for_pixels(int(pixels[0]) if pixels else 0, max_pixels) from error
        except Exception as error:  # decoders raise nearly anything when the bytes are bad
            raise DamagedPhoto from error


def open_photo(
    data: bytes,
    *,
    max_pixels: int,
    working_side: int = WORKING_SIDE,
    decode: Callable[[bytes, str, int, int], Photo] = open_here,
) -> Photo:
    """Open `data`, the bytes of a picture file, whatever the file was called.

    `max_pixels` is compared with width x height before anything is decoded. The long side of the
    returned image is reduced to `working_side` pixels if it was longer; it is never enlarged.
    `decode` is `open_here`, or the same in a process that can be killed (`decoders`).
    Raises EmptyFile, NotAnImage, PhotoTooLarge, TooMuchWork or DamagedPhoto, and nothing else but
    what `decode` adds: a process may be Busy.
    """
    return decode(data, _accepted(data), max_pixels, working_side)


def _accepted(data: bytes) -> str:
    if not data:
        raise EmptyFile
    kind = _kind(data)
    if kind in _REFUSED:
        raise NotAnImage(_REFUSED[kind])
    if kind not in _OPENERS:
        raise NotAnImage
    return kind


def _kind(data: bytes) -> str:
    for kind, beginnings in _BEGINNINGS.items():
        if data.startswith(beginnings):
            return kind
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    # A text may well start with "BM", so the length of a BMP's second header is checked too.
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADER_LENGTHS:
        return "RLE" if sanitizer.is_run_length_bmp(data) else "BMP"
    if data[4:8] == b"ftyp":
        # The first brand is often only "mif1", which AVIF and HEIC share: look at all of them.
        end = min(int.from_bytes(data[:4], "big"), 256)
        brands = {data[at : at + 4] for at in (8, *range(16, end, 4))}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        return "HEIC" if brands & _HEIF_BRANDS else "VIDEO"
    text = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<svg", b"<?xml", b"<!")) and b"<svg" in text:
        return "SVG"
    return "PDF" if b"%pdf-" in text[:1024] else ""


def _decode(data: bytes, kind: str, max_pixels: int, working_side: int) -> Photo:
    image = _OPENERS[kind](io.BytesIO(data))  # reads the header only
    (width, height), mode = image.size, image.mode
    if width * height > max_pixels:
        raise PhotoTooLarge.for_pixels(width * height, max_pixels)
    longest = max(width, height)
    if longest > LONGEST_SIDE:
        raise PhotoTooLarge.for_side(longest)
    if longest > working_side:
        # A JPEG can be decoded straight to 1/2, 1/4 or 1/8 of its size, never below the size given
        # here, in less time and a quarter of the memory. The other formats ignore this, and a CMYK
        # JPEG keeps its mode. A phone's 4,000 or 4,032 pixels become 1,000 or 1,008 so, and to make
        # 1,024 of 2,000 would take longer than all the rest.
        share = working_side * NEARLY / longest
        image.draft("RGB", (math.ceil(width * share), math.ceil(height * share)))
    image.load()  # verify() would let a file pass that stops half way
    orientation = _orientation(image)
    if orientation in (5, 6, 7, 8):  # lying on its side
        width, height = height, width
    plain = eight_bits(image)
    # Half of a bicubic filter's arithmetic, which is most of what opening a photo of 1,600 pixels
    # takes; what comes out is reduced once more, to what a network sees.
    plain.thumbnail((working_side, working_side), Image.Resampling.HAMMING, reducing_gap=3.0)
    if orientation in _TURNS:
        plain = plain.transpose(_TURNS[orientation])
    plain = srgb(plain, image.info.get("icc_profile"))
    plain.info = {}  # the place, the camera and the old colour profile stay behind
    return Photo(plain, (width, height), kind, mode)


def _orientation(image: Image.Image) -> int:
    # Read after load(), because a TIFF turns itself while loading. ImageOps.exif_transpose is
    # not used: it writes the EXIF block again, and fails on blocks with mistakes elsewhere.
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # an unreadable EXIF block says nothing about the picture
        return 1
