"""What is done to images: whole pixels move, nothing is invented, and a seed repeats it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from model_training.datasets.augmentation import GREY, Augmentation, Augmenter, Images, Transform
from model_training.datasets.dataset import DataSet, ImageSet
from model_training.datasets.statistics import read_statistics
from model_training.recipes import find_recipe
from model_training.training.options import with_grey_of
from tests.conftest import SHIPPED_DATA

EVERYTHING = Augmentation(shift=2, flip="alternating", cutout=8)


@pytest.fixture(scope="module")
def images(test_images: ImageSet) -> Images:
    return test_images.images[:64]


def drawn(images: Images, augmentation: Augmentation, epoch: int = 0, seed: int = 0) -> Images:
    return Augmenter(images, augmentation, seed).batch(np.arange(len(images)), epoch, number=0)


def test_no_augmentation_leaves_images_as_they_are(images: Images) -> None:
    assert np.array_equal(drawn(images, Augmentation()), images)


def test_a_shift_moves_each_image_by_whole_pixels_and_reflects_the_edge(images: Images) -> None:
    moved = drawn(images, Augmentation(shift=2))
    views = [Transform(down=d, right=r)(images) for d in range(-2, 3) for r in range(-2, 3)]
    found = [[np.array_equal(view[n], moved[n]) for view in views] for n in range(len(images))]
    assert all(any(row) for row in found)
    used = {row.index(True) for row in found}
    assert len(used) > 15, "images of one batch move each their own way"


def test_a_transform_moves_content_down_and_to_the_right() -> None:
    image = np.arange(5 * 5 * 3, dtype=np.uint8).reshape(1, 5, 5, 3)
    moved = Transform(down=1, right=2)(image)
    assert np.array_equal(moved[0, 1:, 2:], image[0, :-1, :-2])
    assert np.array_equal(moved[0, 0, 2:], image[0, 1, :-2]), "reflected, not repeated"
    assert np.array_equal(Transform(flip=True)(image)[0, :, 0], image[0, :, -1])
    assert np.array_equal(
        Transform(enlarge=3)(image)[0, 3:6, 0:3], np.tile(image[0, 1, 0], (3, 3, 1))
    )


def test_alternating_flips_show_each_image_from_both_sides_in_two_epochs(images: Images) -> None:
    first, second = (drawn(images, Augmentation(flip="alternating"), epoch) for epoch in (0, 1))
    assert np.array_equal(first, second[:, :, ::-1])
    unchanged = sum(np.array_equal(a, b) for a, b in zip(first, images, strict=True))
    assert 16 <= unchanged <= 48, "about half of them begin mirrored"


def test_random_flips_are_drawn_anew_each_epoch(images: Images) -> None:
    first, second = (drawn(images, Augmentation(flip="random"), epoch) for epoch in (0, 1))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, second[:, :, ::-1])


def test_cutout_covers_one_square_of_each_image(images: Images) -> None:
    cut = drawn(images, Augmentation(cutout=8))
    for before, after in zip(images, cut, strict=True):
        rows, columns = np.nonzero((before != after).any(axis=-1))
        assert rows.max() - rows.min() < 8 and columns.max() - columns.min() < 8
        assert (after == GREY).all(axis=-1).sum() >= 64


def test_a_batch_is_a_function_of_seed_epoch_and_place(images: Images) -> None:
    augmenter = Augmenter(images, EVERYTHING, seed=1)
    chosen = np.arange(20)
    batch = augmenter.batch(chosen, 3, 4)
    assert np.array_equal(batch, Augmenter(images, EVERYTHING, seed=1).batch(chosen, 3, 4))
    # A process that learns from a part of it makes that part only.
    third = slice(len(chosen) // 3, 2 * len(chosen) // 3)
    assert np.array_equal(batch[third], augmenter.batch(chosen, 3, 4, third))
    for other in (augmenter.batch(chosen, 3, 5), augmenter.batch(chosen, 4, 4)):
        assert not np.array_equal(batch, other)


@pytest.mark.parametrize("part", ["shift", "flip", "cutout"])
def test_the_images_themselves_are_never_changed(part: str, images: Images) -> None:
    before = images.copy()
    drawn(images, dataclasses.replace(Augmentation(), **{part: getattr(EVERYTHING, part)}))
    assert np.array_equal(images, before)


def test_cutout_is_as_bright_as_the_data_set_is_on_average() -> None:
    shipped = read_statistics(SHIPPED_DATA / "cifar10" / "statistics.npz", 10)
    assert round(float(shipped.mean.mean())) == GREY == 121
    classes = ("dark", "bright")
    parts = [
        ImageSet(np.full((6, 16, 16, 3), level, np.uint8), np.arange(6, dtype=np.uint8) % 2)
        for level in (40, 250)
    ]
    data = DataSet("plain", "Plain", classes, parts[0], parts[1], 64 * "0", "the tests")
    for name in ("best-cnn", "fast-cnn"):
        phases = find_recipe(name).phases
        found = with_grey_of(data, phases)
        has_cutout = any(phase.augmentation.cutout for phase in phases)
        assert {phase.augmentation.grey for phase in found} == {40 if has_cutout else GREY}
        assert has_cutout == (name == "best-cnn")
    covered = drawn(parts[1].images, dataclasses.replace(EVERYTHING, grey=40))
    assert set(np.unique(covered)) == {40, 250}
