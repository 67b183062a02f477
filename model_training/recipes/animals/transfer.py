"""Networks that begin with ImageNet on photographs of 100 pixels, all with the same small head.

Not given in the source: the batch size and the epochs of two of them, the optimizer, and which
layers the fine-tuning unfroze (all here).  MobileNetV2 is given 97 pixels of the source's 100.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from model_training.datasets.augmentation import Augmentation, Transform
from model_training.networks.pretrained import Pretrained
from model_training.recipes.animals.small_cnns import SIDE, TEN, reported
from model_training.recipes.ending import ended
from model_training.recipes.phase import Optimizer, Phase, Schedule
from model_training.recipes.recipe import Recipe, Reported
from model_training.recipes.transfer.imagenet import (
    USE_PRETRAINED,
    freeze_batch_normalization,
    scaled_input,
    standardized_input,
    unscaled_input,
)

if TYPE_CHECKING:
    import keras

INPUTS = {
    "MobileNetV2": scaled_input,
    "EfficientNetV2B3": unscaled_input,
    "DenseNet121": standardized_input,
}
"""What each network wants to be given."""
OPTIONS: dict[str, dict[str, Any]] = {"EfficientNetV2B3": {"include_preprocessing": True}}


def build(application: str, size: int, classes: int = 7) -> keras.Model:
    """Build `application` with its preprocessing: RGB of any size, 0 to 255, to probabilities."""
    import keras
    from keras import layers

    inputs, x = INPUTS[application](size)
    with warnings.catch_warnings():
        # Keras warns that it has no weights of its own for this size; those for 224 serve.
        warnings.filterwarnings("ignore", "`input_shape` is undefined")
        options = {"include_top": False, "weights": None, "input_tensor": x}
        base = getattr(keras.applications, application)(**options, **OPTIONS.get(application, {}))
    freeze_batch_normalization(base)
    x = layers.GlobalAveragePooling2D(name="head_pool")(base.output)
    x = layers.Dense(128, activation="relu", name="head_dense")(x)
    return ended(inputs, x, classes, f"animals_{application.lower()}")


HEAD = Phase(
    epochs=10,
    batch_size=32,
    optimizer=Optimizer("adam", 1e-3),
    schedule=Schedule(warmup=0.1),
    learns_from="head_dense",
    views=(Transform(), Transform(flip=True)),
)

MOBILENETV2 = Recipe(
    name="animals-mobilenetv2",
    title="Animals, MobileNetV2",
    summary="ImageNet's MobileNetV2: a head first, then every layer at a low rate.",
    # Odd at every stride, as its weights learned to expect.
    input_size=97,
    data_set="animals7",
    parameters=2_422_855,
    phases=(
        HEAD,
        Phase(
            epochs=5,
            batch_size=32,
            optimizer=Optimizer("adam", 1e-4),
            schedule=Schedule(warmup=0.2),
            augmentation=Augmentation(shift=6, flip="random", rotation=10),
        ),
    ),
    reported=Reported(
        "A course project's report on Animals-10, MobileNetV2 fine-tuned; frozen 0.931, and 0.931 "
        "after late changes",
        0.937,
        task=TEN,
    ),
    build=partial(build, "MobileNetV2", 97),
    pretrained=Pretrained("MobileNetV2"),
    use=USE_PRETRAINED,
)

EFFICIENTNETV2B3 = replace(
    MOBILENETV2,
    name="animals-efficientnetv2b3",
    title="Animals, EfficientNetV2B3, frozen",
    summary="ImageNet's EfficientNetV2B3 as it is, with one hidden layer on its pooled output.",
    input_size=SIDE,
    parameters=13_128_261,
    phases=(HEAD,),
    reported=reported("EfficientNetV2B3", 0.912, 0.915),
    build=partial(build, "EfficientNetV2B3", SIDE),
    pretrained=Pretrained("EfficientNetV2B3"),
    not_trained="it begins with weights that have to be downloaded, and they were not at hand here",
)

DENSENET121 = replace(
    EFFICIENTNETV2B3,
    name="animals-densenet121",
    title="Animals, DenseNet121, frozen",
    summary="ImageNet's DenseNet121 as it is, with one hidden layer on its pooled output.",
    parameters=7_169_607,
    reported=reported("DenseNet121", 0.897, 0.908),
    build=partial(build, "DenseNet121", SIDE),
    pretrained=Pretrained("DenseNet121"),
)
