"""SqueezeNet 1.1 of F. Iandola et al., 2016, carried over from ImageNet.

Keras does not have it, so its layers are built here, under the names of the Caffe network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_training.datasets.augmentation import Augmentation, Transform
from model_training.networks.pretrained import Pretrained
from model_training.recipes.ending import ended
from model_training.recipes.phase import Optimizer, Phase, Schedule
from model_training.recipes.recipe import Recipe, Reported
from model_training.recipes.space import DROPOUT
from model_training.recipes.transfer.imagenet import (
    SOURCE,
    USE_PRETRAINED,
    centred_input,
    reverse_channels,
)

if TYPE_CHECKING:
    import keras

SIDE = 64
SQUEEZED = {2: 16, 3: 16, 4: 32, 5: 32, 6: 48, 7: 48, 8: 64, 9: 64}
"""The 1x1 filters of each fire module; it expands them to eight times as many."""
LAYERS = (
    "conv1",
    *(
        f"fire{number}_{part}"
        for number in SQUEEZED
        for part in ("squeeze1x1", "expand1x1", "expand3x3")
    ),
)


def build_base(x: keras.KerasTensor) -> keras.KerasTensor:
    """Build SqueezeNet 1.1 up to its last fire module on `x`, centred RGB."""
    from keras import layers

    x = layers.Conv2D(64, 3, strides=2, activation="relu", name="conv1")(x)
    for number, filters in SQUEEZED.items():
        if number in (2, 4, 6):
            x = layers.MaxPooling2D(3, strides=2, name=f"pool{number - 1}")(x)
        name, options = f"fire{number}", {"activation": "relu", "padding": "same"}
        x = layers.Conv2D(filters, 1, name=f"{name}_squeeze1x1", **options)(x)
        parts = [
            layers.Conv2D(4 * filters, side, name=f"{name}_expand{side}x{side}", **options)(x)
            for side in (1, 3)
        ]
        x = layers.Concatenate(name=f"{name}_concat")(parts)
    return x


def build(classes: int = 10) -> keras.Model:
    """Build SqueezeNet at 64 pixels: RGB of any size, 0 to 255, to probabilities.

    Not given in the source: the size of the input; 64 here, the smallest at which the last layers
    still see more than one place.  A dense layer on the mean over all places stands for the last
    1x1 convolution, which is the same without its ReLU.
    """
    from keras import layers

    inputs, x = centred_input(SIDE)
    x = layers.GlobalAveragePooling2D(name="head_pool")(build_base(x))
    x = layers.Dropout(0.5, name="drop9")(x)
    return ended(inputs, x, classes, "squeezenet_64")


# Not given in the source, beyond that no layer is frozen: the epochs, the optimizer and the
# augmentation.  The head comes first, as the wild gradients of a fresh one spoil what lies below.
HEAD = Phase(
    epochs=5,
    batch_size=256,
    optimizer=Optimizer("adam", 2e-3),
    schedule=Schedule(warmup=0.1),
    learns_from="head_pool",
    views=(Transform(),),
)

SQUEEZENET = Recipe(
    name="squeezenet",
    title="SqueezeNet at 64 pixels, fine-tuned",
    summary="ImageNet's SqueezeNet 1.1: a head first, then every layer at a low rate.",
    input_size=SIDE,
    parameters=727_626,
    phases=(
        HEAD,
        Phase(
            epochs=8,
            batch_size=128,
            optimizer=Optimizer("adam", 3e-4),
            schedule=Schedule(warmup=0.1),
            augmentation=Augmentation(shift=2, flip="alternating"),
        ),
    ),
    reported=Reported(
        f"{SOURCE}, SqueezeNet, of validation images",
        0.7,
        differs=("the source does not say how large its input was, and tells validation only",),
    ),
    build=build,
    pretrained=Pretrained("SqueezeNet 1.1", reverse_channels("conv1"), LAYERS),
    space=DROPOUT,
    use=USE_PRETRAINED,
)
