"""What Ray Data reads pictures by: a task for each part, where that part can be read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from model_training.classifying.cluster.parts import PICTURES, Part, Read

SCHEMA = pa.schema(
    [("name", pa.binary()), ("data", pa.binary()), ("why", pa.string()), ("stamp", pa.string())]
)
"""Of what a task reads: bytes, since a file's name may be no Unicode."""
BLOCK_BYTES = 8 * 2**20
"""Of what goes to a worker at a time: photos are handed out in fewer than small pictures."""


class PictureSource(Datasource):  # type: ignore[misc]
    """The pictures of `parts`, in their order.

    Args:
        everywhere: whether any node can read them; else they are read on this machine, and their
            bytes go to the nodes.
        most: the most bytes that are read of a file.
    """

    def __init__(self, parts: Sequence[Part], *, everywhere: bool, most: int) -> None:
        super().__init__()
        self._parts, self._everywhere, self._most = parts, everywhere, most

    @property
    def supports_distributed_reads(self) -> bool:
        """Return whether nodes other than this one may read."""
        return self._everywhere

    def estimate_inmemory_data_size(self) -> int | None:
        """Return None: nobody has looked at the files yet."""
        return None

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: Any = None,
    ) -> list[ReadTask]:
        """Return a task for each part, however many are asked for: so a worker's work is even."""
        return [_task(part, self._most) for part in self._parts]


def _task(part: Part, most: int) -> ReadTask:
    return ReadTask(
        lambda: _blocks(part, most),
        BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None, input_files=None),
        schema=SCHEMA,
    )


def _blocks(part: Part, most: int) -> Iterator[pa.Table]:
    waiting: list[Read] = []
    size = 0
    for one in part.read(most):
        waiting.append(one)
        size += len(one.data or b"")
        if size >= BLOCK_BYTES or len(waiting) == PICTURES:
            yield _table(waiting)
            waiting, size = [], 0
    if waiting:
        yield _table(waiting)


def _table(read: Sequence[Read]) -> pa.Table:
    columns = (
        [os.fsencode(one.name) for one in read],
        [one.data for one in read],
        [one.why for one in read],
        [one.stamp for one in read],
    )
    arrays = [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
