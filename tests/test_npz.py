"""A file of arrays is a data set, or the message says what is wrong with it and what to do."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_training.datasets import npz
from model_training.datasets.dataset import DataError
from model_training.datasets.npz import read_npz

Arrays = dict[str, Any]


def arrays(**changes: Any) -> Arrays:
    """A small data set of three classes, whole but for `changes`; None leaves an array out."""
    rng = np.random.default_rng(0)
    made: Arrays = {
        "x_train": rng.integers(0, 256, (30, 12, 12, 3), np.uint8),
        "y_train": np.arange(30) % 3,
        "x_test": rng.integers(0, 256, (9, 12, 12, 3), np.uint8),
        "y_test": np.arange(9) % 3,
    }
    return {name: array for name, array in (made | changes).items() if array is not None}


def saved(path: Path, **changes: Any) -> Path:
    np.savez(path, **arrays(**changes))
    return path


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_npz(path, "shapes")
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


def test_the_images_and_labels_are_those_of_the_file(tmp_path: Path) -> None:
    whole = arrays()
    data = read_npz(saved(tmp_path / "shapes.npz"), "shapes")
    assert (data.name, data.title, data.classes, data.side) == (
        "shapes",
        "shapes",
        tuple("012"),
        12,
    )
    assert np.array_equal(data.train.images, whole["x_train"])
    assert np.array_equal(data.test.labels, whole["y_test"])
    assert data.test.labels.dtype == np.uint8


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("compressed", {}),
        ("labels in a column", {"y_train": arrays()["y_train"][:, None]}),
        ("unsigned labels", {"y_train": arrays()["y_train"].astype(np.uint64)}),
        ("more arrays", {"notes": np.zeros(3)}),
        ("other byte order", {"y_test": arrays()["y_test"].astype(">i4")}),
        ("columns first", {"x_train": np.asfortranarray(arrays()["x_train"])}),
    ],
)
def test_the_same_images_in_another_form_are_the_same_data_set(
    name: str, change: Arrays, tmp_path: Path
) -> None:
    (np.savez_compressed if name == "compressed" else np.savez)(
        tmp_path / "other.npz", **arrays(**change)
    )
    plain = read_npz(saved(tmp_path / "plain.npz"), "a")
    other = read_npz(tmp_path / "other.npz", "b")
    assert other.digest == plain.digest


def test_one_changed_pixel_label_or_name_makes_another_data_set(tmp_path: Path) -> None:
    pixel = arrays()["x_test"].copy()
    pixel[0, 0, 0, 0] ^= 1
    changes: list[Arrays] = [
        {},
        {"x_test": pixel},
        {"y_train": (np.arange(30) + 1) % 3},
        {"classes": np.array(["a", "b", "c"])},
    ]
    digests = [
        read_npz(saved(tmp_path / f"{number}.npz", **change), "x").digest
        for number, change in enumerate(changes)
    ]
    assert len(set(digests)) == len(changes)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_from_0_to_1_become_bytes(kind: type, tmp_path: Path) -> None:
    whole = arrays()
    path = saved(tmp_path / "floats.npz", x_train=(whole["x_train"] / 255).astype(kind))
    found = read_npz(path, "x").train.images
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - whole["x_train"]).max() <= (kind is np.float16)


@pytest.mark.parametrize("shape", [(12, 12), (12, 12, 1)])
def test_grey_images_become_rgb(shape: tuple[int, ...], tmp_path: Path) -> None:
    grey = {name: arrays()[name][..., 0].reshape(-1, *shape) for name in ("x_train", "x_test")}
    found = read_npz(saved(tmp_path / "grey.npz", **grey), "x").train.images
    assert found.shape == (30, 12, 12, 3)
    assert np.array_equal(found, np.repeat(arrays()["x_train"][..., :1], 3, axis=3))


def test_of_images_that_are_not_square_the_middle_counts(tmp_path: Path) -> None:
    wide = np.random.default_rng(1).integers(0, 256, (39, 10, 16, 3), np.uint8)
    path = saved(tmp_path / "wide.npz", x_train=wide[:30], x_test=wide[30:])
    assert np.array_equal(read_npz(path, "x").train.images, wide[:30, :, 3:13])


@pytest.mark.parametrize("names", [np.array(["cat", "dog ", "käse"]), np.array([b"cat", b"dog"])])
def test_classes_are_called_as_the_file_says(names: np.ndarray, tmp_path: Path) -> None:
    labels = {name: arrays()[name] % len(names) for name in ("y_train", "y_test")}
    path = saved(tmp_path / "named.npz", classes=names, **labels)
    assert read_npz(path, "x").classes == ("cat", "dog", "käse")[: len(names)]


PIXELS = arrays()["x_train"]
LABELS = arrays()["y_train"]
ONE_HOT = np.eye(3, dtype=int)[LABELS]
WRONG = {
    "no test images": ({"x_test": None}, "holds no x_test"),
    "no labels at all": ({"y_train": None, "y_test": None}, "no y_train and no y_test"),
    "whole numbers of 64 bits": ({"x_train": PIXELS.astype(int)}, "Save images as uint8"),
    "floats to 255": ({"x_train": PIXELS.astype(float)}, "floats that are not from 0 to 1"),
    "not a number": ({"x_train": np.full(PIXELS.shape, np.nan)}, "floats that are not from 0"),
    "complex numbers": ({"x_train": PIXELS * 1j}, "is complex128"),
    "texts for images": ({"x_train": np.full(PIXELS.shape, "a")}, "Save images as uint8"),
    "0 and 1 as bytes": ({"x_train": PIXELS // 255}, "nothing in it is above 1"),
    "channels first": ({"x_train": PIXELS.transpose(0, 3, 1, 2)}, "transpose(0, 2, 3, 1)"),
    "four channels": ({"x_train": PIXELS[..., [0, 1, 2, 0]]}, "in RGB, or"),
    "flat images": ({"x_train": PIXELS.reshape(30, -1)}, "(count, height, width, 3)"),
    "tiny images": ({"x_train": PIXELS[:, :4, :4], "x_test": PIXELS[:9, :4, :4]}, "have 4x4"),
    "two sizes": ({"x_test": PIXELS[:9, :10]}, "Make them of one size"),
    "fewer labels than images": ({"y_train": LABELS[:-1]}, "30 images and y_train 29 labels"),
    "nothing to test on": ({"x_test": PIXELS[:0], "y_test": LABELS[:0]}, "x_test holds no images"),
    "a negative label": ({"y_train": LABELS - 1}, "holds the label -1"),
    "labels as floats": ({"y_train": LABELS / 1}, "whole numbers, from 0"),
    "one-hot labels": ({"y_train": ONE_HOT}, "save y_train.argmax(axis=1)"),
    "labels of three axes": ({"y_test": LABELS[:9, None, None]}, "(count,) or (count, 1)"),
    "a gap in the labels": ({"y_train": LABELS + (LABELS == 2)}, "no image of class 2"),
    "a class with one image": (
        {"y_train": np.where(np.arange(30) == 2, 3, LABELS), "y_test": np.arange(9) % 4},
        "1 image of class 3, and 2 are the fewest",
    ),
    "a class without test": ({"y_test": np.arange(9) % 2}, "y_test has no image of class 2"),
    "a class only tested": ({"y_test": np.arange(9) % 4}, "y_train has no image of class 3"),
    "one class": ({"y_train": LABELS * 0, "y_test": LABELS[:9] * 0}, "1 class, and 2 to 256"),
    "too many classes": ({"y_train": LABELS + 1000}, "1,002, and 255 is the highest"),
    "an enormous label": ({"y_train": LABELS * 10**12}, "255 is the highest"),
    "pickled images": ({"x_train": np.array([[1], [1, 2]], dtype=object)}, "could run code"),
    "pickled names": ({"classes": np.array(["a", "b", "c"], dtype=object)}, "dtype=str"),
    "names as numbers": ({"classes": np.arange(3)}, "a text for each class"),
    "a name too few": ({"classes": np.array(["a", "b"])}, "a label is 2, and classes names 2"),
    "a name twice": ({"classes": np.array(["a", "b", "a"])}, "two classes have one name"),
    "an empty name": ({"classes": np.array(["a", " ", "c"])}, "is empty"),
    "a name of no letters": ({"classes": np.array(["a", "b\n", "c\x00d"])}, "not printable"),
    "a class of no image": ({"classes": np.array(list("abcd"))}, "no image of class 3 (d)"),
}


@pytest.mark.parametrize(("changes", "words"), WRONG.values(), ids=WRONG)
def test_a_malformed_file_is_refused_in_words(changes: Arrays, words: str, tmp_path: Path) -> None:
    assert words in refused(saved(tmp_path / "wrong.npz", **changes))


@pytest.mark.parametrize("harm", ["cut off", "a flipped byte", "no zip", "empty", "a folder"])
def test_a_damaged_file_is_refused(harm: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "damaged.npz")
    data = bytearray(path.read_bytes())
    if harm == "cut off":
        data = data[: len(data) // 2]
    elif harm == "a flipped byte":
        data[len(data) // 3] ^= 0xFF
    elif harm == "no zip":
        data = bytearray(b"x_train = 5\n")
    path.write_bytes(b"" if harm == "empty" else bytes(data))
    if harm == "a folder":
        path.unlink()
        path.mkdir()
    assert refused(path)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "nowhere.npz")


def test_what_would_be_too_large_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, **arrays(x_train=np.zeros((30, 500, 500, 3), np.uint8)))
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(npz, "MOST_BYTES", 10 * 2**20)
    monkeypatch.setattr(np, "load", lambda *_arguments, **_options: pytest.fail("it was unpacked"))
    assert "when they are unpacked" in refused(path)


def test_an_array_that_claims_more_than_is_there_gets_no_memory(tmp_path: Path) -> None:
    path = saved(tmp_path / "liar.npz", x_train=None)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 500, 500, 3)}
    )
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x_train.npy", header.getvalue() + bytes(1000))
    assert "claims 750,000,000,000,000 bytes and has 1,000" in refused(path)


def test_a_zip_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "liar.npz"
    np.savez_compressed(path, **arrays())
    data = bytearray(path.read_bytes())
    # The directory's word for how large x_train is unpacked: one byte more than there is.
    entry = data.rindex(b"x_train.npy") - 46
    (size,) = struct.unpack_from("<I", data, entry + 24)
    assert size > 30 * 12 * 12 * 3
    struct.pack_into("<I", data, entry + 24, size + 1)
    path.write_bytes(bytes(data))
    assert refused(path)
