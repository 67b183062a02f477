"""Write rows as a finished file: JSON lines, CSV or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from model_training.classifying.rows import COLUMNS, Row
from model_training.files import whole_file

AT_A_TIME = 10_000
"""Rows of one group in a Parquet file."""

_TEXTS = ("file", "verdict", "label", "resembles", "error", "detail")


class NoParquet(Exception):
    """Parquet is asked for, and the library for it is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "Parquet files need PyArrow: `pip install -r requirements-parquet.txt` installs it. "
            "An output that ends in .csv or .jsonl needs nothing."
        )


def write_table(path: Path, rows: Iterable[Row], classes: tuple[str, ...]) -> None:
    """Write `rows` to `path`, whole or not at all, in the format that its ending names.

    Raises:
        KeyError: its ending names none of `FORMATS`.
        NoParquet: it needs a library that is not here.
        OSError: it cannot be written; what was there before stays.
    """
    write = FORMATS[path.suffix.lower()]
    with whole_file(path) as temporary:
        write(temporary, rows, classes)


def check_format(path: Path) -> None:
    """Raise now what `write_table` would raise about the format of `path` in the end."""
    if FORMATS[path.suffix.lower()] is _write_parquet:
        _parquet()


def _write_json_lines(path: Path, rows: Iterable[Row], classes: tuple[str, ...]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(row.nested(classes))}\n" for row in rows)


def _write_csv(path: Path, rows: Iterable[Row], classes: tuple[str, ...]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, [*COLUMNS, *(f"probability:{name}" for name in classes)])
        table.writeheader()
        table.writerows(row.flat(classes) for row in rows)


def _write_parquet(path: Path, rows: Iterable[Row], classes: tuple[str, ...]) -> None:
    arrow, parquet = _parquet()
    kinds = {name: arrow.string() if name in _TEXTS else arrow.float64() for name in COLUMNS}
    kinds |= {f"probability:{name}": arrow.float32() for name in classes}
    schema = arrow.schema(list(kinds.items()))
    with parquet.ParquetWriter(path, schema) as file:
        for part in _flat(rows, classes):
            file.write_table(arrow.Table.from_pylist(part, schema))


def _flat(rows: Iterable[Row], classes: tuple[str, ...]) -> Iterator[list[dict[str, Any]]]:
    left = iter(rows)
    while flat := [row.flat(classes) for row in islice(left, AT_A_TIME)]:
        yield flat


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise NoParquet from error
    return pyarrow, pyarrow.parquet


FORMATS: dict[str, Callable[[Path, Iterable[Row], tuple[str, ...]], None]] = {
    ".jsonl": _write_json_lines,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
"""By the ending of the file."""
