"""VGG16 of K. Simonyan and A. Zisserman, 2014, carried over from ImageNet."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from model_training.datasets.augmentation import Augmentation, Transform
from model_training.networks.pretrained import Pretrained
from model_training.recipes.ending import ended
from model_training.recipes.phase import Optimizer, Phase, Schedule
from model_training.recipes.recipe import Recipe, Reported
from model_training.recipes.space import DROPOUT
from model_training.recipes.transfer.imagenet import (
    SOURCE,
    USE_FROZEN,
    USE_PRETRAINED,
    centred_input,
    reverse_channels,
)

if TYPE_CHECKING:
    import keras


def build_base(size: int) -> tuple[Any, Any]:
    """Build VGG16 without its top, with its preprocessing: RGB of any size, 0 to 255.

    Returns:
        The input, and the output of shape (batch, size / 32, size / 32, 512).
    """
    import keras

    inputs, x = centred_input(size)
    base = keras.applications.VGG16(include_top=False, weights=None, input_tensor=x)
    return inputs, base.output


def build_small(size: int, classes: int = 10) -> keras.Model:
    """Build VGG16 with one hidden layer of 256 on its pooled output."""
    from keras import layers

    inputs, x = build_base(size)
    x = layers.GlobalAveragePooling2D(name="head_pool")(x)
    x = layers.BatchNormalization(momentum=0.9, name="head_bn")(x)
    x = layers.Dense(256, activation="relu", name="head_dense")(x)
    x = layers.Dropout(0.5, name="head_dropout")(x)
    return ended(inputs, x, classes, f"vgg16_{size}")


def build_large(size: int, classes: int = 10) -> keras.Model:
    """Build the reference's VGG16: three hidden layers on the flattened output.

    Not given in the source: the dropout rates; 0.5 here.
    """
    from keras import layers

    inputs, x = build_base(size)
    x = layers.Flatten(name="head_flatten")(x)
    for number, units in enumerate((1024, 512, 256), start=1):
        x = layers.Dense(units, activation="relu", name=f"head_dense{number}")(x)
        x = layers.BatchNormalization(name=f"head_bn{number}")(x)
        x = layers.Dropout(0.5, name=f"head_dropout{number}")(x)
    return ended(inputs, x, classes, f"vgg16_{size}_large")


WEIGHTS = Pretrained("VGG16", reverse_channels("block1_conv1"))
BOTH_SIDES = (Transform(), Transform(flip=True))
FOUR_VIEWS = (*BOTH_SIDES, Transform(down=2, right=-2), Transform(flip=True, down=-2, right=-2))

HEAD = Phase(
    epochs=8,
    batch_size=256,
    optimizer=Optimizer("adam", 2e-3, weight_decay=1e-2),
    schedule=Schedule(warmup=0.1),
    learns_from="head_bn",
    views=BOTH_SIDES,
)

FROZEN_32 = Recipe(
    name="vgg16-frozen-32",
    title="VGG16 at 32 pixels, frozen",
    summary="ImageNet's VGG16 as it is, with a small head of our own on its pooled output.",
    input_size=32,
    parameters=14_850_634,
    phases=(replace(HEAD, epochs=30, views=FOUR_VIEWS),),
    precision="mixed_bfloat16",
    # Not given in the source: the head and everything about its training.
    reported=Reported(
        f"{SOURCE}, VGG16 at 32 pixels",
        0.652,
        1.716,
        differs=("the source does not give its head, and ours learned from four views",),
    ),
    build=partial(build_small, 32),
    pretrained=WEIGHTS,
    space=DROPOUT,
    use=USE_FROZEN,
)

FINETUNED = Recipe(
    name="vgg16-finetuned",
    title="VGG16 at 64 pixels, fine-tuned",
    summary="ImageNet's VGG16: a head first, then the two upper blocks, then every layer at a low "
    "rate.",
    input_size=64,
    parameters=14_850_634,
    phases=(
        replace(HEAD, views=(Transform(),)),
        Phase(
            epochs=4,
            batch_size=64,
            optimizer=Optimizer("adam", 3e-4),
            schedule=Schedule(warmup=0.2, end=0.3),
            label_smoothing=0.1,
            learns_from="block4_conv1",
            views=BOTH_SIDES,
        ),
        Phase(
            epochs=2,
            batch_size=64,
            optimizer=Optimizer("adam", 1.5e-4),
            schedule=Schedule(warmup=0.1, start=0.5),
            label_smoothing=0.1,
            augmentation=Augmentation(shift=2, flip="alternating"),
        ),
    ),
    precision="mixed_bfloat16",
    reported=None,
    build=partial(build_small, 64),
    pretrained=WEIGHTS,
    space=DROPOUT,
    use=USE_PRETRAINED,
)

FIRST = Recipe(
    name="vgg16-first",
    title="VGG16 at 32 pixels, its last block trained",
    summary="ImageNet's VGG16 with its last block unfrozen, on pictures as small as they are.",
    input_size=32,
    parameters=14_850_634,
    # Not given in the source, beyond that it was tuned and unfrozen: everything.  The head of
    # `vgg16-frozen-32`, and then the last block, are trained here.
    phases=(
        replace(HEAD, epochs=4),
        Phase(
            epochs=6,
            batch_size=128,
            optimizer=Optimizer("adam", 1e-4),
            learns_from="block5_conv1",
            views=BOTH_SIDES,
        ),
    ),
    reported=Reported(
        f"{SOURCE}, its first VGG16, of which it gives a rounded figure",
        0.70,
        differs=("the source says nothing of its first VGG16 but what it reached",),
    ),
    build=partial(build_small, 32),
    pretrained=WEIGHTS,
    space=DROPOUT,
    use=USE_PRETRAINED,
)

SCHEDULED = Recipe(
    name="vgg16-scheduled",
    title="VGG16 at 32 pixels, under a schedule",
    summary="ImageNet's VGG16 with three hidden layers, every layer trained as the rate falls.",
    input_size=32,
    parameters=15_905_866,
    # Not given in the source: the layers.  Keras counts the network of `vgg16-frozen-224` as
    # twelve, the whole of VGG16 being one, and it has the three dense layers.  Of the 50 epochs
    # eight are trained here, after a head: more are for a machine with a graphics card.
    phases=(
        replace(HEAD, learns_from="head_flatten", views=BOTH_SIDES),
        Phase(
            epochs=8,
            batch_size=128,
            optimizer=Optimizer("adam", 2e-4),
            schedule=Schedule(warmup=0.15),
            augmentation=Augmentation(shift=3, flip="random"),
        ),
    ),
    reported=Reported(
        f"{SOURCE}, VGG16 with a schedule; 0.88 in another run",
        0.87,
        0.99,
        differs=("a head came first, and then fewer epochs than the source's 50",),
    ),
    build=partial(build_large, 32),
    pretrained=WEIGHTS,
    space=DROPOUT,
    use=USE_PRETRAINED,
)
