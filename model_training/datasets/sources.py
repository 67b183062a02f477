"""Arrays of labelled images as they are found somewhere, and the file in which they are kept.

The modules of the catalogue share this: the cache that `flask data fetch` writes, and the order in
which a data set is looked for.  Nothing here checks whether the images are the right ones: each
data set does so itself.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.dataset import DataError, DataSet
from model_training.files import DamagedFile, read_arrays, whole_file

Arrays = dict[str, NDArray[np.uint8]]
"""`train_images` (count, side, side, 3), `train_labels` (count,) and the two of `test_`; uint8."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and the total."""

Fetchers = Mapping[str, Callable[[Progress], Arrays]]
"""Sources of a data set by name, in the order in which they are tried.  Each raises SourceError."""

ARRAY_NAMES = ("train_images", "train_labels", "test_images", "test_labels")

_NAME_BYTES = 1000


class SourceError(Exception):
    """A source does not have the data set, or a damaged one; the message says what is wrong."""


def no_progress(_doing: str, _done: int, _total: int) -> None:
    """Show nothing."""


def find(
    title: str,
    cache: Path,
    path: Path | None,
    progress: Progress,
    *,
    read_path: Callable[[Path], Arrays],
    fetchers: Fetchers,
    verified: Callable[[Arrays, str], DataSet],
    advice: str,
) -> DataSet:
    """Find a data set, have it checked, and keep it in the file `cache` for the next time.

    With `path`, only that is tried.  Otherwise the cache is tried first, then each of `fetchers`.

    Args:
        read_path: reads the data set in any of its forms.  Raises SourceError.
        verified: makes the data set from arrays and a description of where they were found.
            Raises SourceError if they are not those of the data set.
        advice: a sentence that says what to do if it is found nowhere.

    Raises:
        DataError: nothing was found, or what was found is another data set.
    """
    if path is not None:
        try:
            return verified(read_path(path), str(path))
        except SourceError as error:
            raise DataError(
                f"{path}: {error}. Give --data a folder or archive of {title}, or leave it out "
                "and the data is fetched."
            ) from error

    tried: list[str] = []
    if cache.exists():
        try:
            return verified(read_cache(cache), str(cache))
        except SourceError as error:
            tried.append(f"the cache {cache}: {error}")
    for name, fetch in fetchers.items():
        try:
            found = verified(fetch(progress), name)
        except SourceError as error:
            tried.append(f"{name}: {error}")
            continue
        write_cache(cache, found)
        return found
    where = "".join(f"\n  - {one}" for one in tried)
    raise DataError(f"{title} could not be had. " + (f"Tried:{where}\n" if tried else "") + advice)


def write_cache(cache: Path, data: DataSet) -> None:
    """Write all images of `data` to the file `cache`, whole or not at all."""
    with whole_file(cache) as temporary:
        np.savez(
            temporary,
            train_images=data.train.images,
            train_labels=data.train.labels,
            test_images=data.test.images,
            test_labels=data.test.labels,
            name=np.array(data.name),
        )


def read_cache(cache: Path) -> Arrays:
    """Read what `write_cache` wrote.

    Raises:
        SourceError: the file is damaged, or holds something else.
    """
    try:
        stored = read_arrays(cache)
        found = {name: stored[name] for name in ARRAY_NAMES}
    except (DamagedFile, OSError, KeyError) as error:
        raise SourceError(f"the file is damaged ({error})") from error
    for name, array in found.items():
        if array.dtype != np.uint8:
            raise SourceError(f"the file is damaged ({name} is {array.dtype})")
    return found


def read_cache_name(path: Path) -> str | None:
    """Return the name of the data set in the cache file `path`.

    Returns:
        An empty name if the file has none, as older ones do; None if it is not a cache.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            there = set(archive.namelist())
            if not {f"{name}.npy" for name in ARRAY_NAMES} <= there:
                return None
            if "name.npy" not in there or archive.getinfo("name.npy").file_size > _NAME_BYTES:
                return ""
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return str(stored["name"])
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error):
        return None


def file_names(path: Path) -> list[set[str]]:
    """Return the names of the files that lie together at `path`, folder by folder.

    For a folder: those in it and in each of its folders.  For a `.tar.gz` or `.tgz`: those in each
    of its folders.  For anything else: none.
    """
    if path.is_dir():
        folders = (path, *sorted(child for child in path.iterdir() if child.is_dir()))
        return [{file.name for file in folder.iterdir() if file.is_file()} for folder in folders]
    found: dict[str, set[str]] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                folder, _, name = member.name.rpartition("/")
                if member.isfile():
                    found.setdefault(folder, set()).add(name)
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error):
        pass  # The part of an archive that could be read may be enough to recognise it by.
    return list(found.values())
