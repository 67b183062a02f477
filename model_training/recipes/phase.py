"""How the weights of a network are learned: phases, each with an optimizer, and what ends them.

Data only; `training.learning` makes Keras' objects of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from model_training.datasets.augmentation import Augmentation, Transform


@dataclass(frozen=True)
class Optimizer:
    """An optimizer and its rates.

    `sgd` is SGD with Nesterov momentum, `muon` is Muon on convolution kernels with `sgd` on all
    else (see `training.learning.optimizers`), `adam` and `rmsprop` are Keras' own.
    `weight_decay` is decoupled, as Keras has it: each step takes `learning rate * weight_decay` of
    a kernel away.  A coupled (L2) decay of d under momentum m acts like d / (1 - m) here.

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
class EarlyStopping:
    """The end of a phase before its last epoch, when validation no longer gets better.

    However the phase ends, its network has the weights of its best epoch.

    Args:
        patience: epochs without an improvement after which it ends.
        monitor: what is to fall (the loss) or to rise (the accuracy) on the validation images.
    """

    patience: int
    monitor: Literal["loss", "accuracy"] = "loss"


@dataclass(frozen=True)
class Plateau:
    """A learning rate that is reduced when the loss on the validation images no longer falls.

    Args:
        factor: what the rate is multiplied by each time.
        patience: epochs without a lower loss before that.
        least: the rate never falls below this.
    """

    factor: float = 0.5
    patience: int = 3
    least: float = 1e-6


@dataclass(frozen=True)
class DropoutSchedule:
    """The dropout rates of a network over a phase, as shares of those that it was built with.

    They go in a straight line from `start` in the first epoch to `end` in the last: little dropout
    while little is learned, and all of it when the network could learn images by heart
    (P. Morerio et al., "Curriculum Dropout", 2017).
    """

    start: float = 0.0
    end: float = 1.0

    def share(self, epoch: int, epochs: int) -> float:
        """Return the share in `epoch`, counted from 0, of `epochs`."""
        return self.start + (self.end - self.start) * epoch / max(1, epochs - 1)


@dataclass(frozen=True)
class Phase:
    """One stretch of training, with one optimizer.

    Args:
        epochs: the most there are, where `early_stopping` may end it sooner.
        early_stopping, plateau: what is done when validation gets no better.  A learning rate that
            follows a schedule takes no `plateau`.
        dropout: how the dropout rates change; None: they do not.
        learns_from: the first layer that learns.  Those before it are frozen: their output is
            computed once per image and view, kept on disk, and only the rest is run.  None: every
            layer learns.
        through: with `learns_from`, a layer before it.  What that is given is kept too, for phases
            and recipes that learn from there.
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
    through: str | None = None
    views: tuple[Transform, ...] = (Transform(),)
    input_size: int | None = None
    early_stopping: EarlyStopping | None = None
    plateau: Plateau | None = None
    dropout: DropoutSchedule | None = None

    def __post_init__(self) -> None:
        """Check what does not go together.

        Raises:
            ValueError: two things would set the learning rate, or `through` has nothing to lead to.
        """
        if self.plateau is not None and self.schedule.warmup is not None:
            raise ValueError("a phase with a one-cycle schedule cannot have a plateau too")
        if self.through is not None and self.learns_from is None:
            raise ValueError("a phase in which every layer learns keeps nothing on its way")

    def on_larger(self, times: float) -> Phase:
        """Return the same phase for images `times` as large as those that it was made for."""
        views = tuple(dict.fromkeys(view.on_larger(times) for view in self.views))
        return replace(self, views=views, augmentation=self.augmentation.on_larger(times))
