"""Keeping the training images that answers are compared with."""

from __future__ import annotations

from dataclasses import replace

from model_training.datasets.dataset import DataSet
from model_training.datasets.kept import Kept
from model_training.datasets.pictures.remembered import REMEMBERED, write_remembered
from webapp.cli.common.bars import Bars


def keep_remembered(kept: Kept, data: DataSet, bars: Bars) -> Kept:
    """Keep the training images of `data` that judges remember beside `kept`, if they are not yet.

    Raises:
        OSError: they cannot be written.
    """
    if kept.remembered is not None:
        return kept
    # Here, since fitting a judge brings along more than most commands need.
    from model_training.explaining.neighbours import draws

    path, told = kept.folder / REMEMBERED, bars.until("keeping training images")
    written = write_remembered(path, data, draws(data.train.labels), told)
    problems = {name: why for name, why in kept.problems.items() if name != REMEMBERED}
    return replace(kept, remembered=written, problems=problems)
