"""`docs/using-an-export.md`: its code, as it stands there, gives the site's answers."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from PIL import ExifTags, Image

from model_training.bundles.bundle import Bundle
from model_training.bundles.exporting.export import export
from model_training.bundles.exporting.formats import FORMATS
from model_training.bundles.exporting.metadata import ExportMetadata
from model_training.bundles.reading import read_bundle
from model_training.datasets.dataset import DataSet, ImageSet
from tests.conftest import PROJECT, make_site
from tests.exports import like_a_photo, make_enlarging
from tests.test_export import needs_onnx

PAGE = (PROJECT / "docs" / "using-an-export.md").read_text(encoding="utf-8")
WITH_ONNX, WITH_TENSORFLOW, WITH_LITERT, ANSWER, JUDGE = re.findall(
    r"^```python\n(.*?)^```", PAGE, re.M | re.S
)


@pytest.fixture(scope="module")
def two_sizes(
    tiny_bundle: Bundle, small_data: DataSet, tmp_path_factory: pytest.TempPathFactory
) -> Flask:
    """A site with a network of 32 pixels and one that enlarges to 48."""
    models = tmp_path_factory.mktemp("models")
    shutil.copytree(tiny_bundle.path, models / "tiny")
    make_enlarging(tiny_bundle, small_data, models / "enlarging")
    return make_site(tmp_path_factory.mktemp("instance"), MODELS_FOLDER=models)


@pytest.fixture
def ask_the_site(two_sizes: Flask) -> Callable[[str, Path], dict[str, Any]]:
    def ask(model: str, photo: Path) -> dict[str, Any]:
        answer = two_sizes.test_client().post(
            "/api/classify",
            data={"image": (io.BytesIO(photo.read_bytes()), "photo.jpg"), "model": model},
            content_type="multipart/form-data",
        )
        assert answer.status_code == 200
        return dict(answer.get_json())

    return ask


@pytest.fixture(scope="module")
def beside_exports(
    two_sizes: Flask, test_images: ImageSet, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Path]:
    """Makes a folder with the files that the page names, of a model in a format, once for each."""
    made: dict[tuple[str, str], Path] = {}

    def make(model: str, form: str) -> Path:
        if (model, form) not in made:
            folder = made[model, form] = tmp_path_factory.mktemp(f"{model}-{form}")
            bundle = read_bundle(two_sizes.config["MODELS_FOLDER"] / model)
            path = folder / FORMATS[form].file_name("fast-cnn")
            export(bundle, FORMATS[form], path, test_images.images[:12])
            shutil.copy(bundle.path / "judge.npz", folder)
        return made[model, form]

    return make


def turned(photo: Image.Image, path: Path) -> None:
    """Save as a phone does: lying on its side, with a word on how it was held."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    photo.transpose(Image.Transpose.ROTATE_90).save(path, "JPEG", exif=exif)


PHOTOS: dict[str, Callable[[ImageSet, Path], None]] = {
    "a photo": lambda test, path: like_a_photo(test, 640, 480).save(path, "JPEG"),
    "a large photo, turned": lambda test, path: turned(like_a_photo(test, 2400, 3100), path),
    "a picture of 32 pixels": lambda test, path: Image.fromarray(test.images[5]).save(path, "PNG"),
    "a picture of 20 pixels": lambda test, path: like_a_photo(test, 20, 20).save(path, "PNG"),
}


def check(found: dict[str, Any], site: dict[str, Any]) -> None:
    """Hold what the page's code found against what the site said."""
    for name, value in zip(found["about"]["classes"], found["answer"], strict=True):
        assert value == pytest.approx(site["probabilities"][name], abs=1e-3)
    judgement = found["judgement"]
    assert judgement.probabilities == pytest.approx(found["answer"], abs=1e-3)
    # In standard deviations; the page enlarges small pictures with another program's arithmetic.
    assert judgement.novelty == pytest.approx(site["novelty"], abs=1e-2)
    assert judgement.known == site["known"]


@needs_onnx
@pytest.mark.parametrize("model", ["tiny", "enlarging"])
@pytest.mark.parametrize("photo", PHOTOS)
def test_the_pages_code_gives_the_sites_answer(
    photo: str,
    model: str,
    beside_exports: Callable[[str, str], Path],
    ask_the_site: Callable[[str, Path], dict[str, Any]],
    test_images: ImageSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = beside_exports(model, "onnx")
    PHOTOS[photo](test_images, folder / "photo.jpg")
    monkeypatch.chdir(folder)
    found: dict[str, Any] = {}
    exec(WITH_ONNX + ANSWER + JUDGE, found)
    check(found, ask_the_site(model, folder / "photo.jpg"))
    assert len(found["features"]) == (
        1 if "picture" in photo else len(found["about"]["plan"]["views"])
    )


@pytest.mark.parametrize(
    ("form", "opening"), [("saved_model", WITH_TENSORFLOW), ("litert", WITH_LITERT)]
)
def test_the_other_formats_give_the_same(
    form: str,
    opening: str,
    beside_exports: Callable[[str, str], Path],
    ask_the_site: Callable[[str, Path], dict[str, Any]],
    test_images: ImageSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = beside_exports("tiny", form)
    PHOTOS["a photo"](test_images, folder / "photo.jpg")
    monkeypatch.chdir(folder)
    found: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's interpreter will move.
        exec(opening + ANSWER + JUDGE, found)
    check(found, ask_the_site("tiny", folder / "photo.jpg"))


@needs_onnx
def test_nothing_of_this_project_is_needed_for_the_answer(
    beside_exports: Callable[[str, str], Path],
    ask_the_site: Callable[[str, Path], dict[str, Any]],
    test_images: ImageSet,
) -> None:
    folder = beside_exports("tiny", "onnx")
    PHOTOS["a photo"](test_images, folder / "photo.jpg")
    imported = "import sys; print([one for one in sys.modules if one[:6] in ('model_', 'tensor')])"
    run = subprocess.run(
        [sys.executable, "-I", "-c", WITH_ONNX + ANSWER + imported],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    *lines, modules = run.stdout.splitlines()
    assert modules == "[]"
    shares = ask_the_site("tiny", folder / "photo.jpg")["probabilities"]
    best = sorted(shares, key=shares.__getitem__, reverse=True)[:3]
    assert [line.split() for line in lines] == [[name, f"{shares[name]:.1%}"] for name in best]


def test_the_page_tells_of_every_field() -> None:
    table = PAGE.partition("as JSON:")[2].partition("Where it lies")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == set(ExportMetadata.model_fields)


def test_the_large_photo_of_these_tests_is_reduced_while_it_is_decoded(
    test_images: ImageSet, tmp_path: Path
) -> None:
    PHOTOS["a large photo, turned"](test_images, tmp_path / "photo.jpg")
    with Image.open(tmp_path / "photo.jpg") as photo:
        assert photo.size == (3100, 2400)
        assert photo.draft("RGB", (1024, 793)) is not None
        assert np.asarray(photo).shape[1] < 3100
