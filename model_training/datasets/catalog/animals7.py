"""Animals-7: seven of the ten classes of Animals-10 (butterfly, cat, chicken, elephant, horse,
spider, squirrel), 15,094 photographs found on the web.

Animals-10 has dog, cow and sheep too, which could not be had.  As its project did, equally many
photos of each class are taken, as many as the smallest has, cut to their middle square and reduced
to 100 pixels; a fifth of each class is for the test.  Which ones depends on their bytes alone.

The photos do not ship: they are read from the folder or archive of class folders that is given
with `--data`, and every file is checked.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from model_training.datasets.dataset import DataError, DataSet, ImageSet
from model_training.datasets.description import About, Note
from model_training.datasets.folders.archives import unpacked
from model_training.datasets.folders.balanced import (
    divide_evenly,
    list_pictures,
    pictures_digest,
    read_pictures,
)
from model_training.datasets.pictures.opener import open_photo
from model_training.datasets.registry import KnownDataSet
from model_training.datasets.sources import (
    Arrays,
    Progress,
    SourceError,
    find,
    no_progress,
    read_cache,
)

NAME, TITLE = "animals7", "Animals-7"
CLASSES = ("butterfly", "cat", "chicken", "elephant", "horse", "spider", "squirrel")
IMAGE_SIZE = 100
TEST_SHARE = 0.2
TRAIN_IMAGES, TEST_IMAGES = 7 * 1_177, 7 * 294
PICTURES_DIGEST = "9afeeed063c90bed24428b3f2fbfcc014a35918ab8756b12257975884033ebeb"
"""SHA-256 over a line `CLASS/SHA-256` for each file, sorted."""
DIGEST = hashlib.sha256(f"{PICTURES_DIGEST} {IMAGE_SIZE} {TEST_SHARE}".encode()).hexdigest()
"""Names the data set: the files and how they are divided, as decoders differ in their last bit."""
MOST_PIXELS = 2**24

ABOUT = About(
    lead="Photographs of seven animals, found on the web: 1,471 of each, cut to a square of 100 "
    "pixels.",
    notes=(
        Note(
            title="Seven of ten classes",
            text="A course project learned from Animals-10, whose dogs, cows and sheep are not "
            "here. What it reported is of ten classes, another task and a harder one: guessing is "
            "right one time in ten there, and one in seven here.",
        ),
    ),
    examples="The networks never learned from these.",
)


def load(cache: Path, path: Path | None = None, progress: Progress = no_progress) -> DataSet:
    """Find Animals-7, check it, and keep what is taken of it in the file `cache`.

    With `path`, a folder or `.tar` archive of class folders or a cache file, only that is tried and
    then kept; otherwise the cache.

    Raises:
        DataError: nothing was found, or what was found is something else.
    """

    def read_path(given: Path) -> Arrays:
        if given.suffix == ".npz":
            return read_cache(given)
        return _read_folder(given, progress)

    return find(
        TITLE,
        cache,
        path,
        progress,
        read_path=read_path,
        fetchers={},
        verified=verified,
        advice="Its photos do not ship: give --data the folder or the .tar archive of them. "
        f"`flask data fetch --dataset {NAME} --data` with it keeps them for later.",
    )


def verified(arrays: Arrays, source: str) -> DataSet:
    """Return the data set of `arrays`.

    Raises:
        SourceError: they are not those of Animals-7.
    """
    parts = []
    for kind, count in (("train", TRAIN_IMAGES), ("test", TEST_IMAGES)):
        part = ImageSet(arrays[f"{kind}_images"], arrays[f"{kind}_labels"])
        if part.images.shape != (count, IMAGE_SIZE, IMAGE_SIZE, 3) or part.labels.shape != (count,):
            raise SourceError(
                f"its {kind} images have the shape {part.images.shape}; {TITLE} has {count:,} of "
                f"{IMAGE_SIZE}x{IMAGE_SIZE} pixels"
            )
        parts.append(part)
    return DataSet(NAME, TITLE, CLASSES, parts[0], parts[1], DIGEST, source, ABOUT)


def _read_folder(path: Path, progress: Progress) -> Arrays:
    try:
        with unpacked(path) as folder:
            classes, pictures = list_pictures(folder)
            if pictures_digest(classes, pictures) != PICTURES_DIGEST:
                raise SourceError(
                    f"its {len(pictures):,} files in {len(classes)} class folders are not the "
                    f"15,094 photos of {TITLE}. Photos of your own need no --dataset: --data "
                    "FOLDER is enough"
                )
            train, test = divide_evenly(classes, pictures, TEST_SHARE)
            done, total = 0, len(train) + len(test)

            def on_picture() -> None:
                nonlocal done
                done += 1
                progress("reading", done, total)

            found = [
                read_pictures(
                    part,
                    IMAGE_SIZE,
                    lambda data: open_photo(data, max_pixels=MOST_PIXELS),
                    on_picture,
                )
                for part in (train, test)
            ]
    except (DataError, OSError, ValueError) as error:
        raise SourceError(str(error).rstrip(".")) from error
    return {
        "train_images": found[0].images,
        "train_labels": found[0].labels,
        "test_images": found[1].images,
        "test_labels": found[1].labels,
    }


DATA_SET = KnownDataSet(
    NAME,
    TITLE,
    CLASSES,
    IMAGE_SIZE,
    DIGEST,
    load,
    ABOUT,
    fetched=False,
    marks=(frozenset({"000925a2769e.jpg", "001fe3c751bb.jpg"}),),
)
