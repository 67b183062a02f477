"""Two networks of which the source gives only the parameters and the number of layers.

Not given in the source: which layers they are.  These were found by a search among networks of
3x3 convolutions in blocks whose widths grow, each with batch normalisation, and of dense layers,
for those with exactly its number of parameters.  Of several, one was taken whose layers can be
counted to the stated number, by a rule of ours for each, and that trains quickly.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from model_training.datasets.augmentation import Augmentation
from model_training.recipes.ending import ended
from model_training.recipes.phase import Optimizer, Phase, Schedule
from model_training.recipes.recipe import Recipe, Reported
from model_training.recipes.scratch.blocks import block
from model_training.recipes.scratch.inputs import SOURCE, USE, scaled
from model_training.recipes.space import DROPOUT

if TYPE_CHECKING:
    import keras


def build(
    blocks: Sequence[tuple[int, ...]],
    dense: Sequence[int],
    name: str,
    *,
    normalize_dense: bool,
    classes: int = 10,
) -> keras.Model:
    """Build the network: raw RGB (batch, 32, 32, 3) to probabilities (batch, classes).

    Args:
        blocks: the filters of the convolutions before each pooling; batch normalisation follows
            each.
        dense: the units of the hidden dense layers.
        normalize_dense: batch normalisation after those too.
    """
    from keras import layers

    inputs, x = scaled()
    for number, widths in enumerate(blocks, start=1):
        x = block(x, number, widths)
    x = layers.Flatten(name="flatten")(x)
    for number, units in enumerate(dense, start=1):
        x = layers.Dense(units, activation="relu", name=f"dense{number}")(x)
        if normalize_dense:
            x = layers.BatchNormalization(name=f"dense{number}_bn")(x)
        x = layers.Dropout(0.4, name=f"dense{number}_dropout")(x)
    return ended(inputs, x, classes, name)


# Not given in the source: the batch size, the rates, the form of the schedule, the dropout rates
# and what the augmentation does.
LAYERS = "the source gives only how many parameters there are, not the layers"
AUGMENTATION = Augmentation(shift=3, flip="random")

CNN_SCHEDULED = Recipe(
    name="cnn-scheduled",
    title="CNN with a learning-rate schedule",
    summary="Five convolutions and one wide dense layer, under a learning-rate schedule.",
    input_size=32,
    parameters=4_101_450,
    phases=(
        Phase(
            epochs=50,
            batch_size=128,
            optimizer=Optimizer("adam", 2e-3),
            schedule=Schedule(warmup=0.1),
            augmentation=AUGMENTATION,
        ),
    ),
    reported=Reported(f"{SOURCE}, 12 layers with a schedule", 0.8195, 1.108, differs=(LAYERS,)),
    # Twelve layers, normalisation not counted: five convolutions, three poolings, flattening,
    # dropout, and "two dense" with the output.
    build=partial(
        build, ((32, 32, 32), (64,), (192,)), (1280,), "cnn_scheduled", normalize_dense=True
    ),
    space=DROPOUT,
    use=USE,
)

CNN_DEEP = Recipe(
    name="cnn-deep",
    title="Deep CNN",
    summary="Six convolutions of 48 to 512 filters and two dense layers.",
    input_size=32,
    parameters=3_514_698,
    phases=(
        Phase(
            epochs=50,
            batch_size=128,
            optimizer=Optimizer("adam", 1e-3),
            augmentation=AUGMENTATION,
        ),
    ),
    reported=Reported(f"{SOURCE}, 18 layers", 0.90, 0.35, differs=(LAYERS,)),
    # Eighteen layers, flattening, dropout and the output not counted: six convolutions, as many
    # normalisations, four poolings, two dense ones.
    build=partial(
        build, ((48,), (64, 64), (128,), (512, 512)), (192, 128), "cnn_deep", normalize_dense=False
    ),
    space=DROPOUT,
    use=USE,
)
