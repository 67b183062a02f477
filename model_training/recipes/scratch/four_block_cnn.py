"""Four pairs of convolutions, each with more dropout than the one before.

Not given in the source: Adam's rate; its usual one here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_training.recipes.ending import ended
from model_training.recipes.phase import EarlyStopping, Optimizer, Phase
from model_training.recipes.recipe import Recipe, Reported
from model_training.recipes.scratch.blocks import block
from model_training.recipes.scratch.inputs import SOURCE, USE, scaled
from model_training.recipes.space import DROPOUT

if TYPE_CHECKING:
    import keras

BLOCKS = ((32, 0.25), (64, 0.3), (128, 0.35), (256, 0.4))
"""Filters and dropout.  Not given in the source: all but the first; doubled, and 0.05 more."""


def build(classes: int = 10) -> keras.Model:
    """Build the network: raw RGB (batch, 32, 32, 3) to probabilities (batch, classes)."""
    from keras import layers

    inputs, x = scaled()
    for number, (width, dropout) in enumerate(BLOCKS, start=1):
        x = block(x, number, (width, width), dropout=dropout)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(256, activation="relu", name="dense")(x)
    x = layers.BatchNormalization(name="dense_bn")(x)
    x = layers.Dropout(0.5, name="dense_dropout")(x)
    return ended(inputs, x, classes, "cnn_four_block")


CNN_FOUR_BLOCK = Recipe(
    name="cnn-four-block",
    title="CNN of four blocks",
    summary="Four pairs of convolutions, each with more dropout than the one before.",
    input_size=32,
    parameters=1_442_090,
    phases=(
        Phase(
            epochs=60,
            batch_size=64,
            optimizer=Optimizer("adam", 1e-3),
            early_stopping=EarlyStopping(patience=10),
        ),
    ),
    reported=Reported(
        f"{SOURCE}, its network of four blocks; stopped by the test images",
        0.85,
        0.64,
        differs=("the source let the test images say when to stop, and here 5,000 others did",),
    ),
    build=build,
    space=DROPOUT,
    use=USE,
)
