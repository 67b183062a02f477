"""EfficientNet-Lite0, carried over from ImageNet with all that it knows of photographs.

Its layers stay as they are, and so does its own head of a thousand kinds of thing, which the judge
keeps (`judging.parts.pretrained_head`): it knows photographs that small images say little about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_training.networks.imagenet import efficientnet_lite
from model_training.networks.imagenet.heads import pytorch_head
from model_training.networks.imagenet.pretrained_file import PretrainedFile
from model_training.recipes.phase import Optimizer, Phase, Schedule
from model_training.recipes.recipe import Recipe
from model_training.recipes.transfer.imagenet import USE_FROZEN

if TYPE_CHECKING:
    import keras

LEAST_FEATURE = 1e-6
"""Added under the square root, whose slope at 0 has no end."""
WEIGHT_PENALTY = 0.01
"""Of the squares of the head's weights.  Less makes it better on small images and worse on photos
(`docs/judging-photos.md`)."""


def build(classes: int = 10) -> keras.Model:
    """Build the network with its preprocessing: RGB of any size, 0 to 255, to probabilities.

    The head learns from the square roots of the features, which keep a few large ones from
    dominating.
    """
    import keras
    from keras import layers

    inputs = keras.Input((None, None, 3), name="image")
    side = efficientnet_lite.SIDE
    x = layers.Resizing(side, side, interpolation="bicubic", name="resize")(inputs)
    x = layers.Rescaling(
        [1 / 255 / deviation for deviation in efficientnet_lite.DEVIATION],
        [
            -mean / deviation
            for mean, deviation in zip(
                efficientnet_lite.MEAN, efficientnet_lite.DEVIATION, strict=True
            )
        ],
        name="scale",
    )(x)
    x = efficientnet_lite.convolutions(x)
    x = layers.GlobalAveragePooling2D(name="head_pool")(x)
    x = keras.ops.sqrt(x + LEAST_FEATURE)
    outputs = layers.Dense(
        classes,
        activation="softmax",
        kernel_regularizer=keras.regularizers.L2(WEIGHT_PENALTY),
        name="probabilities",
    )(x)
    return keras.Model(inputs, outputs, name="efficientnet_lite0")


LITE0 = Recipe(
    name="efficientnet-lite0",
    title="EfficientNet-Lite0 at 224 pixels",
    summary="ImageNet's EfficientNet-Lite0 as it is, with a head of our own beside the one it came "
    "with.",
    input_size=efficientnet_lite.SIDE,
    parameters=3_362_810,
    phases=(
        Phase(
            epochs=20,
            batch_size=256,
            optimizer=Optimizer("adam", 2e-3),
            schedule=Schedule(warmup=0.1),
            learns_from="probabilities",
        ),
    ),
    reported=None,
    build=build,
    pretrained=PretrainedFile("efficientnet-lite0", efficientnet_lite.folded, pytorch_head),
    averaged=False,
    use=USE_FROZEN,
)
