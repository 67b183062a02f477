"""Pictures and arrays of one's own have what the shipped data set has, and bad ones clear words."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskCliRunner
from PIL import Image

from model_training.auditing import agreement, near_copies
from model_training.auditing.audit import read_audit
from model_training.bundles.reading import read_bundle
from model_training.datasets.catalog import cifar100
from model_training.datasets.catalog.cifar10 import CLASSES
from model_training.datasets.dataset import ImageSet
from model_training.datasets.kept import read_kept
from model_training.recipes import RECIPES, Recipe
from tests import test_cifar100
from tests.conftest import TINY, make_site
from tests.test_cifar100 import packed, trust, write_python

NAMES = ("cat", "dog", "frog")
EACH = 24


@pytest.fixture(scope="module")
def pictures(test_images: ImageSet) -> dict[str, np.ndarray]:
    """Twenty-four of three classes, 32 pixels."""
    return {
        name: test_images.images[test_images.labels == CLASSES.index(name)][:EACH] for name in NAMES
    }


def write_folder(folder: Path, pictures: dict[str, np.ndarray]) -> Path:
    for name, images in pictures.items():
        (folder / name).mkdir(parents=True)
        for place, image in enumerate(images):
            picture = Image.fromarray(image).resize((128, 112))
            picture.save(folder / name / f"{place:02d}.png")
    return folder


@pytest.fixture(scope="module")
def folder(pictures: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("own") / "pets", pictures)


@pytest.fixture(scope="module")
def arrays(pictures: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in an .npz file, at 48 pixels, four of each class to test on."""
    path = tmp_path_factory.mktemp("arrays") / "Few Animals.npz"
    images = np.stack(
        [images.repeat(3, 1).repeat(3, 2)[:, ::2, ::2] for images in pictures.values()]
    )
    labels = np.repeat(np.arange(3)[:, None], EACH, axis=1)
    assert images.shape[2:] == (48, 48, 3)
    np.savez_compressed(
        path,
        x_train=images[:, 4:].reshape(-1, 48, 48, 3),
        y_train=labels[:, 4:].reshape(-1, 1),
        x_test=images[:, :4].reshape(-1, 48, 48, 3),
        y_test=labels[:, :4].reshape(-1, 1),
        classes=np.array(NAMES),
    )
    return path


Invoke = Callable[..., str]


def commands(instance: Path) -> tuple[Invoke, Invoke]:
    """What runs a command that must be done, and one that must be refused; each gives its words."""
    runner: FlaskCliRunner = make_site(instance).test_cli_runner()

    def words(exit_codes: tuple[int, ...], arguments: tuple[object, ...]) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(RECIPES, "tiny", TINY)
            result = runner.invoke(args=[str(one) for one in arguments])
        assert result.exit_code in exit_codes, result.output
        return " ".join(result.output.split())

    return lambda *arguments: words((0,), arguments), lambda *arguments: words((1, 2), arguments)


@pytest.fixture(scope="module")
def trained(
    folder: Path, arrays: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, str]:
    """An instance in which a network was trained on each of both, and what was said."""
    instance = tmp_path_factory.mktemp("instance")
    done, _refused = commands(instance)
    on_folder = done("train", "tiny", "--data", folder, "--epochs", "1")
    return instance, on_folder, done("train", "tiny", "--data", arrays, "--epochs", "1")


@pytest.fixture
def instance(trained: tuple[Path, str, str], tmp_path: Path) -> Path:
    """A copy of that, to change."""
    return shutil.copytree(trained[0], tmp_path / "instance")


def test_a_folder_that_was_trained_on_is_kept(trained: tuple[Path, str, str]) -> None:
    kept = read_kept(trained[0] / "data" / "pets")
    card = read_bundle(trained[0] / "models" / "tiny-pets").card
    assert not kept.problems
    assert (kept.description.title, kept.description.classes) == ("pets", NAMES)
    assert kept.description.digest == card.training.data_digest
    assert kept.test is not None and len(kept.test) == 3 * EACH // 6
    names = kept.description.test_names
    assert len(names) == len(kept.test)
    for name, label in zip(names, kept.test.labels, strict=True):
        assert re.fullmatch(rf"{NAMES[label]}/\d\d\.png", name)
    assert kept.statistics is not None
    assert kept.statistics.counts.sum(axis=0).tolist() == [EACH] * 3


def test_a_file_of_arrays_that_was_trained_on_is_kept(trained: tuple[Path, str, str]) -> None:
    instance, _on_folder, said = trained
    assert "few-animals: 60 pictures to learn from and 12 to test on, of 3 classes" in said
    kept = read_kept(instance / "data" / "few-animals")
    card = read_bundle(instance / "models" / "tiny-few-animals").card
    assert card.classes == list(NAMES) and card.reported is None
    assert card.training.command == "flask train tiny --data 'Few Animals.npz' --epochs 1 --seed 0"
    assert kept.description.digest == card.training.data_digest
    # The network saw 32 pixels; what is kept is as it was given.
    assert (card.layers[0].output_shape[1], kept.description.kept_size) == (32, 48)


def test_pack_keeps_larger_pictures_than_the_network_saw(folder: Path, instance: Path) -> None:
    done, _refused = commands(instance)
    place = instance / "data" / "pets"
    assert read_kept(place).description.kept_size == 32
    assert "read back and checked" in done("data", "pack", "--data", folder)
    kept = read_kept(place)
    assert kept.description.kept_size == 96 and not kept.problems


def test_pictures_that_were_added_make_another_data_set(
    folder: Path, instance: Path, tmp_path: Path
) -> None:
    done, refused = commands(instance)
    more = shutil.copytree(folder, tmp_path / "pets")
    Image.new("RGB", (40, 40), (90, 60, 30)).save(more / "dog" / "new.png")
    command = ("train", "tiny", "--data", more, "--epochs", "1")
    for asked in ((*command, "--output", "grown"), ("data", "pack", "--data", more)):
        said = refused(*asked)
        for words in ("Two data sets of one name", "--name", "flask data pack --force"):
            assert words in said
        assert "epoch 1" not in said, "it is said before anything is trained"
    old = read_kept(instance / "data" / "pets").description
    done(*command, "--name", "more-pets")
    assert read_kept(instance / "data" / "more-pets").description.digest != old.digest
    assert read_bundle(instance / "models" / "tiny-more-pets").card.training.data_set == "more-pets"
    assert read_kept(instance / "data" / "pets").description == old
    done("data", "pack", "--data", more, "--force")
    assert read_kept(instance / "data" / "pets").description.digest != old.digest


def test_calibrate_wants_the_pictures_that_the_network_learned_from(
    folder: Path, arrays: Path, instance: Path, tmp_path: Path
) -> None:
    done, refused = commands(instance)
    before = read_bundle(instance / "models" / "tiny-pets")
    assert "images of pets, which tiny-pets learned from, are not here" in refused(
        "calibrate", "tiny-pets"
    )
    assert "with --data" in refused("calibrate", "tiny-few-animals")
    assert "tiny-pets learned from other images than these: from those of pets" in refused(
        "calibrate", "tiny-pets", "--data", arrays
    )
    fewer = shutil.copytree(folder, tmp_path / "pets")
    (fewer / "cat" / "00.png").unlink()
    assert "some were added or taken away" in refused("calibrate", "tiny-pets", "--data", fewer)
    for name, path in (("tiny-pets", folder), ("tiny-few-animals", arrays)):
        done("calibrate", name, "--data", path)
    after = read_bundle(instance / "models" / "tiny-pets")
    assert after.judge is not None and before.judge is not None
    assert after.judge.threshold.novelty == pytest.approx(before.judge.threshold.novelty)


def test_an_export_is_checked_on_the_test_images_of_its_own_data_set(instance: Path) -> None:
    done, refused = commands(instance)
    place = instance / "exports"
    command = ("export", "tiny-pets", "--format", "litert", "--to", place / "pets.tflite")
    assert "Checked in LiteRT on 12 test images of pets" in done(*command)
    (instance / "data" / "pets" / "test" / "00.webp").write_bytes(b"")
    said = refused(*command, "--force")
    assert "test images of pets, and they cannot be read" in said and "flask data pack" in said
    shutil.rmtree(instance / "data" / "pets")
    said = refused(*command, "--force")
    assert "test images of pets, which tiny-pets was tested on, and they are not here" in said
    assert "--data" in said and (place / "pets.tflite").exists()


def test_the_audit_of_ones_own_data_is_that_of_the_models(
    folder: Path, arrays: Path, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What eight channels make of an image tells no two of them apart.
    monkeypatch.setattr(near_copies, "LEAST_LIKENESS", 0.99999)
    monkeypatch.setattr(agreement, "LEAST_AGREEMENT", 0.3)
    done, refused = commands(instance)
    features = ("--features", "tiny-pets")
    for name, path, tested in (("pets", folder, "tiny-pets"), ("few-animals", arrays, None)):
        said = done("data", "audit", "--data", path, *features)
        kept = read_kept(instance / "data" / name)
        audit = read_audit(instance / "data" / name / "audit.npz", kept.description)
        assert kept.test is not None and np.array_equal(audit.labels, kept.test.labels)
        judge = tested or "tiny-few-animals"
        assert list(audit.provenance.models) == [judge] and f"judged by {judge}" in said
        worst = int(audit.doubts.doubt.argmax())
        file = f" ({kept.description.test_names[worst]})" if name == "pets" else ""
        assert f"test image {worst}{file}: labelled {NAMES[audit.labels[worst]]}" in said
    # As large as it is kept now, whatever the network saw.
    assert read_kept(instance / "data" / "pets").description.kept_size == 96
    assert "tiny-few-animals was tested on other images than those of pets" in refused(
        "data", "audit", "tiny-few-animals", "--data", folder, *features
    )


def test_near_copies_of_large_pictures_are_found_and_kept_as_large_as_the_others(
    folder: Path, instance: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_copies, "LEAST_LIKENESS", 0.97)
    monkeypatch.setattr(agreement, "LEAST_AGREEMENT", 0.3)
    done, _refused = commands(instance)
    twins = shutil.copytree(folder, tmp_path / "twins")
    for path in sorted((twins / "frog").iterdir()):
        # Another file with the same picture: one of the two may be among the test images.
        with Image.open(path) as picture:
            picture.save(path.with_suffix(".webp"), lossless=True)
    done("train", "tiny", "--data", twins, "--epochs", "1")
    done("data", "audit", "--data", twins, "--features", "tiny-twins")
    kept = read_kept(instance / "data" / "twins")
    audit = read_audit(instance / "data" / "twins" / "audit.npz", kept.description)
    frogs = [number for number, copy in audit.copies.items() if copy.label == NAMES.index("frog")]
    assert frogs, "eight of 48 are tested on, and most of their twins are learned from"
    for number in frogs:
        copy = audit.copies[number]
        assert copy.image.shape == (96, 96, 3)
        assert kept.test is not None
        difference = np.abs(copy.image.astype(int) - kept.test.images[number]).mean()
        assert difference < 10, "it shows the same picture"


def test_what_is_asked_of_a_data_set_that_was_not_trained_on_is_refused(
    folder: Path, arrays: Path, instance: Path, tmp_path: Path
) -> None:
    done, refused = commands(instance)
    features = ("--features", "tiny-pets")
    np.savez(tmp_path / "other.npz", **dict(np.load(arrays)) | {"classes": ["a", "b", "c"]})
    assert "No model here was tested on other, so none can judge its labels" in refused(
        "data", "audit", "--data", tmp_path / "other.npz", *features
    )
    # Of a folder neighbours judge; and who wants their table has it of one that was trained on too.
    fewer = shutil.copytree(folder, tmp_path / "fewer")
    (fewer / "cat" / "00.png").unlink()
    for path in (("--data", fewer), ("--data", folder, "--report", tmp_path / "pets.csv")):
        said = refused("data", "audit", "tiny-pets", *path, *features)
        assert "leave out the MODELs" in said
        assert "sees only 32 pixels" in refused("data", "audit", *path, *features)
    assert "there is nothing to fetch" in refused("data", "fetch", "--data", folder)


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "an unknown data set": (("--dataset", "mnist"), "Available: animals7, cifar10, cifar100."),
    "nothing there": (("--data", "{here}/nowhere"), "there is no such file or folder"),
    "a text file": (("--data", "{here}/notes.txt"), "is no data set: neither a folder, nor an"),
    "a folder of texts": (("--data", "{here}/texts"), "holds no pictures"),
    "texts in class folders": (("--data", "{here}/documents"), "holds no pictures"),
    "an empty folder": (("--data", "{here}/empty"), "holds no pictures"),
    "the folder of one class": (
        ("--data", "{pets}/cat"),
        "Give the folder above it, {pets}, which",
    ),
    "parts of a set": (("--data", "{here}/divided"), "Take one part at a time"),
    "a name of the catalogue": (
        ("--data", "{pets}", "--name", "cifar10"),
        "two data sets of one name: cifar10 is CIFAR-10",
    ),
    "a name for one of the catalogue": (("--name", "mine"), "is for a data set of your own"),
    "a wrong name": (("--data", "{pets}", "--name", "My Pets"), "lower-case letters"),
    "pictures for a known one": (("--dataset", "cifar100", "--data", "{pets}"), "no CIFAR-100"),
    "a wrong file of arrays": (("--data", "{here}/odd.npz"), "It needs x_train, y_train"),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("command", [("train", "tiny"), ("data", "pack")], ids=["train", "pack"])
def test_a_wrong_data_set_is_refused_in_words(
    arguments: tuple[str, ...],
    words: str,
    command: tuple[str, ...],
    folder: Path,
    tmp_path: Path,
) -> None:
    for name in ("texts", "documents/cat", "documents/dog"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.txt").write_text("no picture")
    for name in ("empty", "divided/train/cat", "divided/test/cat"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy(folder / "cat" / "00.png", tmp_path / "divided" / "train" / "cat")
    (tmp_path / "notes.txt").write_text("no archive")
    np.savez(tmp_path / "odd.npz", a=np.zeros(3))
    _done, refused = commands(tmp_path / "instance")
    said = refused(*command, *(one.format(here=tmp_path, pets=folder) for one in arguments))
    assert words.format(pets=folder) in said
    assert not (tmp_path / "instance" / "models").exists()
    assert not (tmp_path / "instance" / "data").exists()


def test_a_known_archive_is_recognised_without_saying_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EACH_TRAIN", "EACH_TEST"):
        monkeypatch.setattr(cifar100, name, getattr(test_cifar100, name))
    rng = np.random.default_rng(0)
    arrays = {}
    for part, each in (("train", test_cifar100.EACH_TRAIN), ("test", test_cifar100.EACH_TEST)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (100 * each, 32, 32, 3), np.uint8)
        arrays[f"{part}_labels"] = np.repeat(np.arange(100, dtype=np.uint8), each)
    batches = write_python(tmp_path / "cifar-100-python", arrays)
    trust(monkeypatch, batches)
    done, refused = commands(tmp_path / "instance")
    archive = packed(batches, tmp_path / "some.tar.gz")
    said = done("data", "fetch", "--data", archive)
    assert "CIFAR-100 is here: 300 training and 200 test images" in said
    cache = tmp_path / "instance" / "data" / "cifar100" / "images.npz"
    assert f"kept in {cache}" in said
    # Its cache is known too, wherever it lies.
    moved = shutil.copy(cache, tmp_path / "somewhere.npz")
    assert "CIFAR-100 is here" in done("data", "fetch", "--data", moved)
    assert "CIFAR-10 batches" in refused("data", "fetch", "--dataset", "cifar10", "--data", archive)


def test_the_quick_try_wants_images_of_every_class(
    arrays: Path, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    with np.load(arrays) as stored:
        many = {name: stored[name].repeat(3, axis=0) for name in stored if name != "classes"}
    np.savez(tmp_path / "sorted.npz", **many)
    _done, refused = commands(tmp_path / "instance")
    said = refused("train", tiny_recipe.name, "--data", tmp_path / "sorted.npz", "--limit", "110")
    assert "of 1 of the 3 classes there is no image among the first 110" in said
