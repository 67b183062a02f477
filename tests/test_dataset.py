"""The data set's page: real images, exact counts, and figures that are those of the images."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from PIL import Image

from model_training.datasets.catalog.cifar10 import CLASSES
from model_training.datasets.dataset import DataSet, ImageSet
from model_training.datasets.pictures.sprites import tile
from model_training.datasets.statistics import make_statistics, read_statistics, write_statistics
from model_training.files import DamagedFile
from tests.conftest import SHIPPED_DATA, make_site
from tests.page_client import PageClient
from webapp.dataset.samples import draw_samples


def test_the_statistics_are_those_of_the_images(small_data: DataSet, tmp_path: Path) -> None:
    statistics = make_statistics(small_data)
    images = small_data.train.images.astype(np.float64)
    assert np.allclose(statistics.mean, images.mean(axis=(0, 1, 2)))
    assert np.allclose(statistics.deviation, images.std(axis=(0, 1, 2)))
    cats = images[small_data.train.labels == 3].mean(axis=0)
    assert np.abs(statistics.mean_images[3] - cats).max() <= 0.5
    assert statistics.counts[:2].sum() == 800 and statistics.counts[2].tolist() == [1000] * 10
    write_statistics(tmp_path / "statistics.npz", statistics)
    with np.load(tmp_path / "statistics.npz") as stored:
        assert set(stored.files) == {"counts", "mean", "deviation", "mean_images"}
    again = read_statistics(tmp_path / "statistics.npz", 10)
    assert all(np.array_equal(value, vars(again)[name]) for name, value in vars(statistics).items())


def test_the_statistics_that_ships_is_of_the_whole_data_set() -> None:
    statistics = read_statistics(SHIPPED_DATA / "cifar10" / "statistics.npz", 10)
    assert statistics.counts.tolist() == [[4500] * 10, [500] * 10, [1000] * 10]
    # As published for the CIFAR-10 training images.
    assert np.allclose(statistics.mean / 255, [0.4914, 0.4822, 0.4465], atol=1e-4)
    assert np.allclose(statistics.deviation / 255, [0.2470, 0.2435, 0.2616], atol=1e-4)


def test_ten_images_of_each_class_are_shown(client: PageClient, test_images: ImageSet) -> None:
    page = client.get("/dataset/")
    shown = re.findall(r'aria-label="Test image (\d+), (\w+)"', page.html)
    assert len(shown) == 100
    assert [name for _, name in shown] == [name for name in CLASSES for _ in range(10)]
    assert all(CLASSES[test_images.labels[int(number)]] == name for number, name in shown)
    assert (
        len({re.sub("#.*", "", one) for one in re.findall(r'<image href="([^"]+)"', page.html)})
        == 2
    )
    other = client.get("/dataset/?seed=1")
    assert re.findall(r'aria-label="Test image (\d+), (\w+)"', other.html) != shown


@pytest.mark.parametrize(("classes", "each", "few"), [(7, 10, 3), (120, 5, 2), (256, 5, 0)])
def test_samples_of_any_number_of_classes_lie_where_their_picture_has_them(
    classes: int, each: int, few: int
) -> None:
    # The first class has fewer images than are shown of the others.
    labels = np.repeat(np.arange(classes), [few, *[each + 2] * (classes - 1)]).astype(np.uint8)
    images = np.arange(len(labels) * 16 * 3, dtype=np.uint32).reshape(-1, 4, 4, 3)
    test = ImageSet(images.astype(np.uint8), np.random.default_rng(0).permutation(labels))
    found = draw_samples(test, [f"class {number}" for number in range(classes)], seed=1)
    assert [len(row.samples) for row in found.rows] == [few, *[each] * (classes - 1)]
    assert max(len(sheet) for sheet in found.sheets) <= 100
    for label, row in enumerate(found.rows):
        picture = tile(test.images[found.sheets[row.sheet]])
        for one in row.samples:
            assert test.labels[one.number] == label
            shown = picture[one.y : one.y + 4, one.x : one.x + 4]
            assert np.array_equal(shown, test.images[one.number])


def test_counts_and_channels_are_shown(client: PageClient) -> None:
    page = client.get("/dataset/")
    assert "cat 4,500 500 1,000" in page.text
    assert "All 45,000 5,000 10,000" in page.text
    assert "red 125.31 62.99" in page.text


def test_the_mean_images_come_as_one_picture_that_may_be_kept(client: PageClient) -> None:
    (address,) = set(re.findall(r'href="(/dataset/means/[^"]+)"', client.get("/dataset/").html))
    answer = client.fetch(address)
    assert Image.open(io.BytesIO(answer.data)).size == (320, 32)
    assert "immutable" in answer.headers["Cache-Control"]
    assert client.fetch("/dataset/means/other.png").status_code == 404


@pytest.mark.parametrize(("seed", "status"), [("x", 400), ("-1", 404), ("1000000", 404)])
def test_a_wrong_seed_is_explained(seed: str, status: int, client: PageClient) -> None:
    assert client.get(f"/dataset/?seed={seed}").status == status


def test_without_images_or_figures_the_page_says_what_is_missing(empty_site: Flask) -> None:
    page = PageClient(empty_site.test_client()).get("/dataset/")
    assert page.status == 200
    assert "flask data pack" in page.text


def test_damaged_figures_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "cifar10"
    folder.mkdir(parents=True)
    shutil.copy(SHIPPED_DATA / "cifar10" / "dataset.json", folder)
    (tmp_path / "data" / "cifar10" / "statistics.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(DamagedFile):
        read_statistics(tmp_path / "data" / "cifar10" / "statistics.npz", 10)
    page = PageClient(make_site(tmp_path).test_client()).get("/dataset/")
    assert page.status == 200
