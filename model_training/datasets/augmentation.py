"""What is done to images before a network sees them: random augmentation while it learns, and the
fixed transforms of frozen features and of test-time augmentation.

A transform changes images of a data set; a view (`datasets.pictures.views`) is cut from a photo.

Arithmetic on uint8 arrays, (count, height, width, 3): the same on every backend, and a function of
the seed alone, so that a resumed training sees what it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.warping import warp

Images = NDArray[np.uint8]
Factors = NDArray[np.float64]
ALL = slice(None)


@dataclass(frozen=True)
class Transform:
    """A fixed change of images: mirrored or not, shifted by whole pixels, reflected at the edge.

    Args:
        down, right: pixels by which the content is shifted.
        enlarge: how many times each pixel is repeated each way, which keeps edges sharp where a
            network's own resizing would blur them.
    """

    flip: bool = False
    down: int = 0
    right: int = 0
    enlarge: int = 1

    @property
    def key(self) -> str:
        """Return the name by which features are kept: it must not change, or they are lost."""
        # `View` was the name of this class when the first features were kept.
        return (
            f"View(flip={self.flip}, down={self.down}, right={self.right}, enlarge={self.enlarge})"
        )

    def on_larger(self, times: float) -> Transform:
        """Return the same transform for images `times` as large, whose edges need no sharpening."""
        return replace(
            self, down=round(self.down * times), right=round(self.right * times), enlarge=1
        )

    def __call__(self, images: Images) -> Images:
        """Return `images` transformed, `enlarge` times as large."""
        reach = max(abs(self.down), abs(self.right))
        if reach:
            count, height, width, _ = images.shape
            top, left = reach - self.down, reach - self.right
            images = _padded(images, reach)[:, top : top + height, left : left + width]
        if self.flip:
            images = images[:, :, ::-1]
        if self.enlarge > 1:
            images = images.repeat(self.enlarge, axis=1).repeat(self.enlarge, axis=2)
        return np.ascontiguousarray(images)


GREY = 121
"""The mean of all CIFAR-10 training images and channels, for which the recipes here are made."""


_PIXELS = ("shift", "cutout")
_STRENGTHS = (*_PIXELS, "rotation", "shear", "zoom", "light")


@dataclass(frozen=True)
class Augmentation:
    """Random changes of each image while a network learns.

    Args:
        shift: the most pixels that an image is shifted each way, reflected at the edge.
        flip: mirror half of the images: "random" draws anew each epoch; "alternating" draws once
            and then mirrors each image in every second epoch, so that two epochs show both sides
            (K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024).
        enlarge: how many times pixels are repeated each way (as in `Transform`); batches take
            these numbers in turn.
        cutout: side in pixels of a square put over each image at a random place (T. DeVries and
            G. Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout",
            2017).
        grey: the brightness of that square, 0 to 255.  A run sets it to the mean of its data set.
        rotation: the most degrees by which an image is turned either way.
        shear: the most degrees by which its upright edges are made to lean either way.
        zoom: the largest share by which it is enlarged or reduced, such as 0.1.
        light: the largest share by which its brightness and its contrast change, each.
    """

    shift: int = 0
    flip: Literal["none", "random", "alternating"] = "none"
    cutout: int = 0
    enlarge: tuple[int, ...] = (1,)
    grey: int = GREY
    rotation: float = 0.0
    shear: float = 0.0
    zoom: float = 0.0
    light: float = 0.0

    def describe(self) -> str:
        """Return a description of the augmentation for the card; empty if there is none."""
        words = []
        if self.rotation:
            words.append(f"turned by up to {self.rotation:g}° either way")
        if self.shear:
            words.append(f"sheared by up to {self.shear:g}°")
        if self.zoom:
            words.append(f"enlarged or reduced by up to {self.zoom:.0%}")
        if self.light:
            words.append(f"brightness and contrast changed by up to {self.light:.0%}")
        if self.shift:
            words.append(f"shifts of up to {_pixels(self.shift)} each way, reflected at the edge")
        if self.flip == "random":
            words.append("half of the images mirrored, drawn anew each epoch")
        if self.flip == "alternating":
            words.append("every image mirrored in every second epoch")
        if self.cutout:
            words.append(f"a grey square of {_pixels(self.cutout)}")
        if factors := [factor for factor in self.enlarge if factor > 1]:
            some = "one batch" if len(factors) == 1 else f"{len(factors)} batches"
            which = f"{some} in {len(self.enlarge)} " if len(factors) < len(self.enlarge) else ""
            words.append(which + _enlarged(factors))
        return "; ".join(words)

    @property
    def varies(self) -> bool:
        """Return whether it does anything of which there could be more or less."""
        return any(getattr(self, name) for name in _STRENGTHS)

    def times(self, strength: float) -> Augmentation:
        """Return the same with every change `strength` times as large; mirroring stays."""
        if strength == 1:
            return self
        changed = {name: getattr(self, name) * strength for name in _STRENGTHS}
        return replace(self, **{n: round(v) if n in _PIXELS else v for n, v in changed.items()})

    def on_larger(self, times: float) -> Augmentation:
        """Return the same for images `times` as large, whose edges need no sharpening."""
        return replace(
            self,
            shift=round(self.shift * times),
            cutout=round(self.cutout * times),
            enlarge=(1,),
        )


def at_least(own: Augmentation, least: Augmentation) -> Augmentation:
    """Return `own` with every change at least as large as in `least`, and mirrored if that is."""
    larger = {name: max(getattr(own, name), getattr(least, name)) for name in _STRENGTHS}
    return replace(own, flip=least.flip if own.flip == "none" else own.flip, **larger)


def describe_transforms(views: tuple[Transform, ...]) -> str:
    """Return a description of `views` for the card; empty if images are left as they are."""
    words = []
    flips = {one.flip for one in views}
    if True in flips:
        words.append("mirrored or not" if False in flips else "mirrored")
    if reach := max(max(abs(one.down), abs(one.right)) for one in views):
        words.append(f"moved by up to {_pixels(reach)}")
    if factors := [one.enlarge for one in views if one.enlarge > 1]:
        words.append(_enlarged(factors) + (" or not" if len(factors) < len(views) else ""))
    told = ", ".join(words)
    return told if len(views) == 1 else f"a different one of {len(views)} views each epoch ({told})"


class Augmenter:
    """Draws batches of augmented images.

    Args:
        images: all images to learn from, uint8 (count, height, width, 3).
    """

    def __init__(self, images: Images, augmentation: Augmentation, seed: int) -> None:
        self._augmentation = augmentation
        self._seed = seed
        self._size = images.shape[1:3]
        # Padded once, not for every batch.
        self._padded = _padded(images, augmentation.shift)
        self._first_flip = np.random.default_rng([seed, 1]).random(len(images)) < 0.5

    def batch(self, chosen: NDArray[np.int64], epoch: int, number: int, own: slice = ALL) -> Images:
        """Return the images `chosen`, augmented, as batch `number` of `epoch`.

        Args:
            own: which of them to return; chance is drawn for all, so that a part is what it is in
                the whole.
        """
        rng = np.random.default_rng([self._seed, 2, epoch, number])
        what, (height, width), count = self._augmentation, self._size, len(chosen)
        mine = chosen[own]
        images: Images
        if what.shift:
            offsets = rng.integers(0, 2 * what.shift + 1, (2, count, 1))[:, own]
            rows = (offsets[0] + np.arange(height))[:, :, np.newaxis]
            columns = (offsets[1] + np.arange(width))[:, np.newaxis, :]
            images = self._padded[mine[:, np.newaxis, np.newaxis], rows, columns]
        else:
            images = self._padded[mine]
        if what.flip != "none":
            mirrored = (
                rng.random(count)[own] < 0.5
                if what.flip == "random"
                else self._first_flip[mine] ^ bool(epoch % 2)
            )
            images[mirrored] = images[mirrored, :, ::-1]
        if what.rotation or what.shear or what.zoom:
            most = np.array([what.rotation, what.shear, what.zoom])
            turns, leans, sizes = rng.uniform(-1, 1, (count, 3))[own].T * most[:, np.newaxis]
            images = warp(images, turns, leans, 1 + sizes)
        if what.light:
            light = rng.uniform(1 - what.light, 1 + what.light, (2, count, 1, 1, 1))
            images = _relit(images, *light[:, own])
        if what.cutout:
            top = rng.integers(0, height - what.cutout + 1, (count, 1))[own]
            left = rng.integers(0, width - what.cutout + 1, (count, 1))[own]
            _cut_out(images, what.cutout, what.grey, top, left)
        return Transform(enlarge=what.enlarge[number % len(what.enlarge)])(images)


def _pixels(count: int) -> str:
    return f"{count} pixel{'s' if count != 1 else ''}"


def _enlarged(factors: list[int]) -> str:
    times = " or ".join(str(factor) for factor in sorted(set(factors)))
    return f"enlarged {times} times with hard edges"


def _padded(images: Images, reach: int) -> Images:
    if not reach:
        return images
    return np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")


def _relit(images: Images, brightness: Factors, contrast: Factors) -> Images:
    pixels = images.astype(np.float32) * brightness.astype(np.float32)
    mean = pixels.mean(axis=(1, 2, 3), keepdims=True)
    pixels = mean + (pixels - mean) * contrast.astype(np.float32)
    return np.asarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8))


def _cut_out(
    images: Images, side: int, grey: int, top: NDArray[np.int64], left: NDArray[np.int64]
) -> None:
    _, height, width, _ = images.shape
    rows = (np.arange(height) >= top) & (np.arange(height) < top + side)
    columns = (np.arange(width) >= left) & (np.arange(width) < left + side)
    images[rows[:, :, np.newaxis] & columns[:, np.newaxis, :]] = grey
