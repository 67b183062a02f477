"""What is kept of a data set where its training images are not at hand: the folder `data/NAME/`.

    dataset.json     its description (`datasets.description`)
    test/            its test images in sheets (`datasets.pictures.sprites`)
    statistics.npz   its figures (`datasets.statistics`)
    remembered.npz   the training images that judges remember (`pictures.remembered`); may be
                     missing

An audit and a review of it lie beside these, where they were made; the packages that make them read
them.  `images.npz` is the cache of all its images, and does not ship.

A folder belongs to one data set, identified by its digest.  When pictures are added to a data set
of one's own or removed from it, the digest changes.  What is kept is then replaced only on request,
since models that were tested on the earlier images would lose them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from model_training.datasets.dataset import DataError, DataSet, ImageSet
from model_training.datasets.description import Description
from model_training.datasets.pictures.remembered import (
    REMEMBERED,
    RememberedImages,
    read_remembered,
)
from model_training.datasets.pictures.resizing import resized
from model_training.datasets.pictures.sprites import (
    LARGEST_SIDE,
    as_kept,
    is_sheets,
    read_test_images,
    write_test_images,
)
from model_training.datasets.statistics import (
    Statistics,
    make_statistics,
    read_statistics,
    write_statistics,
)
from model_training.faults import first_fault
from model_training.files import DamagedFile, whole_file
from model_training.naming import is_slug

DESCRIPTION, TEST, STATISTICS = "dataset.json", "test", "statistics.npz"
CACHE, AUDIT, REVIEW = "images.npz", "audit.npz", "review.json"


@dataclass(frozen=True)
class Kept:
    """A data set without its training images.

    `test` and `statistics` are None where they are missing or damaged; `problems` maps each such
    file to what is wrong with it.  `remembered` is None also where nobody has written it.
    """

    folder: Path
    description: Description
    test: ImageSet | None
    statistics: Statistics | None
    problems: Mapping[str, str]
    remembered: RememberedImages | None = None

    @property
    def name(self) -> str:
        """Return the name by which pages and commands call it."""
        return self.description.name


class NameTaken(DataError):
    """Another data set is kept under the name; the message says which, and what to do."""


def check_name(folder: Path, name: str, digest: str) -> None:
    """Raise an error unless the data set of that name and digest may be kept in `folder`.

    Raises:
        NameTaken: another one is kept there, or something else is.
    """
    try:
        there = read_description(folder)
    except (DamagedFile, OSError):
        if _is_of_others(folder):
            raise NameTaken(
                f"{folder} is where {name} would be kept, and there are other files in it. Move "
                "them out of the site's data folder, or give another name with --name."
            ) from None
        return
    if there.digest != digest:
        raise NameTaken(
            f"Two data sets of one name: {folder} keeps other images that are called {name}, of "
            f"{len(there.classes)} classes ({_few(there.classes)}). If these are others, or the "
            "same with some added or taken away, give them a name of their own with --name. Or let "
            "them take the place of those with `flask data pack --force`; models that were tested "
            "on those are then without their test images."
        )


def keep_once(
    folder: Path,
    data: DataSet,
    on_images: Callable[[int, int], None] = lambda done, total: None,
) -> Kept:
    """Keep `data` as `keep` does, unless it is kept there already, whole and at the same size.

    Args:
        on_images: as in `keep`.

    Raises:
        NameTaken: another data set is kept in `folder`.
    """
    check_name(folder, data.name, data.digest)
    try:
        there = read_kept(folder)
    except (DamagedFile, OSError):
        return keep(folder, data, on_images)
    smaller = there.description.kept_size < min(data.side, LARGEST_SIDE)
    damaged = set(there.problems) - {REMEMBERED}
    return keep(folder, data, on_images) if damaged or smaller else there


def keep(
    folder: Path,
    data: DataSet,
    on_images: Callable[[int, int], None] = lambda done, total: None,
) -> Kept:
    """Keep the test images, the figures and the description of `data` in the folder `folder`.

    What is kept there is replaced.  An audit of another data set and its remembered images,
    then of no use, are removed.

    Args:
        on_images: called with the number of test images written so far and their total.
    """
    with contextlib.suppress(DamagedFile, OSError):
        if read_description(folder).digest != data.digest:
            (folder / AUDIT).unlink(missing_ok=True)
            (folder / REMEMBERED).unlink(missing_ok=True)
    test = as_kept(data.test)
    write_test_images(folder / TEST, test, on_images)
    # As they are read back: larger images are kept with a loss, so not to the last bit as given.
    test = read_test_images(folder / TEST, test.side)
    statistics = make_statistics(data)
    means = resized(statistics.mean_images, min(data.side, LARGEST_SIDE))
    write_statistics(folder / STATISTICS, replace(statistics, mean_images=means))
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
    # Last, since a folder without it does not count as a kept data set.
    with whole_file(folder / DESCRIPTION) as temporary:
        temporary.write_text(description.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return read_kept(folder)


def read_kept(folder: Path) -> Kept:
    """Read what `keep` wrote; a part that is missing or damaged is left out and named.

    Raises:
        DamagedFile: the description is damaged, or of another data set.
        FileNotFoundError: there is none.
    """
    description = read_description(folder)
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
    remembered = None
    try:
        remembered = read_remembered(folder / REMEMBERED)
        if remembered.digest != description.digest:
            remembered, problems[REMEMBERED] = None, "it is of another data set"
    except FileNotFoundError:
        pass
    except (DamagedFile, OSError) as error:
        problems[REMEMBERED] = str(error)
    return Kept(folder, description, test, statistics, problems, remembered)


def read_description(folder: Path) -> Description:
    """Read only the description of the data set that is kept in `folder`.

    Raises:
        DamagedFile: the description is damaged, or of another data set.
        FileNotFoundError: there is none.
    """
    try:
        description = Description.model_validate_json((folder / DESCRIPTION).read_bytes())
    except ValidationError as error:
        raise DamagedFile(f"{DESCRIPTION} is not valid: {first_fault(error)}") from error
    if description.name != folder.name:
        raise DamagedFile(
            f"{DESCRIPTION} is of {description.name!r}, but the folder is {folder.name!r}"
        )
    return description


def find_description(data_folder: Path, digest: str) -> Description | None:
    """Return the description of the data set that `digest` names, if it is kept in `data_folder`.

    Damaged descriptions are skipped.
    """
    for folder in _folders(data_folder):
        with contextlib.suppress(DamagedFile, OSError):
            description = read_description(folder)
            if description.digest == digest:
                return description
    return None


def read_all_kept(data_folder: Path) -> tuple[list[Kept], dict[str, str]]:
    """Read every data set that is kept in `data_folder`, in the order of their names.

    Returns:
        The valid ones, and what is wrong with each invalid one, by its name.
    """
    good: list[Kept] = []
    bad: dict[str, str] = {}
    for folder in _folders(data_folder):
        try:
            good.append(read_kept(folder))
        except (DamagedFile, OSError) as error:
            bad[folder.name] = str(error)
    return good, bad


def _folders(data_folder: Path) -> list[Path]:
    there = sorted(data_folder.iterdir()) if data_folder.is_dir() else []
    return [one for one in there if is_slug(one.name) and (one / DESCRIPTION).is_file()]


def _is_of_others(folder: Path) -> bool:
    """Return whether `folder` holds something that was not written by `keep`."""
    ours = {DESCRIPTION, TEST, STATISTICS, REMEMBERED, CACHE, AUDIT, REVIEW}
    there = (
        {one.name for one in folder.iterdir() if one.name[0] != "."} if folder.is_dir() else set()
    )
    return not there <= ours or (TEST in there and not is_sheets(folder / TEST))


def _few(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:5]) + (", …" if len(classes) > 5 else "")


def _checked(test: ImageSet, description: Description) -> ImageSet:
    if int(test.labels.max()) >= len(description.classes):
        raise DamagedFile("a label is of no class")
    if test.digest() != description.test_digest:
        raise DamagedFile(f"the images are not those that {DESCRIPTION} tells of")
    return test
