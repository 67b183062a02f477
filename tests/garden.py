"""A data set that has nothing of CIFAR-10: seven classes of drawn things, 24x24 pixels.

It is not balanced, its test images fill no whole sheet, and a network can learn it only in part.
"""

from __future__ import annotations

import hashlib

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from model_training.datasets.dataset import DataSet, ImageSet
from model_training.datasets.description import About, Note
from model_training.datasets.registry import KnownDataSet
from model_training.recipes import Optimizer, Phase, Recipe, Schedule

NAME, TITLE = "garden", "Garden finds"
CLASSES = ("acorn", "beetle", "clover", "daisy", "fern", "moss", "snail")
SIDE = 24
TEST_IMAGES = sum(20 + label for label in range(len(CLASSES)))
ABOUT = About(
    lead="Small drawings of what lies in a garden, in seven kinds.",
    notes=(Note(title="How they were drawn", text="Stripes of two colours."),),
    means="What is left are the stripes.",
)


KNOWN = KnownDataSet(NAME, TITLE, CLASSES, SIDE, None, lambda *_arguments: make_garden(), ABOUT)
"""The data set as the catalogue would have it."""


def make_garden(seed: int = 7) -> DataSet:
    """Draw the data set: each class has other stripes, and a tenth of the labels wrong."""
    rng = np.random.default_rng(seed)
    train = _draw(rng, [40 + 5 * label for label in range(len(CLASSES))])
    test = _draw(rng, [20 + label for label in range(len(CLASSES))])
    digest = hashlib.sha256((train.digest() + test.digest()).encode()).hexdigest()
    return DataSet(NAME, TITLE, CLASSES, train, test, digest, "the tests", ABOUT)


def _draw(rng: np.random.Generator, counts: list[int]) -> ImageSet:
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.uint8)
    rng.shuffle(labels)
    other = rng.integers(0, len(counts), len(labels))
    shown = np.where(rng.random(len(labels)) < 0.1, other, labels)
    images = np.stack([_stripes(rng, int(one)) for one in shown])
    return ImageSet(images, labels)


def _stripes(rng: np.random.Generator, kind: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    angle, phase = kind * np.pi / len(CLASSES), rng.uniform(0, 2 * np.pi)
    waves = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * 0.9 + phase)
    colour = 60 + 40 * np.array([kind % 3, kind // 3, 2 - kind % 3])
    # In two colours: noise would take many seconds to be packed without loss.
    return np.where(waves[..., None] > 0.3, colour + 90, colour - 40).astype(np.uint8)


def build(classes: int = len(CLASSES)) -> keras.Model:
    """Make an untrained network of one convolution."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(12, 5, strides=2)(x)
    x = layers.BatchNormalization(momentum=0.8)(x)
    x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax", dtype="float32")(x))


SPROUT = Recipe(
    name="sprout",
    title="Sprout",
    summary="One convolution that looks for stripes.",
    input_size=SIDE,
    parameters=1_051,
    phases=(
        Phase(
            epochs=6,
            batch_size=16,
            optimizer=Optimizer("adam", 0.01),
            schedule=Schedule(warmup=0.3),
        ),
    ),
    reported=None,
    build=build,
    data_set=NAME,
)
