"""CIFAR-100 is read in its official forms; images that are not those are refused."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from model_training.bundles.reading import read_bundle
from model_training.datasets.catalog import cifar100
from model_training.datasets.catalog.cifar100 import CLASSES, load
from model_training.datasets.dataset import DataError
from model_training.datasets.registry import recognise
from model_training.datasets.sources import Arrays
from model_training.networks.checking import checked
from model_training.recipes import RECIPES
from tests.conftest import make_site

EACH_TRAIN, EACH_TEST = 3, 2


@pytest.fixture
def arrays(monkeypatch: pytest.MonkeyPatch) -> Arrays:
    """Few images of each of the hundred classes, that count as CIFAR-100."""
    monkeypatch.setattr(cifar100, "EACH_TRAIN", EACH_TRAIN)
    monkeypatch.setattr(cifar100, "EACH_TEST", EACH_TEST)
    rng = np.random.default_rng(0)
    made: Arrays = {}
    for part, each in (("train", EACH_TRAIN), ("test", EACH_TEST)):
        made[f"{part}_images"] = rng.integers(0, 256, (100 * each, 32, 32, 3), np.uint8)
        made[f"{part}_labels"] = rng.permutation(np.repeat(np.arange(100, dtype=np.uint8), each))
    return made


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test fetches anything."""

    def refuse() -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr(keras.datasets.cifar100, "load_data", refuse)


def official_names() -> list[str]:
    return [name.replace(" ", "_") for name in CLASSES]


def write_python(folder: Path, arrays: Arrays) -> Path:
    """As `cifar-100-python.tar.gz` holds them."""
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        batch = {
            b"filenames": [b"%d.png" % number for number in range(len(labels))],
            b"batch_label": b"training batch 1 of 1",
            b"fine_labels": labels.tolist(),
            b"coarse_labels": (labels // 5).tolist(),
            b"data": images.transpose(0, 3, 1, 2).reshape(len(images), -1),
        }
        (folder / part).write_bytes(pickle.dumps(batch, protocol=2))
    names = {b"fine_label_names": [name.encode() for name in official_names()]}
    (folder / "meta").write_bytes(pickle.dumps(names, protocol=2))
    return folder


def write_binary(folder: Path, arrays: Arrays) -> Path:
    """As `cifar-100-binary.tar.gz` holds them: coarse label, fine label, planes."""
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        np.c_[labels // 5, labels, planes].tofile(folder / f"{part}.bin")
    (folder / "fine_label_names.txt").write_text("\n".join(official_names()) + "\n")
    return folder


Writer = Callable[[Path, Arrays], Path]
WRITERS = [write_python, write_binary]


def trust(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the batches in `folder` count as the official ones."""
    for name in cifar100.BATCH_MD5:
        if (folder / name).exists():
            digest = hashlib.md5((folder / name).read_bytes()).hexdigest()
            monkeypatch.setitem(cifar100.BATCH_MD5, name, digest)


def packed(folder: Path, archive_path: Path) -> Path:
    with tarfile.open(archive_path, "w:gz") as archive:
        archive.add(folder, arcname=folder.name)
    return archive_path


def test_there_are_a_hundred_classes_in_the_order_of_the_alphabet() -> None:
    assert len(CLASSES) == 100
    assert list(CLASSES) == sorted(CLASSES)
    assert (CLASSES[0], CLASSES[1], CLASSES[99]) == ("apple", "aquarium fish", "worm")


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("form", ["folder", "parent", "archive"])
def test_every_form_reads_as_the_same_images(
    write: Writer, form: str, arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "in" / "cifar-100", arrays)
    trust(monkeypatch, folder)
    path = {"folder": folder, "parent": folder.parent}.get(form)
    data = load(tmp_path / "images.npz", path or packed(folder, tmp_path / "cifar-100.tar.gz"))
    assert (data.name, data.title, len(data.classes)) == ("cifar100", "CIFAR-100", 100)
    for part, images in (("train", data.train), ("test", data.test)):
        assert np.array_equal(images.images, arrays[f"{part}_images"])
        assert np.array_equal(images.labels, arrays[f"{part}_labels"])


def test_both_official_forms_are_one_data_set(
    arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = set()
    for write in WRITERS:
        folder = write(tmp_path / write.__name__, arrays)
        trust(monkeypatch, folder)
        digests.add(load(tmp_path / "images.npz", folder).digest)
    assert len(digests) == 1


@pytest.mark.parametrize("write", WRITERS)
def test_the_official_archive_is_known_by_its_md5_alone(
    write: Writer, arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(write(tmp_path / "cifar-100", arrays), tmp_path / "cifar.tgz")
    with pytest.raises(DataError, match="MD5 is not the one of CIFAR-100"):
        load(tmp_path / "images.npz", path)
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setattr(cifar100, "ARCHIVE_MD5", {digest})
    assert len(load(tmp_path / "images.npz", path).test) == 100 * EACH_TEST


@pytest.mark.parametrize("write", WRITERS)
def test_one_changed_pixel_is_found_and_the_batch_named(
    write: Writer, arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(monkeypatch, write(tmp_path / "right", arrays))
    arrays["test_images"][5, 3, 1, 2] ^= 1
    with pytest.raises(DataError, match=r"test(\.bin)? is damaged: its MD5"):
        load(tmp_path / "images.npz", write(tmp_path / "wrong", arrays))


@pytest.mark.parametrize("write", WRITERS)
def test_other_numbers_of_images_are_refused(
    write: Writer, arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays["train_labels"][arrays["train_labels"] == 7] = 8
    folder = write(tmp_path / "uneven", arrays)
    trust(monkeypatch, folder)
    with pytest.raises(DataError, match="not 3 training images of each of the hundred classes"):
        load(tmp_path / "images.npz", folder)
    few = {name: array[:-1] for name, array in arrays.items()}
    folder = write(tmp_path / "few", few)
    trust(monkeypatch, folder)
    with pytest.raises(DataError, match="CIFAR-100 has 300 of 32x32 pixels"):
        load(tmp_path / "images.npz", folder)


def test_other_classes_or_a_damaged_list_of_them_are_refused(
    arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_python(tmp_path / "python", arrays)
    trust(monkeypatch, folder)
    (folder / "meta").write_bytes(pickle.dumps({b"fine_label_names": [b"cat", b"dog"]}))
    with pytest.raises(DataError, match="classes in meta are not those of CIFAR-100"):
        load(tmp_path / "images.npz", folder)
    (folder / "meta").write_bytes(b"\x80\x04.")
    with pytest.raises(DataError, match="meta is damaged"):
        load(tmp_path / "images.npz", folder)
    (folder / "meta").unlink()
    with pytest.raises(DataError, match="meta, which names the classes, is missing"):
        load(tmp_path / "images.npz", folder)
    folder = write_binary(tmp_path / "binary", arrays)
    trust(monkeypatch, folder)
    (folder / "fine_label_names.txt").write_text("cat\ndog\n")
    with pytest.raises(DataError, match="classes in fine_label_names.txt"):
        load(tmp_path / "images.npz", folder)


def test_a_pickle_that_would_run_code_is_refused(arrays: Arrays, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "owned",))

    folder = write_python(tmp_path / "cifar", arrays)
    (folder / "meta").write_bytes(pickle.dumps({b"fine_label_names": Attack()}))
    with pytest.raises(DataError, match="which no batch needs"):
        load(tmp_path / "images.npz", folder)
    assert not (tmp_path / "owned").exists()


def test_what_keras_gives_is_checked_kept_and_found_again(
    arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def from_keras() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        # As Keras has them: labels in a column, images that are no contiguous block.
        parts = [
            (np.asfortranarray(arrays[f"{part}_images"]), arrays[f"{part}_labels"][:, None])
            for part in ("train", "test")
        ]
        return parts[0], parts[1]

    cache = tmp_path / "images.npz"
    with monkeypatch.context() as patch:
        patch.setattr(keras.datasets.cifar100, "load_data", from_keras)
        assert load(cache).source == "Keras' loader"
    again = load(cache)
    assert again.source == str(cache)
    assert np.array_equal(again.train.images, arrays["train_images"])
    data = bytearray(cache.read_bytes())
    data[len(data) // 2] ^= 1
    cache.write_bytes(bytes(data))
    with pytest.raises(DataError) as caught:
        load(cache)
    for words in (
        "the cache",
        "is damaged",
        "no network in tests",
        "flask data fetch --dataset cifar100",
        "--data",
    ):
        assert words in str(caught.value)


@pytest.mark.parametrize("write", WRITERS)
def test_a_copy_of_it_is_recognised_by_its_files(
    write: Writer, arrays: Arrays, tmp_path: Path
) -> None:
    folder = write(tmp_path / "in" / "cifar-100", arrays)
    archive = packed(folder, tmp_path / "cifar.tar.gz")
    for path in (folder, folder.parent, archive):
        found = recognise(path)
        assert found is not None and found.name == "cifar100", path
    # A cut off archive is still known, so that the message is of what it is a part of.
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size * 9 // 10])
    assert recognise(archive) is not None
    with pytest.raises(DataError, match="it is not a whole .tar.gz archive"):
        load(tmp_path / "images.npz", archive)
    for path in (tmp_path / "nowhere", tmp_path):
        assert recognise(path) is None


OF_CIFAR10 = {name: one for name, one in RECIPES.items() if one.data_set == "cifar10"}


@pytest.mark.parametrize(
    "name",
    [
        "squeezenet",
        "custom-cnn",  # Its first filters are made from the images.
        pytest.param("cnn-mish", marks=pytest.mark.release),
        pytest.param("vgg16-frozen-32", marks=pytest.mark.release),  # On kept features.
    ],
)
def test_a_recipe_learns_a_hundred_classes_from_a_small_file_in_its_form(
    name: str, arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_python(tmp_path / "cifar-100-python", arrays)
    for part in ("train", "test"):
        md5 = hashlib.md5((folder / part).read_bytes(), usedforsecurity=False).hexdigest()
        monkeypatch.setitem(cifar100.BATCH_MD5, part, md5)
    phase = dataclasses.replace(RECIPES[name].phases[-1], epochs=1, batch_size=100)
    quick = dataclasses.replace(RECIPES[name], phases=(phase,), pretrained=None)
    monkeypatch.setitem(RECIPES, name, quick)
    site = make_site(tmp_path / "instance").test_cli_runner()
    told = site.invoke(args=["train", name, "--dataset", "cifar100", "--data", str(folder)])
    assert told.exit_code == 0, told.output
    card = read_bundle(tmp_path / "instance" / "models" / f"{name}-cifar100").card
    assert card.classes == list(CLASSES) and card.title.endswith(" on CIFAR-100")
    assert card.reported is None and card.why is None
    assert "--dataset cifar100" in card.training.command


@pytest.mark.release
@pytest.mark.parametrize("name", OF_CIFAR10)
def test_every_recipe_for_cifar10_can_be_built_for_a_hundred_classes(name: str) -> None:
    model = OF_CIFAR10[name].build(classes=100)
    assert checked(model, name, 100, None).output.shape == (None, 100)
