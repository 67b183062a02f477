"""The data sets that can be requested by name: every module of `datasets.catalog` that has one."""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from model_training.datasets import catalog
from model_training.datasets.dataset import DataError, DataSet
from model_training.datasets.description import About
from model_training.datasets.sources import Progress, file_names, read_cache_name
from model_training.naming import is_slug

DEFAULT_DATA_SET = "cifar10"
"""The name of the data set that is used where none is given."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class KnownDataSet:
    """A data set that is found by its name.

    Args:
        name, title, classes, about: as in `DataSet`.
        image_size: the side of its images, in pixels.
        digest: that of the `DataSet`, where it is known before the images are read; else None.
        load: finds it, checks it, and keeps it in a cache file for the next time.  Takes that file,
            the path of a copy that the user gave or None, and a `Progress`.  Raises DataError.
            `datasets.sources.find` does most of the work.
        fetched: False where nobody may fetch it, so that a first training needs a copy.
        marks: sets of file names; a folder or archive that has all names of one set together is
            recognised as a copy.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    image_size: int
    digest: str | None
    load: Callable[[Path, Path | None, Progress], DataSet]
    about: About = About()
    fetched: bool = True
    marks: tuple[frozenset[str], ...] = ()


class CatalogueError(DataError):
    """Two modules of the catalogue have data sets of the same name; the message names both."""


class UnknownDataSet(DataError):
    """There is no data set of that name; the message lists those that there are."""


@dataclass(frozen=True)
class Catalogue:
    """The data sets of the catalogue by name, and what is wrong with each broken module of it."""

    data_sets: dict[str, KnownDataSet]
    broken: dict[str, str]


def read_catalogue() -> Catalogue:
    """Import every module of the catalogue; one that is broken is named in the log and left out.

    Raises:
        CatalogueError: two modules have a data set of one name.
    """
    return _read(tuple(catalog.__path__))


def known_data_sets() -> dict[str, KnownDataSet]:
    """Return every data set of the catalogue, by name.

    Raises:
        CatalogueError: two modules have a data set of one name.
    """
    return read_catalogue().data_sets


def find_known(name: str) -> KnownDataSet:
    """Return the data set called `name`.

    Raises:
        UnknownDataSet: there is none.
        CatalogueError: two modules have a data set of one name.
    """
    there = read_catalogue()
    if name in there.data_sets:
        return there.data_sets[name]
    message = f"There is no data set called {name!r}. Available: {', '.join(there.data_sets)}."
    for module, problem in there.broken.items():
        message += f" {module} is left out: {problem}."
    raise UnknownDataSet(message)


def recognise(path: Path) -> KnownDataSet | None:
    """Return the data set of which the folder or archive `path` is a copy; None if of none.

    Raises:
        CatalogueError: two modules have a data set of one name.
    """
    known = known_data_sets().values()
    if not any(one.marks for one in known):
        return None
    there = file_names(path)
    return next(
        (one for one in known if any(mark <= names for mark in one.marks for names in there)), None
    )


def known_at(path: Path | None, default: str = DEFAULT_DATA_SET) -> KnownDataSet | None:
    """Return the data set of the catalogue that is meant by `path`.

    Args:
        default: the name of the one that is meant where there is no path, or where a cache does not
            say whose it is.

    Returns:
        None where `path` is a folder or an `.npz` file of something else: a data set of one's own.

    Raises:
        DataError: there is nothing at `path`, or a file that is no data set.
    """
    if path is None:
        return find_known(default)
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder.")
    if path.suffix == ".npz":
        name = read_cache_name(path)
        return None if name is None else find_known(name or default)
    found = recognise(path)
    if found is None and not path.is_dir():
        titles = " or ".join(one.title for one in known_data_sets().values())
        raise DataError(
            f"{path} is no data set: neither a folder, nor an .npz file, nor an archive of "
            f"{titles}."
        )
    return found


# Cached by its paths, so that a package that is added to them is seen.
@cache
def _read(paths: tuple[str, ...]) -> Catalogue:
    found: dict[str, KnownDataSet] = {}
    modules: dict[str, str] = {}
    broken: dict[str, str] = {}
    for module in pkgutil.iter_modules(paths):
        module_name = f"{catalog.__name__}.{module.name}"
        try:
            one = getattr(importlib.import_module(module_name), "DATA_SET", None)
            if one is None:
                continue  # A helper of other modules.
            if not isinstance(one, KnownDataSet):
                raise TypeError(f"its DATA_SET is a {type(one).__name__}, not a KnownDataSet")
            if not is_slug(one.name):
                raise ValueError(f"{one.name!r} is not a name: give lower-case letters and digits")
        except Exception as error:  # Whatever a module raises, the others are still there.
            broken[module_name] = f"{type(error).__name__}: {error}"
            _LOG.error("%s is left out: %s", module_name, broken[module_name])
            continue
        if one.name in found:
            raise CatalogueError(
                f"Two data sets are called {one.name!r}: those of {modules[one.name]} and of "
                f"{module_name}. Give one of them another name."
            )
        found[one.name], modules[one.name] = one, module_name
    return Catalogue(found, broken)
