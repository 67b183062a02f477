"""Classify on a cluster with Ray Data: parts are read, workers classify, rows come back."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence

import ray
import ray.data
import ray.exceptions
from ray.data import ActorPoolStrategy, DataContext, Dataset

from model_training.classifying.cluster.joining import ClusterError
from model_training.classifying.cluster.parts import Part
from model_training.classifying.cluster.source import BLOCK_BYTES, PictureSource
from model_training.classifying.cluster.worker import Task, Worker
from model_training.classifying.rows import Row
from model_training.classifying.sources import SourceError

STILL = 600.0
"""Seconds without any progress after which a run ends: a worker takes half a minute to load."""
READING = 4
"""Tasks that read on this machine at a time; on the others, for each processor of the cluster."""


def classify_on_cluster(
    parts: Sequence[Part], task: Task, files: dict[str, bytes], workers: int
) -> Iterator[list[Row]]:
    """Yield the rows of `parts`: those of this machine in their order, then those of stores.

    A node that dies takes nothing with it: what it had not given back is done again by others.

    Args:
        files: of the bundle; they go to each node once, through Ray's object store.
        workers: at a time.

    Raises:
        ClusterError: the cluster cannot go on.
        SourceError: a source has become unreadable.
    """
    if not parts:
        return
    _configure()
    most = task.limits.file_bytes + 1
    sources = [
        _read([part for part in parts if part.stored == stored], stored, most, workers)
        for stored in (False, True)
        if any(part.stored == stored for part in parts)
    ]
    done = (sources[0].union(*sources[1:]) if sources[1:] else sources[0]).map_batches(
        Worker,
        batch_size=None,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=workers),
        fn_constructor_args=(task, ray.put(files)),
        num_cpus=task.processors,
    )
    told: set[str] = set()
    try:
        for table in done.iter_batches(batch_size=None, batch_format="pyarrow"):
            rows = [Row.from_json(line) for line in table.column("row").to_pylist()]
            if new := [row for row in rows if row.file not in told]:
                told.update(row.file for row in new)
                yield new
    except (ray.exceptions.RayError, TimeoutError, ConnectionError) as error:
        raise _explained(error) from error


def _read(parts: Sequence[Part], everywhere: bool, most: int, workers: int) -> Dataset:
    return ray.data.read_datasource(
        PictureSource(parts, everywhere=everywhere, most=most),
        override_num_blocks=len(parts),
        concurrency=min(READING * workers if everywhere else READING, len(parts)),
        # Reading mostly waits; and the workers have all processors.
        num_cpus=0,
    )


def _configure() -> None:
    context = DataContext.get_current()
    context.execution_options.preserve_order = True
    context.target_max_block_size = BLOCK_BYTES
    context.execution_no_progress_timeout_s = STILL
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)


# An error of this project on a node, as Ray hands it on: the last line of a traceback.
_OURS = re.compile(r"^(?:model_training|webapp)\.[\w.]*?(\w+): (.+)$", re.MULTILINE)
_LACKING = re.compile(r"No module named '([\w.]+)'")
_ERROR = re.compile(r"^[\w.]+(?:Error|Exception): .+$", re.MULTILINE)


def _explained(error: BaseException) -> ClusterError | SourceError:
    """Return what a person can do something with of what Ray says in pages."""
    causes = list(_causes(error))
    text = "\n".join(str(one) for one in causes)
    if ours := _OURS.findall(text):
        kind, message = ours[-1]
        if kind == SourceError.__name__:
            return SourceError(message)
        return ClusterError(f"A node of the cluster cannot do its work: {message}")
    if lacking := _LACKING.search(text):
        return ClusterError(
            f"A node of the cluster lacks the Python package {lacking[1]}: `pip install -r "
            "requirements.txt -r requirements-ray.txt` installs all, on every node."
        )
    if any(isinstance(one, ray.exceptions.RuntimeEnvSetupError) for one in causes):
        return ClusterError(
            "A node of the cluster cannot take this project's code; its log, runtime_env_setup in "
            "Ray's folder there, says why."
        )
    if any(type(one).__name__ == "ExecutionTimeoutError" for one in causes):
        return ClusterError(
            f"No node has done anything for {STILL / 60:.0f} minutes. `ray status` says whether "
            "they are there, and whether other work has their processors."
        )
    said = _ERROR.findall(text) or text.strip().splitlines() or [type(error).__name__]
    return ClusterError(f"The cluster cannot go on: {said[-1][:300]}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = getattr(following, "cause", None) or following.__cause__
