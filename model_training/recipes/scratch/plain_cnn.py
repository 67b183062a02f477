"""Six 3x3 convolutions in three pairs, plain and with batch normalisation and augmentation.

Not given in the source: the batch size, Adam's rate, the rate of the dropout and what the
augmentation does.  Keras' own first three, shifts of a tenth and flips are taken here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from model_training.datasets.augmentation import Augmentation
from model_training.recipes.ending import ended
from model_training.recipes.phase import Optimizer, Phase
from model_training.recipes.recipe import Recipe, Reported
from model_training.recipes.scratch.blocks import block
from model_training.recipes.scratch.inputs import SOURCE, USE, scaled
from model_training.recipes.space import DROPOUT

if TYPE_CHECKING:
    import keras


def build(normalized: bool, classes: int = 10) -> keras.Model:
    """Build the network: raw RGB (batch, 32, 32, 3) to probabilities (batch, classes).

    Args:
        normalized: with batch normalisation after each convolution, and dropout before the output.
    """
    from keras import layers

    inputs, x = scaled()
    for number, width in enumerate((64, 128, 256), start=1):
        x = block(x, number, (width, width), normalized=normalized)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(256, activation="relu", name="dense")(x)
    if normalized:
        x = layers.Dropout(0.5, name="dropout")(x)
    return ended(inputs, x, classes, "cnn_augmented" if normalized else "cnn_plain")


CNN_PLAIN = Recipe(
    name="cnn-plain",
    title="Plain CNN",
    summary="Three pairs of 3x3 convolutions, and nothing that keeps it from learning by heart.",
    input_size=32,
    parameters=2_196_810,
    phases=(Phase(epochs=15, batch_size=64, optimizer=Optimizer("adam", 1e-3)),),
    reported=Reported(f"{SOURCE}, its first network", 0.81, 0.77),
    build=partial(build, False),
    use=USE,
)

CNN_AUGMENTED = Recipe(
    name="cnn-augmented",
    title="CNN with augmentation",
    summary="The plain network with batch normalisation, dropout, and images that vary.",
    input_size=32,
    parameters=2_200_394,
    phases=(
        Phase(
            epochs=20,  # 20 to 50 in the source: the first here, which is what time there is for.
            batch_size=64,
            optimizer=Optimizer("adam", 1e-3),
            augmentation=Augmentation(shift=3, flip="random"),
        ),
    ),
    reported=Reported(
        f"{SOURCE}, its network with augmentation",
        0.91,
        0.67,
        differs=("20 epochs of the source's 20 to 50, at one rate throughout",),
    ),
    build=partial(build, True),
    space=DROPOUT,
    use=USE,
)
