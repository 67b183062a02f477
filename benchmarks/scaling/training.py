"""What a step of data-parallel training takes, calculated from the networks that are here."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.site import PROJECT
from model_training.bundles.card import Card
from model_training.bundles.reading import read_bundle
from model_training.datasets.augmentation import Augmenter
from model_training.recipes import find_recipe

TRAINED = ("custom-cnn", "fast-cnn", "best-cnn", "vgg16-finetuned", "mobilenetv2-finetuned")


@dataclass(frozen=True)
class Link:
    """What connects processors: `bytes_a_second` in one direction, for each."""

    name: str
    bytes_a_second: float


@dataclass(frozen=True)
class Network:
    """A network and its training.

    Args:
        parameters: those that learn.
        flops: floating-point operations of one image in a step, forward and back.
        images: that an epoch has.
    """

    name: str
    parameters: int
    flops: float
    batch: int
    epochs: int
    images: int

    def compute(self, images: float, flops_a_second: float) -> float:
        """Return the seconds in which `images` are learned from."""
        return images * self.flops / flops_a_second

    def told(self, count: int, link: Link, divided_among: int = 1) -> float:
        """Return the seconds of a ring all-reduce of the gradients among `count`.

        Each sends 2 (count - 1) / count times what there is (P. Patarasuk and X. Yuan, "Bandwidth
        optimal all-reduce algorithms for clusters of workstations", 2009).

        Args:
            divided_among: of every machine so many send a part each, at the same time.
        """
        size = 4 * self.parameters / divided_among
        return 2 * (count - 1) / count * size / link.bytes_a_second


@cache
def networks_here(names: tuple[str, ...]) -> list[Network]:
    """Return the shipped networks `names`, with the training that their cards tell of."""
    found = []
    for name in names:
        card = card_of(name)
        facts = card.training
        found.append(
            Network(
                name,
                card.trainable_parameters,
                # Backwards costs about twice what forwards does; a multiplication is two with its
                # addition.
                3 * 2 * multiplications(card),
                facts.batch_size,
                facts.epochs,
                facts.images,
            )
        )
    return found


def card_of(name: str) -> Card:
    """Return the card of the shipped network `name`."""
    return read_bundle(PROJECT / "instance" / "models" / name).card


def multiplications(card: Card) -> float:
    """Return the multiplications of one image: a convolution uses each weight once a pixel."""
    total = 0.0
    for layer in card.layers:
        shape = layer.output_shape
        pixels = math.prod(side or card.input_size for side in shape[1:-1]) if shape else 1
        total += pixels * layer.parameters
    return total


def measure_drawing(name: str, rounds: int = 7) -> float:
    """Return the processor seconds in which the recipe `name` draws and augments an image."""
    phase = next(one for one in reversed(find_recipe(name).phases) if one.learns_from is None)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2 * phase.batch_size, 32, 32, 3), np.uint8)
    drawing = Augmenter(images, phase.augmentation, seed=0)
    took = []
    for number in range(rounds):
        chosen = rng.permutation(len(images))[: phase.batch_size]
        begun = time.process_time()
        drawing.batch(chosen, 0, number)
        took.append(time.process_time() - begun)
    return statistics.median(took) / phase.batch_size
