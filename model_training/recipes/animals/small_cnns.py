"""Small networks from scratch on photographs of 100 pixels: 4,354,378 parameters for ten classes.

Not given in the source: the optimizer of the first three (Adam at its usual rate here), the
patience of early stopping (10 here), what the augmentation does, whether the deep network learned
with it (here it does), and how that one pools (after each convolution here).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from model_training.datasets.augmentation import Augmentation
from model_training.recipes.ending import ended
from model_training.recipes.phase import EarlyStopping, Optimizer, Phase
from model_training.recipes.recipe import Recipe, Reported, Use
from model_training.recipes.scratch.inputs import scaled

if TYPE_CHECKING:
    import keras

SIDE = 100
TEN = "ten classes, another task"


def build(widths: tuple[int, ...], classes: int = 7) -> keras.Model:
    """Build the network: raw RGB (batch, 100, 100, 3) to probabilities (batch, classes).

    Args:
        widths: the filters of each 3x3 convolution, which a pooling follows.
    """
    from keras import layers

    inputs, x = scaled(SIDE)
    for number, width in enumerate(widths, start=1):
        x = layers.Conv2D(width, 3, activation="relu", name=f"conv{number}")(x)
        x = layers.MaxPooling2D(name=f"pool{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(128, activation="relu", name="dense")(x)
    return ended(inputs, x, classes, f"animals_{len(widths)}")


def reported(what: str, accuracy: float, late: float) -> Reported:
    """Return what the source reports of `what`: first, and after late changes."""
    return Reported(
        f"A course project's report on Animals-10, {what}; {late:.3f} after late changes",
        accuracy,
        task=TEN,
    )


USE = Use(
    good_for=("Seeing what a small network makes of photographs without pretrained layers.",),
    not_for=("Naming animals: with pretrained layers that takes minutes and is far better.",),
)

BASE = Recipe(
    name="animals-base",
    title="Animals, small CNN",
    summary="Two convolutions and a dense layer on photographs of 100 pixels.",
    input_size=SIDE,
    data_set="animals7",
    parameters=4_353_991,
    phases=(
        Phase(
            epochs=60,
            batch_size=24,
            optimizer=Optimizer("adam", 1e-3),
            early_stopping=EarlyStopping(patience=10),
        ),
    ),
    reported=reported("its first network", 0.547, 0.529),
    build=partial(build, (32, 64)),
    use=USE,
)

CLEAN = replace(
    BASE,
    name="animals-clean",
    title="Animals, small CNN on RGB JPEG photos",
    # All of Animals-7 are RGB JPEG files already: trained with `--seed 1`, which tells what chance
    # does to `animals-base`.
    summary="The small CNN again: its source left out all but RGB JPEG files, and here all are.",
    reported=replace(
        reported("the same on RGB JPEG photos", 0.554, 0.522),
        differs=(
            "all photos here are RGB JPEG files, so that none was left out and only its seed sets "
            "it apart from animals-base",
        ),
    ),
)

AUGMENTED = replace(
    BASE,
    name="animals-augmented",
    title="Animals, small CNN with augmentation",
    summary="The small CNN, on photos that are mirrored, turned, moved and enlarged.",
    phases=(
        replace(
            BASE.phases[0],
            # In pixels of 100.
            augmentation=Augmentation(shift=10, flip="random", rotation=10, zoom=0.1),
        ),
    ),
    reported=reported("the same with augmentation", 0.561, 0.564),
)

DEEP = replace(
    BASE,
    name="animals-deep",
    title="Animals, deeper CNN",
    summary="Four convolutions of 32 to 256 filters and a dense layer.",
    parameters=913_735,
    phases=(
        replace(BASE.phases[0], batch_size=128, augmentation=AUGMENTED.phases[0].augmentation),
    ),
    reported=reported("two more convolutions", 0.660, 0.703),
    build=partial(build, (32, 64, 128, 256)),
)
