"""What is kept of a data set for whoever has not its training images: the folder `data/NAME/`.

    dataset.json     its description (`datasets.description`)
    test/            its test images in sheets (`datasets.pictures.sprites`)
    statistics.npz   its figures (`datasets.statistics`)

An audit and a review of it lie beside these, where they were made; the rooms that make them read
them.  `images.npz` is the cache of all its images, and does not ship.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from model_training.datasets.dataset import DataSet, ImageSet
from model_training.datasets.description import Description
from model_training.datasets.pictures.sprites import as_kept, read_test_images, write_test_images
from model_training.datasets.statistics import (
    Statistics,
    make_statistics,
    read_statistics,
    write_statistics,
)
from model_training.files import DamagedFile, whole_file
from model_training.naming import is_slug

DESCRIPTION, TEST, STATISTICS = "dataset.json", "test", "statistics.npz"
CACHE, AUDIT, REVIEW = "images.npz", "audit.npz", "review.json"


@dataclass(frozen=True)
class Kept:
    """A data set without its training images.

    `test` and `statistics` are None where they are missing or damaged, and `problems` says of each
    such file what is wrong with it.
    """

    folder: Path
    description: Description
    test: ImageSet | None
    statistics: Statistics | None
    problems: Mapping[str, str]

    @property
    def name(self) -> str:
        """Return the name by which pages and commands call it."""
        return self.description.name


def keep(folder: Path, data: DataSet) -> Kept:
    """Keep the test images, the figures and the description of `data` in the folder `folder`."""
    test = as_kept(data.test)
    write_test_images(folder / TEST, test)
    # As they are read back: what is kept of larger images is not what was given, to the last bit.
    test = read_test_images(folder / TEST, test.side)
    write_statistics(folder / STATISTICS, make_statistics(data))
    description = Description(
        name=data.name,
        title=data.title,
        classes=data.classes,
        image_size=data.side,
        kept_size=test.side,
        digest=data.digest,
        test_digest=test.digest(),
        about=data.about,
        test_names=data.test_names,
    )
    # Last, since a folder without it is none.
    with whole_file(folder / DESCRIPTION) as temporary:
        temporary.write_text(description.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return read_kept(folder)


def read_kept(folder: Path) -> Kept:
    """Read what `keep` wrote; a part that is missing or damaged is left out, and named.

    Raises:
        DamagedFile: the description is damaged, or of another data set.
        FileNotFoundError: there is none.
    """
    try:
        description = Description.model_validate_json((folder / DESCRIPTION).read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DamagedFile(f"{DESCRIPTION} is not valid: {where}: {first['msg']}") from error
    if description.name != folder.name:
        raise DamagedFile(
            f"{DESCRIPTION} is of {description.name!r}, but the folder is {folder.name!r}"
        )
    problems: dict[str, str] = {}
    test = statistics = None
    try:
        test = _checked(read_test_images(folder / TEST, description.kept_size), description)
    except DamagedFile as error:
        problems[TEST] = str(error)
    try:
        statistics = read_statistics(folder / STATISTICS, len(description.classes))
    except (DamagedFile, OSError) as error:
        problems[STATISTICS] = str(error)
    return Kept(folder, description, test, statistics, problems)


def read_all_kept(data_folder: Path) -> tuple[list[Kept], dict[str, str]]:
    """Read every data set that is kept in `data_folder`, in the order of their names.

    Returns:
        The good ones, and for each bad one its name and what is wrong with it.
    """
    good: list[Kept] = []
    bad: dict[str, str] = {}
    for folder in sorted(data_folder.iterdir()) if data_folder.is_dir() else ():
        if folder.is_dir() and is_slug(folder.name) and (folder / DESCRIPTION).exists():
            try:
                good.append(read_kept(folder))
            except (DamagedFile, OSError) as error:
                bad[folder.name] = str(error)
    return good, bad


def _checked(test: ImageSet, description: Description) -> ImageSet:
    if int(test.labels.max()) >= len(description.classes):
        raise DamagedFile("a label is of no class")
    if test.digest() != description.test_digest:
        raise DamagedFile(f"the images are not those that {DESCRIPTION} tells of")
    return test
