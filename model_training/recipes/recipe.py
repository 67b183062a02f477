"""The schema of a recipe: everything that is known about a network before it is trained."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.augmentation import Augmentation, Transform, describe_transforms
from model_training.networks.pretrained import Pretrained
from model_training.networks.pretrained_file import PretrainedFile

if TYPE_CHECKING:
    import keras

Precision = Literal["float32", "mixed_bfloat16"]
NAME = r"[a-z0-9][a-z0-9.-]{0,63}"
"""The pattern of a recipe's name, which commands take and with which a bundle's name begins."""


@dataclass(frozen=True)
class Reported:
    """The figures that the source of a network reports; they were not measured here."""

    source: str
    test_accuracy: float
    test_loss: float | None = None
    class_f1: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Optimizer:
    """An optimizer and its rates.

    `sgd` is SGD with Nesterov momentum, `muon` is Muon on convolution kernels with `sgd` on all
    else (see `training.optimizers`), `adam` and `rmsprop` are Keras' own.  `weight_decay` is
    decoupled, as Keras has it: each step takes `learning rate * weight_decay` of a kernel away.
    A coupled (L2) decay of d under momentum m acts like d / (1 - m) here.

    Args:
        learning_rate: its peak.
        bias_factor: the rate of biases, as a multiple of `learning_rate` (`sgd` and `muon`).
        muon_factor: the rate of convolution kernels, as a share of `learning_rate` (`muon`).
        muon_momentum: the momentum of convolution kernels (`muon`).
    """

    name: Literal["sgd", "muon", "adam", "rmsprop"]
    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 0.0
    bias_factor: float = 1.0
    muon_factor: float = 1.0
    muon_momentum: float = 0.6


@dataclass(frozen=True)
class Schedule:
    """The learning rate over a phase: a triangle, or one value.

    With `warmup`, the share of the steps before the peak, it rises linearly from `start` times the
    peak and falls linearly to `end` times the peak; without, it is constant.
    """

    warmup: float | None = None
    start: float = 0.1
    end: float = 0.0


@dataclass(frozen=True)
class Lookahead:
    """Weight averaging after M. Zhang et al., "Lookahead Optimizer", 2019.

    Every `every` steps the weights are drawn back towards a slow average of themselves, more and
    more as the phase goes on: by `decay ** every * progress ** 3` of the way.
    """

    every: int = 5
    decay: float = 0.95


@dataclass(frozen=True)
class Phase:
    """One stretch of training, with one optimizer.

    Args:
        learns_from: the first layer that learns.  Those before it are frozen: their output is
            computed once per image and view, kept on disk, and only the rest is run.  None: every
            layer learns.
        views: with `learns_from`, the transforms under which features of each image are computed;
            each epoch uses the next one.
        augmentation: without `learns_from`, the augmentation of each batch.
        input_size: without `learns_from`, the side in pixels to which a network that resizes does
            so in this phase; None: the recipe's.  Fewer are quicker, and most of what is learned
            from them carries over.
    """

    epochs: int
    batch_size: int
    optimizer: Optimizer
    schedule: Schedule = Schedule()
    label_smoothing: float = 0.0
    augmentation: Augmentation = Augmentation()
    lookahead: Lookahead | None = None
    learns_from: str | None = None
    views: tuple[Transform, ...] = (Transform(),)
    input_size: int | None = None

    def on_larger(self, times: float) -> Phase:
        """Return the same phase for images `times` as large as those that it was made for."""
        views = tuple(dict.fromkeys(view.on_larger(times) for view in self.views))
        return replace(self, views=views, augmentation=self.augmentation.on_larger(times))


@dataclass(frozen=True)
class Use:
    """The intended use of a network, and what it is not suited for, in sentences for its users.

    Only what is particular to it: the model's page says itself what holds for every network here.
    """

    good_for: tuple[str, ...] = ()
    not_for: tuple[str, ...] = ()


class Build(Protocol):
    """A function that makes an untrained network for the given number of classes."""

    def __call__(self, classes: int = 10) -> keras.Model: ...


@dataclass(frozen=True)
class Recipe:
    """A network that can be trained by name.

    `build` makes the untrained network, for ten classes or others, under Keras' current dtype
    policy.  The network takes raw RGB, 0 to 255, does all its own scaling, and returns softmax
    probabilities, (batch, classes).
    Its input is (batch, input_size, input_size, 3), or (batch, height, width, 3) of any size where
    it begins with a resizing to `input_size`.

    Pixels of augmentations and transforms refer to images of 32 pixels, those of `data_set`.

    Args:
        name: lower-case letters, digits, dots and dashes; a bundle is named after it.
        summary: a sentence for the comparison of all models.
        parameters: their number in the network for the classes of `data_set`, which the trainer
            checks.  None: not stated.
        varied_inside: a description of the augmentation that layers of the network itself do while
            it learns, such as `Augmentation.describe` returns.
        prepare: called once with the fresh network and the images it will learn from, uint8; for
            an initialization that depends on data.
        averaged: False for a network that takes too long over six transforms of each image to be
            measured with test-time augmentation.
        reproduced: False for a network that is built exactly and too large to be trained here;
            the site shows what its source reported.
    """

    name: str
    title: str
    summary: str
    input_size: int
    phases: tuple[Phase, ...]
    build: Build
    parameters: int | None = None
    reported: Reported | None = None
    varied_inside: str = ""
    precision: Precision = "float32"
    pretrained: Pretrained | PretrainedFile | None = None
    prepare: Callable[[keras.Model, NDArray[np.uint8]], None] | None = None
    reproduced: bool = True
    data_set: str = "cifar10"
    use: Use = Use()
    averaged: bool = True

    def __post_init__(self) -> None:
        """Check what can be checked without building the network.

        Raises:
            ValueError: the name is not one that a bundle can have, or there is no phase.
        """
        if not re.fullmatch(NAME, self.name):
            raise ValueError(
                "a recipe's name has up to 64 lower-case letters, digits, dots and dashes, and "
                f"begins with a letter or digit; {self.name!r} does not"
            )
        if not self.phases:
            raise ValueError(f"the recipe {self.name} has no phase, so nothing would be learned")

    @property
    def augmentation(self) -> str:
        """Return a description of the augmentation of images while it learns, phase by phase."""
        each_phase = (
            phase.augmentation.describe()
            if phase.learns_from is None
            else describe_transforms(phase.views)
            for phase in self.phases
        )
        first, *rest = [words for words, _same in groupby(each_phase)]
        if rest:
            outside = ". Then ".join([first or "none at first", *(one or "none" for one in rest)])
        else:
            outside = first
        told = [words for words in (self.varied_inside, outside) if words] or ["none"]
        return " ".join(f"{words[:1].upper()}{words[1:]}." for words in told)
