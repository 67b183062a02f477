"""What runs on a node: the model, and the pipeline of a run in one process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import ray

from model_training.bundles.bundle import Bundle
from model_training.bundles.packing import unpack
from model_training.classifying.pipeline import Limits, classify
from model_training.classifying.sources import Picture, Unreadable
from model_training.judging.backend import Backend
from model_training.judging.judge import Judge

Load = Callable[[Bundle], tuple[Judge, Backend]]
"""Makes what answers of a bundle."""


@dataclass(frozen=True)
class Task:
    """What every worker does.

    Args:
        name: of the model.
        load: what makes it answer.  It is called on a node, which imports it by its name.
        limits: what is too large to be opened.
        batch: pictures that are judged together; None: as many as suits the network.
        processors: of a worker.
    """

    name: str
    load: Load
    limits: Limits
    batch: int | None
    processors: int


class Worker:
    """An actor: it loads the model once, and then classifies table after table.

    Args:
        files: where Ray keeps those of the model's bundle, by name.

    Raises:
        BundleError: they did not arrive whole.
    """

    def __init__(self, task: Task, files: ray.ObjectRef[dict[str, bytes]]) -> None:
        self._task = task
        with tempfile.TemporaryDirectory() as folder:
            bundle = unpack(ray.get(files), Path(folder) / task.name)
            self._judge, self._backend = task.load(bundle)

    def __call__(self, read: pa.Table) -> pa.Table:
        """Return a row, as JSON, of each picture of `read`: a table as in `source.SCHEMA`."""
        rows = classify(
            [_picture(*one.values()) for one in read.to_pylist()],
            self._judge,
            self._backend,
            self._task.limits,
            batch=self._task.batch,
            threads=self._task.processors,
        )
        return pa.table({"row": [row.to_json() for some in rows for row in some]})


def _picture(name: bytes, data: bytes | None, why: str | None, stamp: str | None) -> Picture:
    def read(_most: int) -> bytes:
        if data is None:
            raise Unreadable(why)
        return data

    return Picture(os.fsdecode(name), read, lambda: stamp)
