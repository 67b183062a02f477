"""Keeping the folder of bundles: what is there, removing one, giving one another name.

Nothing here replaces a bundle, and a reader at the same moment sees each one whole or not at all.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

from model_training.bundles.bundle import CARD, MODEL, SIGNATURE, Bundle, BundleError, is_bundle
from model_training.bundles.reading import read_bundle
from model_training.files import put_back, whole_folder
from model_training.naming import SLUG

STILL_WRITING = 600
# As `whole_folder` calls them.
_TEMPORARY = re.compile(r"\.(?P<name>[a-z0-9][a-z0-9.-]*?)-[a-z0-9_]{8}(?P<replaced>-replaced)?")


class BundleExists(Exception):
    """There is a bundle already, and nobody said that it may be replaced."""


def refuse_to_replace(path: Path) -> None:
    """Raise `BundleExists`, which says what is there, if `path` is a bundle, sound or damaged."""
    if is_bundle(path):
        raise BundleExists(f"There is a bundle called {path.name} already ({describe(path)}).")


def describe(path: Path) -> str:
    """Return in a few words what the bundle `path` is."""
    try:
        card = read_bundle(path).card
    except (BundleError, OSError) as error:
        return f"damaged: {error}"
    figures = card.metrics["test"]
    return (
        f"{card.title}, test accuracy {figures.accuracy:.4f} on {figures.images:,} images of "
        f"{card.training.data_set}, from {card.training.started[:10]}"
    )


def is_quick_try_of(path: Path, recipe: str) -> bool:
    """Return whether `path` is a bundle that a `--limit` run of `recipe` left: nothing is lost
    where another takes its place."""
    if not is_bundle(path):
        return False
    try:
        card = read_bundle(path).card
    except (BundleError, OSError):
        return False
    return card.recipe == recipe and "limit" in card.training.changes


def free_name(name: str, *folders: Path) -> str:
    """Return the next name like `name` that nothing in `folders` has: NAME-2, NAME-3 ..."""
    stem, number = re.sub(r"-\d+$", "", name), 2
    while any((folder / _numbered(stem, number)).exists() for folder in folders):
        number += 1
    return _numbered(stem, number)


def _numbered(stem: str, number: int) -> str:
    # A name has at most 64 letters.
    return f"{stem[: 63 - len(str(number))].rstrip('-.')}-{number}"


def size(path: Path) -> int:
    """Return what the folder `path` takes on disk, in bytes."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def half_written(folder: Path) -> list[Path]:
    """Return what killed processes left in `folder`, the folder of bundles, while they wrote one.

    What was touched within `STILL_WRITING` seconds may be in the making, and is left out.
    """
    latest = time.time() - STILL_WRITING
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    settled = bool(there) and folder.stat().st_mtime < latest  # Nobody is moving anything now.
    for path in there if settled else ():
        if (found := _TEMPORARY.fullmatch(path.name)) and found["replaced"]:
            put_back(folder / found["name"])  # A whole one, whose name nothing else took.
    return [
        path
        for path in there
        if _TEMPORARY.fullmatch(path.name) and path.is_dir() and path.stat().st_mtime < latest
    ]


def remove_bundle(path: Path) -> None:
    """Remove the bundle `path`, damaged or not.

    Raises:
        BundleError: it holds neither a card nor a network, so it may be something else.
        OSError: the disk does not let us.
    """
    if not is_bundle(path) and not (path / MODEL).is_file():
        raise BundleError(f"it holds neither {CARD} nor {MODEL}, so it may be no bundle at all")
    # Out of sight first, in one step: a reader must not meet half of it.
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        os.replace(path, aside / path.name)
    finally:
        shutil.rmtree(aside)


def rename_bundle(bundle: Bundle, name: str) -> Bundle:
    """Rename `bundle` to `name`: its folder and its card; every other file stays, byte for byte,
    but a signature, which is none of this card.

    Raises:
        ValueError: that is no name, or something has it already.
        OSError: the disk does not let us; `bundle` is whole.
    """
    if not re.fullmatch(SLUG, name):
        raise ValueError(
            "a name has lower-case letters, digits, dots and dashes, and begins with a letter or "
            f"digit; {name!r} has not"
        )
    path = bundle.path.with_name(name)
    if path.exists():
        raise ValueError(f"there is something called {name!r} already")
    with whole_folder(path) as folder:
        shutil.copytree(bundle.path, folder, copy_function=_link, dirs_exist_ok=True)
        # The card names everything but itself, so its own text is all that changes.
        card = json.loads((bundle.path / CARD).read_text(encoding="utf-8"))
        (folder / CARD).unlink()
        (folder / SIGNATURE).unlink(missing_ok=True)
        (folder / CARD).write_text(
            json.dumps(card | {"name": name}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    try:
        renamed = read_bundle(path)
    except BaseException:
        shutil.rmtree(path)
        raise
    remove_bundle(bundle.path)
    return renamed


def _link(source: str, target: str) -> None:
    # A second name for the same bytes; not every file system has such.
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
