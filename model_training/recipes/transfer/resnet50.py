"""ResNet50 of K. He et al., 2015, carried over from ImageNet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from model_training.datasets.augmentation import Augmentation
from model_training.networks.pretrained import Pretrained
from model_training.recipes.ending import ended
from model_training.recipes.phase import Optimizer, Phase, Schedule
from model_training.recipes.recipe import Recipe, Reported
from model_training.recipes.space import DROPOUT
from model_training.recipes.transfer.imagenet import (
    SOURCE,
    TOO_LARGE,
    USE_PRETRAINED,
    centred_input,
    freeze_batch_normalization,
    reverse_channels,
)

if TYPE_CHECKING:
    import keras


def build(classes: int = 10) -> keras.Model:
    """Build the reference's ResNet50 at 224 pixels: RGB of any size, 0 to 255, to probabilities.

    Not given in the source: the dropout rates (0.5 here), the batch size, the rate and its
    schedule, and which layers learn (all here).
    """
    import keras
    from keras import layers

    inputs, x = centred_input(224)
    base = keras.applications.ResNet50(include_top=False, weights=None, input_tensor=x)
    freeze_batch_normalization(base)
    x = layers.Flatten(name="head_flatten")(base.output)
    x = layers.BatchNormalization(name="head_bn0")(x)
    for number, units in enumerate((256, 128, 64), start=1):
        x = layers.Dense(units, activation="relu", name=f"head_dense{number}")(x)
        x = layers.Dropout(0.5, name=f"head_dropout{number}")(x)
        x = layers.BatchNormalization(name=f"head_bn{number}")(x)
    return ended(inputs, x, classes, "resnet50_224")


RESNET50_224 = Recipe(
    name="resnet50-224",
    title="ResNet50 at 224 pixels",
    summary="ImageNet's ResNet50 with three hidden layers on its flattened output.",
    input_size=224,
    parameters=49_723_082,
    phases=(
        Phase(
            epochs=24,  # The source says 20 to 24.
            batch_size=64,
            optimizer=Optimizer("rmsprop", 2e-5),
            schedule=Schedule(),
            # The source does not say how it varied its images.
            augmentation=Augmentation(flip="random"),
        ),
    ),
    precision="mixed_bfloat16",
    reported=Reported(f"{SOURCE}, ResNet50 at 224 pixels; 0.96 in another run", 0.95, 0.17),
    build=build,
    pretrained=Pretrained("ResNet50", reverse_channels("conv1_conv")),
    space=DROPOUT,
    use=USE_PRETRAINED,
    not_trained=TOO_LARGE,
)

RESNET50_FINETUNED = replace(
    RESNET50_224,
    name="resnet50-finetuned",
    title="ResNet50 at 224 pixels, fine-tuned",
    summary="The head first, on ImageNet's ResNet50 as it is; then every layer at a low rate.",
    # Not given in the source, beyond that it was unfrozen and overfitted: everything.  The network
    # is that of `resnet50-224`.
    phases=(
        Phase(
            epochs=8,
            batch_size=64,
            optimizer=Optimizer("adam", 1e-3),
            learns_from="head_flatten",
        ),
        Phase(epochs=8, batch_size=64, optimizer=Optimizer("adam", 1e-5)),
    ),
    reported=Reported(f"{SOURCE}, ResNet50 unfrozen", 0.94),
)
