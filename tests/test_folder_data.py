"""Pictures of one's own: read, divided, trained on, and the network that comes of it served."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskCliRunner
from PIL import Image

from model_training.bundles.bundle import Bundle
from model_training.bundles.reading import read_bundle
from model_training.datasets.augmentation import Augmentation, Transform
from model_training.datasets.catalog.cifar10 import CLASSES
from model_training.datasets.dataset import ImageSet
from model_training.datasets.folders.class_folders import FolderError
from model_training.datasets.folders.folder import FEWEST, FolderData, divide, read_folder
from model_training.datasets.pictures.opener import Photo, open_photo
from model_training.recipes import RECIPES, Recipe, find_recipe
from model_training.training.options import LEAST_STEPS, for_other_images
from tests.conftest import SHIPPED_DATA, TINY, make_site

EACH = 48


def opener(data: bytes) -> Photo:
    return open_photo(data, max_pixels=10**6)


@pytest.fixture(scope="module")
def pets(test_images: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cats, dogs and frogs, a few of everything that goes wrong among them."""
    folder = tmp_path_factory.mktemp("own") / "Our Pets"
    for name in ("cat", "dog", "frog"):
        (folder / name / "more").mkdir(parents=True)
        numbers = np.flatnonzero(test_images.labels == CLASSES.index(name))[:EACH]
        for place, number in enumerate(numbers.tolist()):
            picture = Image.fromarray(test_images.images[number]).resize((96, 64))
            inside = folder / name / ("more" if place % 2 else ".")
            picture.save(inside / f"{place:02d}.png")
    shutil.copy(folder / "cat" / "00.png", folder / "cat" / "again.png")
    shutil.copy(folder / "cat" / "02.png", folder / "dog" / "really a cat.png")
    (folder / "dog" / "broken.jpg").write_bytes(b"no picture")
    (folder / "dog" / ".hidden.png").write_bytes(b"no picture")
    (folder / "empty").mkdir()
    (folder / "list.txt").write_text("cats, dogs, frogs", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def read(pets: Path) -> FolderData:
    return read_folder(pets, 40, opener)


def test_every_picture_is_read_and_what_is_none_is_named(pets: Path) -> None:
    told: list[tuple[int, int]] = []
    data = read_folder(pets, 40, opener, lambda done, total: told.append((done, total)))
    assert data.classes == ("cat", "dog", "frog")
    assert data.images.shape == (3 * EACH + 2, 40, 40, 3)
    assert np.bincount(data.labels).tolist() == [EACH + 1, EACH + 1, EACH]
    assert data.names[0] == "cat/00.png" and "cat/more/01.png" in data.names
    assert list(data.unreadable) == ["dog/broken.jpg"]
    assert told[-1] == (3 * EACH + 3, 3 * EACH + 3)


def test_a_picture_of_sixteen_bits_is_not_white(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 60_000, 64).astype(np.uint16), (64, 1))
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        Image.fromarray(ramp).save(tmp_path / name / "ramp.png")
    data = read_folder(tmp_path, 32, opener)
    assert data.images.min() < 20 and 100 < data.images.mean() < 140


def test_copies_count_once_and_contradictions_not_at_all(read: FolderData) -> None:
    assert [read.names[place] for place in np.flatnonzero(read.repeated)] == ["cat/again.png"]
    assert [read.names[place] for place in np.flatnonzero(read.contradicted)] == [
        "cat/02.png",
        "dog/really a cat.png",
    ]
    data = divide(read, "our-pets")
    assert len(data.train) + len(data.test) == 3 * EACH - 1
    everything = np.concatenate([data.train.images, data.test.images])
    assert len({image.tobytes() for image in everything}) == len(everything)


def test_a_sixth_of_each_class_is_for_the_test(read: FolderData) -> None:
    data = divide(read, "our-pets")
    assert (data.name, data.classes, data.side) == ("our-pets", ("cat", "dog", "frog"), 40)
    assert np.bincount(data.test.labels).tolist() == [8, 8, 8]
    # Each class is among the first few, so that a quick try has some of each.
    assert set(data.train.labels[:30].tolist()) == {0, 1, 2}


def test_the_test_pictures_stay_when_files_are_renamed(
    pets: Path, read: FolderData, tmp_path: Path
) -> None:
    renamed = tmp_path / "renamed"
    for name in ("cat", "dog", "frog"):
        (renamed / name).mkdir(parents=True)
        for number, path in enumerate(sorted((pets / name).rglob("[0-9a-z]*.*"), reverse=True)):
            shutil.copy(path, renamed / name / f"{number:03d}{path.suffix}")
    before, after = divide(read, "a"), divide(read_folder(renamed, 40, opener), "b")
    assert np.array_equal(before.test.images, after.test.images)
    assert before.digest == after.digest
    next((renamed / "frog").iterdir()).unlink()
    assert divide(read_folder(renamed, 40, opener), "b").digest != before.digest


def test_what_is_no_data_set_is_said(pets: Path, tmp_path: Path) -> None:
    def refused(words: str, folder: Path) -> None:
        with pytest.raises(FolderError, match=words):
            divide(read_folder(folder, 32, opener), "x")

    refused("There is no folder", tmp_path / "nowhere")
    refused("has no folders in it", tmp_path)
    (tmp_path / "cat").mkdir()
    shutil.copy(pets / "cat" / "00.png", tmp_path / "cat")
    refused("two or more classes", tmp_path)
    (tmp_path / "dog").mkdir()
    shutil.copy(pets / "dog" / "00.png", tmp_path / "dog")
    refused(f"cat has 1 different picture that can be read, and {FEWEST}", tmp_path)
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"")
    refused("holds no pictures: none of the 2 files", tmp_path)


def test_a_recipe_is_fitted_to_larger_and_fewer_pictures() -> None:
    recipe = find_recipe("mobilenetv2-finetuned")
    fitted = for_other_images(recipe, side=128, count=300)
    head, *rest = fitted.phases
    assert head.views == (Transform(), Transform(flip=True))
    assert rest[0].augmentation == Augmentation(shift=8, flip="alternating")
    assert {phase.batch_size for phase in fitted.phases} == {300 // LEAST_STEPS}
    assert fitted.reported is None and fitted.parameters is None
    assert "shifts of up to 8 pixels" in fitted.augmentation
    assert "enlarged" in recipe.augmentation and "enlarged" not in fitted.augmentation
    # Four views are two where nothing is enlarged.
    (frozen,) = for_other_images(find_recipe("mobilenetv2-frozen"), 161, 50_000).phases
    assert len(frozen.views) == 2 and frozen.batch_size == 256


@pytest.fixture(scope="module")
def trained(pets: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The instance in which a small network was trained, and what the command said."""
    folder = tmp_path_factory.mktemp("instance")
    runner: FlaskCliRunner = make_site(folder).test_cli_runner()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "tiny", TINY)
        result = runner.invoke(args=["train", "tiny", "--data", str(pets), "--epochs", "3"])
    assert result.exit_code == 0, result.output
    return folder, result.output


@pytest.fixture
def bundle(trained: tuple[Path, str]) -> Bundle:
    return read_bundle(trained[0] / "models" / "tiny-our-pets")


def test_the_command_trains_on_a_folder(trained: tuple[Path, str], bundle: Bundle) -> None:
    _folder, output = trained
    assert "our-pets: 119 pictures to learn from and 24 to test on, of 3 classes" in output
    assert "tiny sees 32 pixels: the pictures of our-pets are reduced or enlarged" in output
    assert "1 not pictures, 1 copies of one before, 2 in more than one class" in output
    card = bundle.card
    assert card.classes == ["cat", "dog", "frog"]
    assert card.training.data_set == "our-pets" and card.reported is None
    assert card.training.command == "flask train tiny --data 'Our Pets' --epochs 3 --seed 0"
    assert bundle.predictions.test.shape == (24, 3)
    assert bundle.judge is not None and bundle.judge.classes == ("cat", "dog", "frog")
    assert f"{card.parameters:,} parameters" in output and card.parameters == 346 - 7 * 9


def test_the_site_answers_with_it_and_reports_on_it(trained: tuple[Path, str]) -> None:
    folder, _output = trained
    site = make_site(folder, DATA_FOLDER=SHIPPED_DATA)
    client = site.test_client()
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), (90, 120, 30)).save(picture, "JPEG")
    picture.seek(0)
    answer = client.post("/api/classify", data={"image": (picture, "a.jpg")}).get_json()
    assert sorted(answer["probabilities"]) == ["cat", "dog", "frog"]
    page = client.get("/models/tiny-our-pets").get_data(as_text=True)
    assert "our-pets" in page
    table = client.get("/models/").get_data(as_text=True)
    assert "Tiny network on our-pets" in table and "CIFAR-10" in table


def test_an_own_folder_that_is_none_is_refused_in_words(
    pets: Path, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    runner: FlaskCliRunner = make_site(tmp_path / "instance").test_cli_runner()

    def refused(words: str, *arguments: str) -> None:
        result = runner.invoke(args=["train", tiny_recipe.name, *arguments])
        assert result.exit_code != 0 and words in result.output, result.output

    (tmp_path / "one" / "cat").mkdir(parents=True)
    shutil.copy(pets / "cat" / "00.png", tmp_path / "one" / "cat")
    refused("two or more classes", "--data", str(tmp_path / "one"))
    refused("from 100 to 119", "--data", str(pets), "--limit", "120")
    refused("--all-data leaves no images", "--data", str(pets), "--all-data")


def test_a_folder_without_a_latin_letter_is_called_after_the_output(
    pets: Path, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    folder = shutil.copytree(pets, tmp_path / "動物")
    runner: FlaskCliRunner = make_site(tmp_path / "instance").test_cli_runner()
    command = ["train", tiny_recipe.name, "--data", str(folder), "--epochs", "1"]
    refused = runner.invoke(args=command)
    assert refused.exit_code == 2 and "--name" in refused.output, refused.output
    done = runner.invoke(args=[*command, "--output", "animals"])
    assert done.exit_code == 0 and "animals: 119 pictures" in done.output, done.output
    card = read_bundle(tmp_path / "instance" / "models" / "animals").card
    assert card.training.data_set == "animals"
    named = runner.invoke(args=[*command, "--name", "beasts"])
    assert named.exit_code == 0 and "beasts: 119 pictures" in named.output, named.output
    card = read_bundle(tmp_path / "instance" / "models" / "tiny-beasts").card
    assert card.training.command == (
        "flask train tiny --data '動物' --name beasts --epochs 1 --seed 0"
    )


def test_a_recipe_trained_on_other_images_is_still_to_be_trained_on_its_own(
    trained: tuple[Path, str], tiny_recipe: Recipe
) -> None:
    client = make_site(trained[0]).test_client()
    assert "Tiny network" in client.get("/models/?data=our-pets").get_data(as_text=True)
    of_its_own = client.get("/models/?data=CIFAR-10").get_data(as_text=True)
    assert "Tiny network" in of_its_own and ">346<" in of_its_own


def test_a_model_of_other_images_has_no_gallery_and_says_why(trained: tuple[Path, str]) -> None:
    site = make_site(trained[0], DATA_FOLDER=SHIPPED_DATA)
    for address, words in (
        ("/gallery/?model=tiny-our-pets", "The test images of our-pets are not here"),
        ("/gallery/?data=cifar10&model=tiny-our-pets", "tested on other images: our-pets"),
        ("/models/compare?data=cifar10&left=tiny-our-pets", "tested on other images: our-pets"),
    ):
        page = site.test_client().get(address)
        assert (page.status_code, words in page.get_data(as_text=True)) == (404, True), address
    alone = site.test_client().get("/models/compare?left=tiny-our-pets")
    assert "only one model here that was tested on all test images of our-pets" in " ".join(
        alone.get_data(as_text=True).split()
    )
    report = site.test_client().get("/models/tiny-our-pets").get_data(as_text=True)
    assert "Tiny network on our-pets" in report
    assert "leads to its images" not in report and "as three probabilities" in report
