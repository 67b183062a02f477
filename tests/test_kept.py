"""What is kept of a data set: enough for every page, and never another under its name unasked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model_training.datasets import kept
from model_training.datasets.dataset import DataSet, ImageSet, content_digest
from model_training.datasets.kept import (
    NameTaken,
    check_name,
    find_description,
    keep,
    keep_once,
    read_all_kept,
    read_kept,
)


def shapes(seed: int = 0, side: int = 20, name: str = "shapes") -> DataSet:
    """A data set of noise, which differs by its seed; a larger side makes larger images of it."""
    rng = np.random.default_rng(seed)
    small, classes = rng.integers(0, 256, (30, 20, 20, 3), np.uint8), ("disc", "square", "star")
    images, labels = ImageSet(small, np.arange(30, dtype=np.uint8) % 3), slice(0, 21)
    train, test = (
        ImageSet(images.images[part], images.labels[part]) for part in (labels, slice(21, 30))
    )
    digest = content_digest(classes, train, test)
    names = tuple(f"{classes[label]}/{place}.png" for place, label in enumerate(test.labels))
    data = DataSet(name, name, classes, train, test, digest, "drawn", test_names=names)
    return data.at_side(side)


def test_everything_a_page_needs_is_kept(tmp_path: Path) -> None:
    data = shapes()
    found = keep(tmp_path / "shapes", data)
    assert not found.problems
    description = found.description
    assert (description.name, description.classes) == ("shapes", data.classes)
    assert (description.image_size, description.kept_size) == (20, 20)
    assert (description.digest, description.test_names) == (data.digest, data.test_names)
    assert found.test is not None and found.statistics is not None
    assert np.array_equal(found.test.images, data.test.images), "small ones without loss"
    assert found.statistics.counts.sum(axis=1).tolist() == [18, 3, 9]


def test_large_images_are_kept_smaller_and_so_are_their_means(tmp_path: Path) -> None:
    found = keep(tmp_path / "shapes", shapes(side=150))
    assert (found.description.image_size, found.description.kept_size) == (150, 96)
    assert found.test is not None and found.test.side == 96
    assert found.statistics is not None and found.statistics.mean_images.shape == (3, 96, 96, 3)


def test_what_is_kept_whole_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    keep(folder, shapes())
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    keep_once(folder, shapes())
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_larger_images_of_the_same_data_set_replace_smaller_ones(tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    keep_once(folder, shapes(side=20))
    assert keep_once(folder, shapes(side=60)).description.kept_size == 60
    assert keep_once(folder, shapes(side=20)).description.kept_size == 60
    # And the audit, which is of the same images, stays.
    (folder / kept.AUDIT).write_bytes(b"found out")
    keep_once(folder, shapes(side=70))
    assert (folder / kept.AUDIT).read_bytes() == b"found out"


@pytest.mark.parametrize("part", ["test/00.webp", "statistics.npz"])
def test_what_is_damaged_is_kept_anew(part: str, tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    keep(folder, shapes())
    (folder / part).write_bytes(b"")
    assert read_kept(folder).problems
    assert not keep_once(folder, shapes()).problems
    (folder / "dataset.json").write_text("{")
    assert not keep_once(folder, shapes()).problems


def test_other_images_of_the_same_name_are_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    keep(folder, shapes(seed=0))
    other = shapes(seed=1)
    with pytest.raises(NameTaken) as caught:
        keep_once(folder, other)
    for words in ("Two data sets of one name", "disc, square, star", "--name", "--force"):
        assert words in str(caught.value)
    assert read_kept(folder).description.digest == shapes(seed=0).digest
    check_name(folder, "shapes", shapes(seed=0).digest)
    # Who says so replaces them; an audit of the ones before is then of no use.
    (folder / kept.AUDIT).write_bytes(b"of the ones before")
    assert keep(folder, other).description.digest == other.digest
    assert not (folder / kept.AUDIT).exists()


@pytest.mark.parametrize("theirs", ["cat/1.jpg", "test/1.jpg", "notes.txt"])
def test_a_folder_of_ones_own_files_is_never_written_into(theirs: str, tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    (folder / theirs).parent.mkdir(parents=True)
    (folder / theirs).write_bytes(b"three years of work")
    with pytest.raises(NameTaken, match="there are other files in it"):
        keep_once(folder, shapes())
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / theirs]


def test_a_review_or_a_cache_that_lies_there_before_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    folder.mkdir()
    for name in (kept.REVIEW, kept.CACHE, ".DS_Store"):
        (folder / name).write_bytes(b"")
    assert not keep_once(folder, shapes()).problems


def test_a_data_set_is_found_by_its_digest_whatever_it_is_called(tmp_path: Path) -> None:
    for number, name in enumerate(("first", "second", "third")):
        keep(tmp_path / name, shapes(seed=number, name=name))
    (tmp_path / "first" / "dataset.json").write_text("damaged")
    (tmp_path / "no-data-set").mkdir()
    found = find_description(tmp_path, shapes(seed=1).digest)
    assert found is not None and found.name == "second"
    assert find_description(tmp_path, shapes(seed=0).digest) is None
    assert find_description(tmp_path / "nowhere", 64 * "0") is None
    good, bad = read_all_kept(tmp_path)
    assert [one.name for one in good] == ["second", "third"] and list(bad) == ["first"]


def test_the_size_of_images_follows_what_a_network_takes() -> None:
    data = shapes(side=48)
    assert data.for_network(32, takes_any=True).side == 32, "it would see no more of them"
    assert data.for_network(160, takes_any=True) is data, "it enlarges them itself"
    assert data.for_network(64, takes_any=False).side == 64
    assert data.for_network(48, takes_any=False) is data
    reduced = data.for_network(32, takes_any=False)
    assert (reduced.digest, reduced.test_names) == (data.digest, data.test_names)
    assert reduced.test.side == 32 and len(reduced.train) == len(data.train)
