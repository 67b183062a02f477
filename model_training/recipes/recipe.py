"""The form of a recipe: everything that is known about a network before it is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Reported:
    """What the source of a network says that it reached: figures that were not measured here."""

    source: str
    test_accuracy: float
    test_loss: float | None = None
    class_f1: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """How a network is trained: SGD with Nesterov momentum on a one-cycle learning rate.

    `weight_decay` is decoupled, as Keras has it: each step takes `learning rate * weight_decay`
    of a kernel away.  A coupled (L2) decay of d under momentum m acts like d / (1 - m) here.
    """

    epochs: int
    batch_size: int
    peak_learning_rate: float
    warmup: float
    momentum: float
    weight_decay: float
    label_smoothing: float
    precision: Literal["float32", "mixed_bfloat16"]


@dataclass(frozen=True)
class Recipe:
    """A network that can be trained by name.

    `build` makes the untrained network under Keras' current dtype policy.  It takes raw RGB,
    0 to 255, of shape (batch, input_size, input_size, 3), does all its own scaling, augments only
    while training, and answers with softmax probabilities, (batch, classes).
    """

    name: str
    title: str
    summary: str
    augmentation: str
    input_size: int
    parameters: int
    training: Training
    reported: Reported
    build: Callable[[], keras.Model]
