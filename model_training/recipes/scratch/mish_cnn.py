"""A small network with Mish activations (D. Misra, 2019): 404,778 parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model_training.datasets.augmentation import Augmentation
from model_training.recipes.ending import ended
from model_training.recipes.phase import EarlyStopping, Optimizer, Phase
from model_training.recipes.recipe import Recipe, Reported
from model_training.recipes.scratch.blocks import block
from model_training.recipes.scratch.inputs import SOURCE, USE, standardized
from model_training.recipes.space import DROPOUT

if TYPE_CHECKING:
    import keras

MISH: dict[str, Any] = {"activation": "mish", "kernel_initializer": "he_uniform"}
BLOCKS = (((32, 32), 0.2), ((64, 64), 0.3), ((128,), 0.4))


def build(classes: int = 10) -> keras.Model:
    """Build the network: raw RGB (batch, 32, 32, 3) to probabilities (batch, classes)."""
    import keras
    from keras import layers

    inputs, x = standardized()
    for number, (widths, dropout) in enumerate(BLOCKS, start=1):
        penalty = keras.regularizers.L2(1e-3)
        x = block(x, number, widths, dropout=dropout, kernel_regularizer=penalty, **MISH)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(128, name="dense", **MISH)(x)
    x = layers.BatchNormalization(name="dense_bn")(x)
    x = layers.Dropout(0.5, name="dense_dropout")(x)
    return ended(inputs, x, classes, "cnn_mish")


CNN_MISH = Recipe(
    name="cnn-mish",
    title="CNN with Mish",
    summary="Five convolutions with Mish activations, the smallest network here.",
    input_size=32,
    parameters=404_778,
    phases=(
        Phase(
            epochs=100,
            batch_size=128,
            # Not given in the source: the rate; Adam's usual one here.
            optimizer=Optimizer("adam", 1e-3),
            augmentation=Augmentation(shift=3, flip="random", rotation=15),
            early_stopping=EarlyStopping(patience=10),
        ),
    ),
    reported=Reported(f"{SOURCE}, its network with Mish", 0.86),
    build=build,
    space=DROPOUT,
    use=USE,
)
