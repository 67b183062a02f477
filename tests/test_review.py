"""`flask data review`: what is in a folder of photos, before a network learns from it."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from PIL import Image

from model_training.datasets.folders.class_folders import FolderError
from model_training.datasets.folders.folder import divide, read_folder
from model_training.datasets.folders.review import (
    LISTED,
    Review,
    read_review,
    review,
    write_review,
)
from model_training.datasets.pictures.opener import open_photo
from model_training.files import DamagedFile
from tests.page_client import PageClient


def picture(
    width: int, height: int, kind: str = "JPEG", *, grey: bool = False, seed: int = 0
) -> bytes:
    """A real file of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    if grey:
        pixels[:] = pixels[..., :1]
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, kind, quality=90)
    return encoded.getvalue()


def put(folder: Path, **files: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name.replace("_", ".")).write_bytes(data)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Cats and dogs with all that goes wrong among photos."""
    folder = tmp_path / "My Pets"
    put(
        folder / "cat",
        a_jpg=picture(100, 60),
        b_jpg=picture(40, 30, seed=1),
        c_png=picture(64, 200, "PNG", seed=2),
        d_jpg=picture(80, 80, grey=True, seed=3),
        e_jpg=picture(100, 60),
        cut_jpg=picture(300, 200, seed=4)[:3000],
        notes_txt=b"remember the milk",
        empty_jpg=b"",
    )
    put(folder / "cat" / "kittens", f_webp=picture(50, 20, "WEBP", seed=5))
    put(folder / "dog", g_jpg=picture(100, 60), h_jpg=picture(2000, 1100, seed=6))
    put(folder, loose_jpg=picture(20, 20))
    put(folder / ".thumbnails", x_jpg=picture(20, 20))
    (folder / "cat" / ".DS_Store").write_bytes(b"hidden")
    return folder


def opener(data: bytes, most: int = 64_000_000):  # type: ignore[no-untyped-def]
    return open_photo(data, max_pixels=most, working_side=256)


def look(folder: Path, progress: Callable[[int, int], None] = lambda *_: None) -> Review:
    return review(folder, "pets", opener, progress)


def test_each_class_is_counted_and_measured(photos: Path) -> None:
    cat, dog = look(photos).classes
    assert (cat.name, cat.pictures, cat.bad, cat.copies, cat.greys) == ("cat", 6, 3, 1, 1)
    assert (cat.smallest, cat.median, cat.largest) == ((50, 20), (100, 60), (64, 200))
    assert cat.formats == {"JPEG": 4, "PNG": 1, "WEBP": 1}
    assert (dog.pictures, dog.bad, dog.copies) == (2, 0, 1)
    assert dog.largest == (2000, 1100), "the size on disk, not the one it was reduced to"


def test_the_whole_is_added_up(photos: Path) -> None:
    found = look(photos)
    assert found.pictures == 8
    assert found.sides == [2, 3, 2, 0, 0, 0, 1]
    assert (found.landscape, found.portrait) == (6, 1)
    assert (found.commonest_size, found.commonest_count) == ((100, 60), 3)
    assert found.outside == 1, "hidden files are nobody's mistake"


def test_bad_files_are_named_with_what_is_wrong_and_the_rest_goes_on(photos: Path) -> None:
    problems = {one.file: one.what for one in look(photos).bad}
    assert list(problems) == ["cat/cut.jpg", "cat/empty.jpg", "cat/notes.txt"]
    assert "damaged or incomplete" in problems["cat/cut.jpg"]
    assert problems["cat/empty.jpg"] == "That file is empty."
    assert "not a picture" in problems["cat/notes.txt"]


def test_copies_are_found_across_folders_whatever_they_are_called(photos: Path) -> None:
    found = look(photos)
    assert found.copies == [["cat/a.jpg", "cat/e.jpg", "dog/g.jpg"]]
    assert (found.copied_sets, found.across) == (1, 1)


def test_progress_goes_from_none_to_all_of_the_files(photos: Path) -> None:
    steps: list[tuple[int, int]] = []
    look(photos, lambda done, total: steps.append((done, total)))
    assert steps == [(number, 11) for number in range(12)]


def test_what_is_no_plain_file_is_not_opened(photos: Path, tmp_path: Path) -> None:
    os.mkfifo(photos / "dog" / "pipe.jpg")
    (photos / "dog" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (photos / "dog" / "round").symlink_to(photos, target_is_directory=True)
    problems = {one.file: one.what for one in look(photos).bad}
    assert problems["dog/pipe.jpg"] == "It is not a file."
    assert "cannot be read" in problems["dog/gone.jpg"]
    assert not any("round" in name for name in problems), "a link to a folder is not followed"


def test_a_picture_over_the_limit_is_bad_and_is_not_decoded(photos: Path) -> None:
    found = review(photos, "pets", lambda data: opener(data, 1_000_000), lambda *_: None)
    assert found.classes[1].bad == 1
    assert "the limit is 1" in found.bad[-1].what


def test_only_the_first_hundred_bad_files_are_named(tmp_path: Path) -> None:
    put(tmp_path / "set" / "cat", **{f"x{number:03}_jpg": b"no" for number in range(LISTED + 5)})
    found = look(tmp_path / "set")
    assert (len(found.bad), found.classes[0].bad) == (LISTED, LISTED + 5)


def test_names_that_are_no_text_do_not_stop_it(tmp_path: Path) -> None:
    folder = tmp_path / "set" / "käse"
    put(folder, a_jpg=picture(40, 40))
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.jpg")).write_bytes(b"no")
    found = look(tmp_path / "set")
    write_review(tmp_path / "review.json", found)
    assert read_review(tmp_path / "review.json") == found
    assert found.bad[0].file == "käse/??.jpg"


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        ((), "There is no folder"),
        (("",), "named after the class"),
        (("train/cat", "test/cat"), "one part"),
    ],
)
def test_a_folder_without_classes_is_explained(
    folders: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    for name in folders:
        put(tmp_path / "set" / name)
    with pytest.raises(FolderError, match=words):
        look(tmp_path / "set")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}'])
def test_a_damaged_review_is_noticed(text: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(DamagedFile):
        read_review(tmp_path / "x")


def test_the_command_prints_it_and_the_site_shows_it(
    photos: Path, runner: FlaskCliRunner, empty_site: Flask
) -> None:
    result = runner.invoke(args=["data", "review", str(photos)])
    assert result.exit_code == 0, result.output
    assert "cat 6 100x60 1 1 3 dog 2 2000x1100 0 1 0" in " ".join(result.output.split())
    assert "bad: cat/cut.jpg: That picture is damaged" in result.output
    assert "/dataset/my-pets" in result.output
    client = PageClient(empty_site.test_client())
    page = client.get("/dataset/my-pets")
    assert page.status == 200
    assert re.search(
        r"cat 6 75\.0% 50×20 100×60 64×200 JPEG 4, PNG 1, WEBP 1 [A-Z0-9, ]+ 1 1 3", page.text
    )
    assert "Always saying cat would be right on 75.0%" in page.text
    assert "1 picture is grey, 1 of them of cat." in page.text
    assert "1 picture lies in more than one class folder" in page.text
    assert 'aria-label="Pictures by class: cat 6, dog 2."' in page.html
    assert "cat/a.jpg , cat/e.jpg , dog/g.jpg" in page.text
    twin = client.fetch("/dataset/my-pets.json").get_json()
    assert [one["pictures"] for one in twin["classes"]] == [6, 2]
    assert 'href="/dataset/my-pets"' in client.get("/dataset/").html


def test_a_folder_of_nothing_is_shown_too(
    tmp_path: Path, runner: FlaskCliRunner, empty_site: Flask
) -> None:
    (tmp_path / "set" / "<b>cat").mkdir(parents=True)
    assert runner.invoke(args=["data", "review", str(tmp_path / "set")]).exit_code == 0
    page = PageClient(empty_site.test_client()).get("/dataset/set")
    assert "No picture of <b>cat: fill the folder" in page.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nowhere"], "There is no folder /nowhere"),
        (["{photos}", "--name", "Käse"], "lower-case letters"),
        (["{photos}", "--name", "../up"], "lower-case letters"),
    ],
)
def test_wrong_arguments_are_explained(
    arguments: list[str], words: str, photos: Path, runner: FlaskCliRunner
) -> None:
    arguments = [one.format(photos=photos) for one in arguments]
    result = runner.invoke(args=["data", "review", *arguments])
    assert result.exit_code != 0
    assert words in " ".join(result.output.split())


def test_a_damaged_review_is_not_shown_and_says_what_to_do(empty_site: Flask) -> None:
    folder: Path = empty_site.config["DATA_FOLDER"]
    put(folder / "pets", review_json=b"{}")
    page = PageClient(empty_site.test_client()).get("/dataset/pets")
    assert (page.status, "is damaged" in page.text) == (404, True)
    assert "Available: pets" in PageClient(empty_site.test_client()).get("/dataset/other").text


def several(count: int, first: int = 0) -> dict[str, bytes]:
    """Different pictures."""
    return {f"p{n}_png": picture(16, 12, "PNG", seed=n) for n in range(first, first + count)}


def test_a_folder_that_is_ready_says_so_last(tmp_path: Path, runner: FlaskCliRunner) -> None:
    put(tmp_path / "set" / "cat", **several(6))
    put(tmp_path / "set" / "dog", **several(7, first=10))
    assert look(tmp_path / "set").ready
    result = runner.invoke(args=["data", "review", str(tmp_path / "set")])
    assert result.exit_code == 0, result.output
    assert result.output.endswith("Ready to train: yes\n")
    kept = Path(runner.app.instance_path) / "data" / "set" / "review.json"
    assert str(kept) in result.output and read_review(kept).ready


NOT_READY: dict[str, tuple[dict[str, dict[str, bytes]], str]] = {
    "one class": ({"cat": several(6)}, "Only cat has pictures, and two classes are the fewest."),
    "an empty class": (
        {"cat": several(6), "dog": several(6, 10), "emu": {}},
        "emu holds no picture that can be opened. Fill the folder, or take it away.",
    ),
    "a class of texts": (
        {"cat": several(6), "dog": several(6, 10), "emu": {"a_txt": b"an emu"}},
        "emu holds no picture that can be opened.",
    ),
    "few pictures": (
        {"cat": several(6), "dog": several(5, 10)},
        "dog has 5 different pictures that can be learned from, and 6 are the fewest.",
    ),
    "few but for copies": (
        {"cat": several(6), "dog": several(5, 10) | {"x_png": several(1, 10)["p10_png"]}},
        "dog has 5 different pictures",
    ),
    "contradictions": (
        {"cat": several(7), "dog": several(6, 6)},
        "dog has 5 different pictures",
    ),
    "no pictures at all": (
        {"cat": {"a_txt": b"a cat"}, "dog": {"b_txt": b"a dog"}},
        "It holds no pictures: none of its files is one that can be opened.",
    ),
}


@pytest.mark.parametrize(("classes", "words"), NOT_READY.values(), ids=NOT_READY)
def test_a_folder_that_is_not_ready_says_why_at_the_end(
    classes: dict[str, dict[str, bytes]], words: str, tmp_path: Path, runner: FlaskCliRunner
) -> None:
    for name, files in classes.items():
        put(tmp_path / "set" / name, **files)
    result = runner.invoke(args=["data", "review", str(tmp_path / "set")])
    assert result.exit_code == 0, result.output
    last = result.output.splitlines()[-2:]
    assert last[0] == "Ready to train: no" and last[1].startswith(f"- {words}"), result.output


def test_too_many_classes_are_in_the_way(tmp_path: Path) -> None:
    for number in range(257):
        put(tmp_path / "set" / f"{number:03}", a_png=picture(8, 8, "PNG", seed=number))
    assert "There are 257 classes, and 256 are the most." in look(tmp_path / "set").obstacles


def test_the_folder_of_one_class_names_the_one_above(
    tmp_path: Path, runner: FlaskCliRunner
) -> None:
    put(tmp_path / "pets" / "cat", **several(6))
    put(tmp_path / "pets" / "dog", **several(6, 10))
    result = runner.invoke(args=["data", "review", str(tmp_path / "pets" / "cat")])
    assert result.exit_code == 1
    assert "is the folder of one class: 6 pictures lie directly in it" in result.output
    assert f"Give the folder above it, {tmp_path / 'pets'}, which" in result.output
    assert result.output.endswith("Ready to train: no\n")
    # With a folder of some more of them in it, it is still no data set.
    put(tmp_path / "pets" / "cat" / "kittens", **several(6, 20))
    found = look(tmp_path / "pets" / "cat")
    assert "Only kittens has pictures" in found.obstacles[0]
    assert f"give the one above it, {tmp_path / 'pets'}" in found.obstacles[1]
    with pytest.raises(FolderError, match="is the folder of one class"):
        read_folder(tmp_path / "pets" / "cat", 16, opener)


def test_parts_of_a_divided_set_are_not_ready_either(
    tmp_path: Path, runner: FlaskCliRunner
) -> None:
    for part in ("train", "test"):
        put(tmp_path / "set" / part / "cat", **several(6))
    result = runner.invoke(args=["data", "review", str(tmp_path / "set")])
    assert result.exit_code == 1 and "holds parts of a data set (test and train)" in result.output
    assert result.output.endswith("Ready to train: no\n")


def test_what_is_ready_can_be_divided_and_what_is_not_cannot(tmp_path: Path) -> None:
    for name, (classes, _words) in NOT_READY.items():
        if name == "an empty class":
            continue  # Training passes over it, and says so.
        folder = tmp_path / name
        for label, files in classes.items():
            put(folder / label, **files)
        assert not look(folder).ready
        with pytest.raises(FolderError):
            divide(read_folder(folder, 16, opener), "x")
