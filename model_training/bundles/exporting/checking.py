"""Does an export answer as the network that it was made from?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_training.bundles.exporting.backend import ExportedBackend, Floats
from model_training.bundles.exporting.inference import find_resizing
from model_training.datasets.pictures.views import View
from model_training.judging.judge import Judge
from model_training.networks.backend import KerasBackend
from model_training.networks.cutting import split_network

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-3
"""How far a feature, a probability or a novelty from an export may lie from the original's.

Runtimes add up in another order, which moves probabilities by less than a hundredth of this.  What
a wrong conversion does, such as one that leaves augmentation on, is a hundred times as much.
"""
JUDGED_PICTURES = 12
_BATCH = 50


class Differs(Exception):
    """An export does not answer as the network does; the message says in what."""


@dataclass(frozen=True)
class Difference:
    """The largest differences between a network and its export.

    Args:
        features, probabilities: on `images` images.
        answers: of a probability or a novelty among the judge's answers on `pictures` pictures,
            which are 0 where the export does not take what the judge would show it.
    """

    features: float
    probabilities: float
    images: int
    answers: float
    pictures: int


def check(
    network: keras.Model, judge: Judge, exported: ExportedBackend, images: NDArray[np.uint8]
) -> Difference:
    """Compare `network` with what it was exported to.

    Args:
        images: real ones, uint8 (count, side, side, 3); they are shown as they are or enlarged, as
            the export takes them, and the judge is shown pictures made of some of them.

    Raises:
        Differs: a shape is another, or a number is none or off by more than `TOLERANCE`, or one of
            them knows what the other does not.
    """
    features, probabilities = _outputs(network, exported, images)
    pictures = [
        views
        for views in map(judge.views, _pictures(judge, images[:JUDGED_PICTURES]))
        if exported.side in (None, len(views[0].pixels))
    ]
    answers = _answers(judge, pictures, KerasBackend(network), exported) if pictures else 0.0
    return Difference(features, probabilities, len(images), answers, len(pictures))


def _outputs(
    network: keras.Model, exported: ExportedBackend, images: NDArray[np.uint8]
) -> tuple[float, float]:
    """Return by how much a feature and a probability differ at most."""
    import keras

    lower, upper, _name = split_network(network)
    largest = {"feature": 0.0, "probability": 0.0}
    for pixels in _at_every_size(network, exported, images):
        features = lower(pixels, training=False)
        expected = (features, upper(features, training=False))
        for name, wanted, found in zip(largest, expected, exported.run(pixels), strict=True):
            wanted = np.asarray(keras.ops.convert_to_numpy(wanted), np.float32)
            if found.shape != wanted.shape or not np.isfinite(found).all():
                raise Differs(
                    f"for each {name} it gives {found.shape} where the network gives "
                    f"{wanted.shape}, or what is no number"
                )
            largest[name] = max(largest[name], float(np.abs(found - wanted).max()))
    for name, difference in largest.items():
        if difference > TOLERANCE:
            raise Differs(
                f"on {len(images)} test images a {name} is off by up to {difference:.4f}, and "
                f"{TOLERANCE:g} is allowed"
            )
    return largest["feature"], largest["probability"]


def _at_every_size(
    network: keras.Model, exported: ExportedBackend, images: NDArray[np.uint8]
) -> Iterator[Floats]:
    """Yield the images, float32, a batch at a time, in every size in which they are checked."""
    import keras

    sizes = {exported.side}
    if exported.side is None:
        # As they are, where the network enlarges them, and larger than it works at.
        resizing = find_resizing(network)
        sizes = {images.shape[1], resizing.height + 31 if resizing else images.shape[1] + 31}
    for size in sorted(size for size in sizes if size is not None):
        resize = keras.layers.Resizing(size, size, interpolation="bicubic")
        for start in range(0, len(images), _BATCH):
            pixels = images[start : start + _BATCH].astype(np.float32)
            yield np.asarray(keras.ops.convert_to_numpy(resize(pixels)), np.float32)


def _pictures(judge: Judge, images: NDArray[np.uint8]) -> Iterator[Image.Image]:
    """Yield `images` enlarged to the shape of a photo, every third as it is."""
    wide = (judge.plan.side * 2, judge.plan.side * 3 // 2)
    for number, image in enumerate(images):
        picture = Image.fromarray(image)
        yield picture.resize(wide, Image.Resampling.BICUBIC) if number % 3 else picture


def _answers(
    judge: Judge,
    pictures: list[list[View]],
    original: KerasBackend,
    exported: ExportedBackend,
) -> float:
    """Return by how much a probability or a novelty of the judge's answers differs at most."""
    largest = 0.0
    wanted, found = (judge.judge(pictures, backend) for backend in (original, exported))
    for one, other in zip(wanted, found, strict=True):
        difference = max(
            float(np.abs(one.probabilities - other.probabilities).max()),
            abs(one.novelty - other.novelty),
        )
        if not difference <= TOLERANCE:
            raise Differs(
                f"of {len(pictures)} pictures the judge's answer is off by up to "
                f"{difference:.4f}, and {TOLERANCE:g} is allowed"
            )
        # Right at the threshold the last digit may decide.
        at_the_threshold = abs(one.novelty - judge.threshold.novelty) <= TOLERANCE
        if one.known != other.known and not at_the_threshold:
            raise Differs("the judge knows a picture by one and not by the other")
        largest = max(largest, difference)
    return largest
