"""The schema of a recipe: everything that is known about a network before it is trained."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.augmentation import describe_transforms
from model_training.networks.imagenet.pretrained_file import PretrainedFile
from model_training.networks.pretrained import Pretrained
from model_training.recipes.phase import Phase
from model_training.recipes.space import Space, Tuned

if TYPE_CHECKING:
    import keras

Precision = Literal["float32", "mixed_bfloat16"]
NAME = r"[a-z0-9][a-z0-9.-]{0,63}"
"""The pattern of a recipe's name, which commands take and with which a bundle's name begins."""


@dataclass(frozen=True)
class Reported:
    """The figures that the source of a network reports; they were not measured here.

    Args:
        task: the source's task where it is another than the recipe's, such as "ten classes, another
            task": then the figures stand side by side and no difference is taken.
        differs: clauses on how its training differed from the one here by design, such as "the
            source chose its epochs by the test images".
    """

    source: str
    test_accuracy: float
    test_loss: float | None = None
    class_f1: Mapping[str, float] = field(default_factory=dict)
    task: str = ""
    differs: tuple[str, ...] = ()


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

    Pixels of augmentations and transforms are those of the images of `data_set` as the network is
    given them: reduced to `input_size` where they are larger, and else as they are.  On other
    images, and where an option makes these smaller, a run scales them to the images' side.

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
        space: what a search for better settings may change of it, beside its phases.
        change: what one run changes of it (`recipes.variants`), in words.
        tuned: the trial that found its settings, where a search did.
        network_of: the recipe whose network this is, where only the training is another.
        not_trained: why a network that is built exactly is not trained here, as the end of "it can
            be trained, but ..."; the site shows what its source reported.
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
    not_trained: str = ""
    network_of: str = ""
    data_set: str = "cifar10"
    use: Use = Use()
    averaged: bool = True
    space: Space = Space()
    change: str = ""
    tuned: Tuned | None = None

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
    def reproduced(self) -> bool:
        """Return whether it is meant to be trained here."""
        return not self.not_trained

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
