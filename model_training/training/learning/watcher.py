"""Who is told how a training goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from model_training.bundles.history import Epoch


@dataclass(frozen=True)
class Watcher:
    """Functions of a caller that are told how a training goes.

    `on_start` is told how many parameters there are, how many steps are done already, and how many
    there are; `on_features` how many more images have gone through frozen layers, of how many;
    `on_wait`, once, that another training computes what those say, and that this one waits for it;
    `on_warning`, before a training begins, what about the network looks wrong.
    `on_stage` of each stage of the measuring that follows its name, how many images are done, and
    of how many.
    """

    on_start: Callable[[int, int, int], None] = lambda parameters, steps_done, steps_total: None
    on_step: Callable[[int], None] = lambda steps: None
    on_epoch: Callable[[Epoch], None] = lambda epoch: None
    on_features: Callable[[int, int], None] = lambda images, images_total: None
    on_wait: Callable[[], None] = lambda: None
    on_warning: Callable[[str], None] = lambda message: None
    on_stage: Callable[[str, int, int], None] = lambda stage, images, images_total: None
