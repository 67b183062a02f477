"""MobileNetV2 of M. Sandler et al., 2018, carried over from ImageNet.

Input sizes are those that are odd at every stride (97, 129, 161): only then does padding fall where
the weights learned to expect it.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from model_training.datasets.augmentation import Augmentation, Transform
from model_training.networks.pretrained import Pretrained
from model_training.recipes.phase import Optimizer, Phase, Schedule
from model_training.recipes.recipe import Recipe
from model_training.recipes.space import DROPOUT
from model_training.recipes.transfer.imagenet import (
    USE_FROZEN,
    USE_PRETRAINED,
    freeze_batch_normalization,
    scaled_input,
)

if TYPE_CHECKING:
    import keras


def build(size: int, classes: int = 10) -> keras.Model:
    """Build MobileNetV2 with its preprocessing: RGB of any size, 0 to 255, to probabilities."""
    import keras
    from keras import layers

    inputs, x = scaled_input(size, "bicubic")
    with warnings.catch_warnings():
        # Keras warns that it has no weights of its own for this size; those for 224 serve.
        warnings.filterwarnings("ignore", "`input_shape` is undefined")
        base = keras.applications.MobileNetV2(include_top=False, weights=None, input_tensor=x)
    freeze_batch_normalization(base)
    x = layers.GlobalAveragePooling2D(name="head_pool")(base.output)
    x = layers.Dropout(0.2, name="head_dropout")(x)
    outputs = layers.Dense(classes, activation="softmax", name="probabilities")(x)
    return keras.Model(inputs, outputs, name=f"mobilenetv2_{size}")


# A CIFAR-10 image enlarged five times with hard edges looks sharp to a network, and a resized one
# blurred; a photo is somewhere in between.
FOUR_VIEWS = (
    Transform(),
    Transform(flip=True),
    Transform(enlarge=5),
    Transform(flip=True, enlarge=5),
)

HEAD = Phase(
    epochs=20,
    batch_size=256,
    optimizer=Optimizer("adam", 2e-3, weight_decay=1e-3),
    schedule=Schedule(warmup=0.1),
    learns_from="head_dropout",
    views=FOUR_VIEWS,
)

FROZEN = Recipe(
    name="mobilenetv2-frozen",
    title="MobileNetV2 at 161 pixels, frozen",
    summary="ImageNet's MobileNetV2 as it is, with one layer of our own on its pooled output.",
    input_size=161,
    parameters=2_270_794,
    phases=(HEAD,),
    reported=None,
    build=partial(build, 161),
    pretrained=Pretrained("MobileNetV2"),
    space=DROPOUT,
    use=USE_FROZEN,
)

# Adam: with its statistics frozen, the network does not survive a step of SGD at a useful rate.
ALL_SMALL = Phase(
    epochs=3,
    batch_size=64,
    optimizer=Optimizer("adam", 3e-4),
    schedule=Schedule(warmup=0.2, end=0.7),
    label_smoothing=0.1,
    augmentation=Augmentation(shift=2, flip="alternating", enlarge=(1, 1, 1, 5)),
    input_size=97,
)

FINETUNED = Recipe(
    name="mobilenetv2-finetuned",
    title="MobileNetV2 at 129 pixels, fine-tuned",
    summary="ImageNet's MobileNetV2: a head first, then every layer at a low rate, on small "
    "pictures before large ones.",
    input_size=129,
    parameters=2_270_794,
    phases=(
        replace(HEAD, epochs=8, views=FOUR_VIEWS[:2]),
        ALL_SMALL,
        replace(
            ALL_SMALL,
            epochs=5,
            optimizer=Optimizer("adam", 2e-4),
            schedule=Schedule(warmup=0.1, start=0.5),
            input_size=None,
        ),
    ),
    reported=None,
    build=partial(build, 129),
    pretrained=Pretrained("MobileNetV2"),
    space=DROPOUT,
    use=USE_PRETRAINED,
)
