"""InceptionResNetV2 of C. Szegedy et al., 2016, carried over from ImageNet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_training.datasets.augmentation import Augmentation
from model_training.networks.pretrained import Pretrained
from model_training.recipes.ending import ended
from model_training.recipes.phase import Optimizer, Phase
from model_training.recipes.recipe import Recipe, Reported
from model_training.recipes.space import DROPOUT
from model_training.recipes.transfer.imagenet import (
    SOURCE,
    TOO_LARGE,
    USE_FROZEN,
    freeze,
    scaled_input,
)

if TYPE_CHECKING:
    import keras


def build(classes: int = 10) -> keras.Model:
    """Build the reference's network: RGB of any size, 0 to 255, enlarged to 299, to probabilities.

    The pretrained layers are frozen in the network itself, as images vary from epoch to epoch.
    Not given in the source: the dropout rates (0.5 and 0.3 here), and Adam's rate.
    """
    import keras
    from keras import layers

    inputs, x = scaled_input(299)
    base = keras.applications.InceptionResNetV2(include_top=False, weights=None, input_tensor=x)
    freeze(base)
    x = layers.GlobalAveragePooling2D(name="head_pool")(base.output)
    for number, (units, rate) in enumerate(((512, 0.5), (128, 0.3)), start=1):
        x = layers.Dense(units, activation="relu", name=f"head_dense{number}")(x)
        x = layers.BatchNormalization(name=f"head_bn{number}")(x)
        x = layers.Dropout(rate, name=f"head_dropout{number}")(x)
    return ended(inputs, x, classes, "inception_resnet_v2")


INCEPTION_RESNET_V2 = Recipe(
    name="inception-resnet-v2",
    title="InceptionResNetV2 at 299 pixels, frozen",
    summary="ImageNet's InceptionResNetV2 as it is, with two hidden layers on its pooled output.",
    input_size=299,
    parameters=55_193_194,
    phases=(
        Phase(
            epochs=4,
            batch_size=256,
            optimizer=Optimizer("adam", 1e-3),
            # Not given in the source: how far images are moved and turned.
            augmentation=Augmentation(shift=3, flip="random", rotation=15),
        ),
    ),
    precision="mixed_bfloat16",
    reported=Reported(f"{SOURCE}, InceptionResNetV2", 0.92),
    build=build,
    pretrained=Pretrained("InceptionResNetV2"),
    space=DROPOUT,
    use=USE_FROZEN,
    not_trained=TOO_LARGE,
)
