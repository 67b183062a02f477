"""From the modes in which pictures come to the one in which networks are shown them: RGB, sRGB."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from model_training.datasets.pictures import sanitizer


def eight_bits(image: Image.Image) -> Image.Image:
    """Return the same picture in mode L, RGB or CMYK, opaque."""
    if image.mode.startswith("I;16"):
        # convert() would clip, which turns nearly every pixel white.
        deep = np.array(image)
        if isinstance(clear := image.info.get("transparency"), int):
            deep[deep == clear] = 65535
        return Image.fromarray((deep >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        # Such files do not say which number is white (1, 255, 65535 and degrees are all in use),
        # so the darkest becomes black and the brightest white.
        return _stretched(np.asarray(image))
    if image.has_transparency_data:
        # White, because pictures with the background cut out were made to lie on a white page,
        # and because the colour stored under clear pixels is usually black or garbage.
        clear_image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(clear_image, mask=clear_image.getchannel("A"))
        return white
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _stretched(numbers: NDArray[np.generic]) -> Image.Image:
    # A few rows at a time: the numbers of a large picture in one go take seconds and a gigabyte.
    step = max(1, 2**18 // numbers.shape[1])
    bands = [slice(top, top + step) for top in range(0, len(numbers), step)]
    low, high = np.inf, -np.inf
    for band in bands:
        values = np.asarray(numbers[band], np.float32)
        known = values[np.isfinite(values)]
        if known.size:
            low, high = min(low, float(known.min())), max(high, float(known.max()))
    if low > high:
        low = high = 0.0
    levels = np.empty(numbers.shape, np.uint8)
    for band in bands:
        values = np.asarray(numbers[band], np.float32)
        with np.errstate(all="ignore"):
            values = (values - low) * (255 / (high - low or 1))
        values = np.nan_to_num(values, nan=0, posinf=255, neginf=0).clip(0, 255)
        levels[band] = values.round().astype(np.uint8)
    return Image.fromarray(levels)


def srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the same picture in mode RGB and the colours of sRGB."""
    if profile and len(profile) <= sanitizer.MOST_PROFILE:
        with suppress(Exception):  # a broken profile, or one for other colours: do without it
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            # Most profiles are sRGB already: those pixels are left exactly as they are.
            if not ImageCms.getProfileDescription(source).startswith("sRGB"):
                target = ImageCms.createProfile("sRGB")
                changed = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
                if changed is not None:
                    return changed
    return image.convert("RGB")
