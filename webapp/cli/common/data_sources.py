"""Which data set a command is about: `--dataset`, `--data` and `--name`, and the images of it.

A data set is one of the catalogue, found by its name or recognised by its files, or one of one's
own: a folder with a folder of pictures for each class, or an `.npz` file of arrays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from flask import current_app

from model_training.bundles.bundle import Bundle
from model_training.datasets import npz
from model_training.datasets.dataset import DataError, DataSet
from model_training.datasets.folders.class_folders import Opener
from model_training.datasets.folders.folder import FolderData, divide, read_folder
from model_training.datasets.kept import CACHE, Kept, check_name, find_description, keep_once
from model_training.datasets.pictures.opener import open_photo
from model_training.datasets.pictures.sprites import LARGEST_SIDE, MOST_IMAGES
from model_training.datasets.registry import (
    DEFAULT_DATA_SET,
    KnownDataSet,
    find_known,
    known_at,
    known_data_sets,
)
from model_training.datasets.sources import Progress
from model_training.naming import is_slug, slug
from webapp.cli.common.bars import Bars
from webapp.cli.common.remembering import keep_remembered

Command = TypeVar("Command", bound=Callable[..., Any])


def data_options(command: Command) -> Command:
    """Give `command` the options `--dataset`, `--data` and `--name`.

    They are its arguments `dataset`, `data_path` and `data_name`.
    """
    for decorate in (
        click.option(
            "--name",
            "data_name",
            metavar="NAME",
            help="A name for a data set of your own; by default that of its folder or file.",
        ),
        click.option(
            "--data",
            "data_path",
            type=click.Path(path_type=Path),
            help="A data set of your own: a folder with a folder of pictures for each class, or an "
            ".npz file with x_train, y_train, x_test and y_test. Or a local folder or archive of "
            "the --dataset, which is otherwise located or downloaded.",
        ),
        click.option(
            "--dataset",
            metavar="NAME",
            help=f"A data set of the catalogue, by its name; otherwise what --data is, or "
            f"{DEFAULT_DATA_SET}.",
        ),
    ):
        command = decorate(command)
    return command


@dataclass(frozen=True)
class Source:
    """A data set that a command is about, before its images are read.

    `known` is None where it is one of one's own, and `path` None where none was given.
    """

    name: str
    known: KnownDataSet | None
    path: Path | None

    @property
    def own_path(self) -> Path | None:
        """Return where it lies, if it is one of one's own."""
        return self.path if self.known is None else None

    @property
    def is_folder(self) -> bool:
        """Return whether it is a folder of pictures."""
        return self.known is None and self.path is not None and self.path.is_dir()

    def read(self, side: int = LARGEST_SIDE) -> DataSet:
        """Read its images; a bar shows how far that is.

        Args:
            side: pixels to which pictures in folders are reduced or enlarged; images of other data
                sets stay as they are.

        Raises:
            click.ClickException: they are not there, or not what they should be.
        """
        if self.is_folder:
            return divided(self.read_folder(side), self)
        try:
            with _plainly(), Bars() as bars:
                if self.known is not None:
                    return self.known.load(cache_of(self.name), self.path, _stages(bars))
                assert self.path is not None
                data = npz.read_npz(self.path, self.name)
        except OSError as error:
            raise click.ClickException(f"A file could not be read or written ({error}).") from error
        click.echo(_counts(data))
        return data

    def read_folder(self, side: int) -> FolderData:
        """Read the pictures of a folder, without dividing them.

        Raises:
            click.ClickException: they cannot be read.
        """
        assert self.path is not None
        try:
            with _plainly(), Bars() as bars:
                return read_folder(self.path, side, photo_opener(side), bars.until("reading"))
        except OSError as error:
            raise click.ClickException(f"{self.path} cannot be read ({error}).") from error
        except MemoryError as error:
            raise click.ClickException(
                f"The pictures in {self.path} do not fit into memory at {side} pixels. Give fewer, "
                "or choose a recipe of fewer pixels (`flask train --list`)."
            ) from error


def find_source(
    dataset: str | None,
    path: Path | None,
    name: str | None = None,
    *,
    default: str = DEFAULT_DATA_SET,
    otherwise: str | None = None,
) -> Source:
    """Find out which data set is meant by `--dataset`, `--data` and `--name`.

    Args:
        default: the data set of the catalogue that is meant where nothing is said.
        otherwise: what a data set of one's own is called where neither `name` is given nor its
            folder has a Latin letter.

    Raises:
        click.ClickException: there is none of that name, or nothing at that path.
    """
    with _plainly():
        known = find_known(dataset) if dataset is not None else known_at(path, default)
    if known is not None:
        if name is not None:
            raise click.BadParameter(
                f"is for a data set of your own, and this is {known.title}.", param_hint="--name"
            )
        return Source(known.name, known, path)
    assert path is not None
    called = name_of(path, name, otherwise)
    if called in known_data_sets():
        raise click.BadParameter(
            f"two data sets of one name: {called} is {known_data_sets()[called].title}. Give yours "
            "another one.",
            param_hint="--name",
        )
    return Source(called, None, path)


def divided(found: FolderData, source: Source) -> DataSet:
    """Return a data set made of the pictures of a folder, and print what was left out.

    Raises:
        click.ClickException: they are too few, or too many classes.
    """
    with _plainly():
        data = divide(found, source.name)
    click.echo(_counts(data))
    left_out = {
        "not pictures": len(found.unreadable),
        "copies of one before": int(found.repeated.sum()),
        "in more than one class": int(found.contradicted.sum()),
        "beside the class folders": found.outside,
        f"empty ({', '.join(found.empty)})": len(found.empty),
    }
    if any(left_out.values()):
        told = ", ".join(f"{count:,} {what}" for what, count in left_out.items() if count)
        click.echo(f"Left out: {told}. `flask data review` names them.")
    return data


def data_set_of(bundle: Bundle, source: Source | None) -> DataSet:
    """Read the data set that `bundle` learned from: from `source`, or wherever it is found.

    Args:
        source: what `--dataset` or `--data` says; None where nothing was given.

    Raises:
        click.ClickException: it is not here, or what was given is another one.
    """
    digest, title = bundle.card.training.data_digest, bundle.card.training.data_set
    if source is None:
        with _plainly():
            known = _known_of(digest)
        if known is None:
            raise click.ClickException(
                f"The images of {title}, which {bundle.name} learned from, are not here. Give the "
                "folder or file of them with --data."
            )
        source = Source(known.name, known, None)
    data = source.read(bundle.card.input_size)
    if data.digest != digest:
        raise click.ClickException(
            f"{bundle.name} learned from other images than these: from those of {title}, or before "
            "some were added or taken away. Give those with --data."
        )
    return data


def check_kept(data: DataSet) -> None:
    """Make sure that `data` can be kept under its name, before anything is done with it.

    Raises:
        click.ClickException: another data set of that name is, or it has too many test images.
    """
    if len(data.test) > MOST_IMAGES:
        raise click.ClickException(
            f"{data.title} has {len(data.test):,} test images, and pages show {MOST_IMAGES:,} at "
            "most. Leave some of them out."
        )
    with _plainly():
        check_name(kept_folder(data.name), data.name, data.digest)


def keep_data(data: DataSet) -> Kept:
    """Keep what pages show of `data`, unless it is kept already.

    Raises:
        click.ClickException: another data set of that name is, or it cannot be written.
    """
    try:
        with _plainly(), Bars() as bars:
            kept = keep_once(kept_folder(data.name), data, bars.until("keeping test images"))
            return keep_remembered(kept, data, bars)
    except OSError as error:
        raise click.ClickException(
            f"The test images of {data.title} could not be kept for the site ({error}). `flask "
            "data pack` with the same --data does so later."
        ) from error


def kept_folder(name: str) -> Path:
    """Return the folder in which the data set called `name` is kept."""
    folder: Path = current_app.config["DATA_FOLDER"] / name
    return folder


def cache_of(name: str) -> Path:
    """Return the file in which all images of the data set called `name` are cached."""
    return kept_folder(name) / CACHE


def photo_opener(side: int) -> Opener:
    """Return what opens pictures for training, with the care that a visitor's get.

    Args:
        side: pixels that the shorter side should keep.
    """
    most = current_app.config["MAX_PHOTO_PIXELS"]
    # The longer side is what is reduced, and few pictures are four times as long as wide.
    return lambda data: open_photo(data, max_pixels=most, working_side=4 * side)


def name_of(path: Path, given: str | None = None, otherwise: str | None = None) -> str:
    """Return what the data set at `path` is called: as `given`, or else after the folder or file.

    Args:
        otherwise: what to call it where the folder's name has no letter or digit that a name may
            have, as one in Chinese has not.

    Raises:
        click.BadParameter: that is no name.
    """
    after_it = path.resolve().stem if path.is_file() else path.resolve().name
    name = given or slug(after_it) or otherwise or ""
    if not is_slug(name):
        raise click.BadParameter(
            "a name has lower-case letters, digits, dots and dashes, and begins with a letter or "
            f"digit; {name or after_it!r} has not. Choose another one.",
            param_hint="--name",
        )
    return name


@contextlib.contextmanager
def _plainly() -> Iterator[None]:
    """Say what is wrong with a data set as commands say it, without a traceback."""
    try:
        yield
    except DataError as error:
        raise click.ClickException(str(error)) from error


def _known_of(digest: str) -> KnownDataSet | None:
    """Return the data set of the catalogue that `digest` names, if it is one."""
    known = known_data_sets()
    found = next((one for one in known.values() if one.digest == digest), None)
    if found is None:
        # Of some the digest is known only since they were read, and kept.
        kept = find_description(current_app.config["DATA_FOLDER"], digest)
        found = known.get(kept.name) if kept is not None else None
    return found


def _stages(bars: Bars) -> Progress:
    """Return what shows a bar for each thing that is done."""
    shown: dict[str, tuple[Callable[[int, int], None], int]] = {}

    def show(doing: str, done: int, total: int) -> None:
        advance, before = shown.get(doing, (bars.until(doing), 0))
        if done < before:  # It begins anew, on what another source gave.
            advance = bars.until(doing)
        advance(done, total)
        shown[doing] = advance, done

    return show


def _counts(data: DataSet) -> str:
    return (
        f"{data.name}: {len(data.train):,} pictures to learn from and {len(data.test):,} to test "
        f"on, of {len(data.classes)} classes"
    )
