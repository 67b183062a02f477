"""The data sets that can be asked for by name: every module of `datasets.catalog` that has one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from model_training.datasets import catalog
from model_training.datasets.dataset import DataSet
from model_training.datasets.description import About

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is to do."""


def no_progress(_doing: str, _done: int, _total: int) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class KnownDataSet:
    """A data set that is found by its name.

    Args:
        name, title, classes, digest, about: as in `DataSet`.
        image_size: the side of its images, in pixels.
        load: finds it, checks every byte of it, and keeps it in a cache file for the next time:
            takes that file, the path that the caller was given for it or None, and a `Progress`.
            Raises DataError.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    image_size: int
    digest: str
    load: Callable[[Path, Path | None, Progress], DataSet]
    about: About = About()


class UnknownDataSet(KeyError):
    """There is no data set of that name; the message says which there are."""

    def __str__(self) -> str:
        return str(self.args[0])


@cache
def known_data_sets() -> dict[str, KnownDataSet]:
    """Return every data set of the catalogue, by name."""
    found = {}
    for module in pkgutil.iter_modules(catalog.__path__):
        module_name = f"{catalog.__name__}.{module.name}"
        one = getattr(importlib.import_module(module_name), "DATA_SET", None)
        if one is not None:
            if one.name in found:
                raise ValueError(f"two modules of the catalogue are called {one.name!r}")
            found[one.name] = one
    return found


def find_known(name: str) -> KnownDataSet:
    """Return the data set called `name`.

    Raises:
        UnknownDataSet: there is none.
    """
    try:
        return known_data_sets()[name]
    except KeyError:
        there = ", ".join(known_data_sets())
        raise UnknownDataSet(f"There is no data set called {name!r}. There is: {there}.") from None
