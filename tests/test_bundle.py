"""A bundle is read whole or refused, with the reason; a bad one does not stop the others."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask

from model_training.bundles import reading
from model_training.bundles.bundle import Bundle, BundleError
from model_training.bundles.reading import read_bundle, read_bundles
from model_training.bundles.writing import replace_judge
from model_training.files import file_digest, whole_file, whole_folder
from tests import pictures
from tests.conftest import SHIPPED_DATA, make_site
from tests.page_client import PageClient
from webapp.library import load_library

Damage = Callable[[Path], object]


@pytest.fixture
def bundle_path(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    assert tiny_bundle.model_path is not None
    return Path(shutil.copytree(tiny_bundle.model_path.parent, tmp_path / "models" / "tiny"))


def reseal(path: Path) -> None:
    """Put the digests of what lies in `path` into its card: only what the files say is wrong."""
    card = json.loads((path / "card.json").read_text())
    card["files"] = {name: file_digest(path / name) for name in card["files"]}
    (path / "card.json").write_text(json.dumps(card))


def card(change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(path: Path) -> None:
        content = json.loads((path / "card.json").read_text())
        change(content)
        (path / "card.json").write_text(json.dumps(content))

    return damage


def arrays(file: str, change: Callable[[dict[str, Any]], object]) -> Damage:
    """Change the arrays of a file, and the card's digest with them."""

    def damage(path: Path) -> None:
        with np.load(path / file) as stored:
            content = dict(stored)
        change(content)
        np.savez(path / file, **content)
        reseal(path)

    return damage


def predictions(name: str, change: Callable[[Any], Any]) -> Damage:
    return arrays("predictions.npz", lambda stored: stored.update({name: change(stored[name])}))


def header(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Change what of a judge is not an array."""

    def edit(stored: dict[str, Any]) -> None:
        content = json.loads(str(stored["header"]))
        change(content)
        stored["header"] = np.array(json.dumps(content))

    return arrays("judge.npz", edit)


def history(change: Callable[[str], str]) -> Damage:
    def damage(path: Path) -> None:
        (path / "history.csv").write_text(change((path / "history.csv").read_text()))
        reseal(path)

    return damage


def cut(name: str) -> Damage:
    def damage(path: Path) -> None:
        whole = (path / name).read_bytes()
        (path / name).unlink()
        (path / name).write_bytes(whole[: len(whole) // 2])

    return damage


def remove(name: str) -> Damage:
    return lambda path: (path / name).unlink()


def flip_a_bit(name: str) -> Damage:
    def damage(path: Path) -> None:
        data = bytearray((path / name).read_bytes())
        data[len(data) // 2] ^= 1
        (path / name).unlink()
        (path / name).write_bytes(data)

    return damage


def bomb(name: str) -> Damage:
    """A file of some kilobytes that would unpack to a hundred megabytes and more."""

    def damage(path: Path) -> None:
        with zipfile.ZipFile(path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in ("test.npy", "test_labels.npy"):
                with archive.open(member, "w", force_zip64=True) as packed:
                    np.lib.format.write_array_header_1_0(
                        packed, {"descr": "<f4", "fortran_order": False, "shape": (2_500_000, 10)}
                    )
                    packed.write(bytes(100_000_000))
        reseal(path)

    return damage


def claim(name: str) -> Damage:
    """An array that says it is larger than the bytes that are there."""

    def damage(path: Path) -> None:
        with zipfile.ZipFile(path / name, "w") as archive, archive.open("test.npy", "w") as packed:
            np.lib.format.write_array_header_1_0(
                packed, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10)}
            )
        reseal(path)

    return damage


def a_folder_in_place_of_the_card(path: Path) -> None:
    remove("card.json")(path)
    (path / "card.json").mkdir()


def update(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.update(values)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no card": (remove("card.json"), "card.json is missing"),
    "half a card": (cut("card.json"), "card.json is not valid"),
    "card that is a list": (
        lambda path: (path / "card.json").write_text("[]"),
        "card.json is not valid",
    ),
    "card of a thousand brackets": (
        lambda path: (path / "card.json").write_text("[" * 100_000),
        "card.json is not valid",
    ),
    "card of an earlier version": (card(update(schema_version=1)), "flask models upgrade"),
    "card of a later version": (card(update(schema_version=3)), "schema_version"),
    "card without a field": (card(lambda content: content.pop("classes")), "classes"),
    "card with an unknown field": (card(update(colour="red")), "colour"),
    "card with an accuracy above 1": (
        card(lambda content: content["metrics"]["test"].update(accuracy=91.0)),
        "metrics.test.accuracy",
    ),
    "card without figures on test images": (
        card(lambda content: content["metrics"].pop("test")),
        "nothing was measured on test images",
    ),
    "card of another model": (card(update(name="other")), "is of 'other'"),
    "card whose name is a path": (card(update(name="../x")), "name"),
    "card with two classes of one name": (
        card(lambda content: content["classes"].__setitem__(1, content["classes"][0])),
        "two classes have one name",
    ),
    "card with a temperature of 0": (
        card(lambda content: content["calibration"].update(temperature=0.0)),
        "calibration.temperature",
    ),
    "card with a temperature below 0": (
        card(lambda content: content["calibration"].update(temperature=-1.0)),
        "calibration.temperature",
    ),
    "card with a number that is none": (
        card(lambda content: content["training"].update(seconds=float("nan"))),
        "card.json is not valid",
    ),
    "card with an input of no pixels": (card(update(input_size=0)), "input_size"),
    "card with a negative count": (card(update(parameters=-1)), "parameters"),
    "card that names no predictions": (
        card(lambda content: content["files"].pop("predictions.npz")),
        "does not name predictions.npz",
    ),
    "card that names a file elsewhere": (
        card(lambda content: content["files"].update({"../secret": 64 * "0"})),
        "names a file that no bundle has",
    ),
    "card with a digest that is none": (
        card(lambda content: content["files"].update({"history.csv": "abc"})),
        "files.history.csv",
    ),
    "no network": (remove("model.keras"), "model.keras is missing"),
    "half a network": (cut("model.keras"), "model.keras is damaged"),
    "network with one changed bit": (flip_a_bit("model.keras"), "model.keras is damaged"),
    "no judge": (remove("judge.npz"), "judge.npz is missing"),
    "judge with one changed bit": (flip_a_bit("judge.npz"), "judge.npz is damaged"),
    "judge without a part": (
        arrays("judge.npz", lambda stored: stored.pop("remembered")),
        "it has no remembered",
    ),
    "judge without a header": (
        arrays("judge.npz", lambda stored: stored.pop("header")),
        "it has no header",
    ),
    "judge whose header is no text": (
        arrays("judge.npz", update(header=np.array(5))),
        "judge.npz is damaged",
    ),
    "judge with a smaller head": (
        arrays("judge.npz", lambda stored: stored.update(kernel=stored["kernel"][:, 1:])),
        "its head is not one of as many classes",
    ),
    "judge with a head of complex numbers": (
        arrays("judge.npz", lambda stored: stored.update(kernel=stored["kernel"] * 1j)),
        "kernel is complex",
    ),
    "judge with a head that is no number": (
        arrays("judge.npz", lambda stored: stored.update(kernel=stored["kernel"] * np.nan)),
        "kernel holds what is no number",
    ),
    "judge with axes that are no numbers": (
        arrays("judge.npz", lambda stored: stored.update(axes=stored["axes"] * np.nan)),
        "axes holds what is no number",
    ),
    "judge that remembers an eleventh class": (
        arrays("judge.npz", lambda stored: stored["remembered_labels"].fill(10)),
        "an image of no class",
    ),
    "judge that remembers nothing": (
        arrays(
            "judge.npz",
            lambda stored: stored.update(
                remembered=stored["remembered"][:0],
                remembered_labels=stored["remembered_labels"][:0],
            ),
        ),
        "do not fit each other",
    ),
    "judge whose threshold is no number": (
        header(lambda content: content["threshold"].update(novelty=float("nan"))),
        "judge.npz is damaged",
    ),
    "judge with a spread of 0": (
        header(lambda content: content["signs"].update(distance=[0.5, 0.0])),
        "signs.distance",
    ),
    "judge without views": (
        header(lambda content: content["plan"].update(views=[])),
        "plan.views",
    ),
    "judge of other classes": (
        header(lambda content: content["classes"].reverse()),
        "not of this model",
    ),
    "judge with another temperature": (
        header(lambda content: content["calibration"].update(temperature=3.0)),
        "not of this model",
    ),
    "no history": (remove("history.csv"), "history.csv is missing"),
    "history with one changed bit": (flip_a_bit("history.csv"), "history.csv is damaged"),
    "empty history": (history(lambda text: ""), "history.csv is damaged"),
    "history that is no table": (history(lambda text: "epoch,loss\n1,much\n"), "is damaged"),
    "history with a value that is no number": (
        history(lambda text: text.replace("\n1,", "\nnan,")),
        "history.csv is damaged",
    ),
    "history without its first epoch": (
        history(lambda text: text.replace("\n1,", "\n7,")),
        "its epochs are not 1, 2, 3",
    ),
    "history with an endless field": (
        history(lambda text: "epoch\n" + "1" * 200_000),
        "history.csv is damaged",
    ),
    "no predictions": (remove("predictions.npz"), "predictions.npz is missing"),
    "half the predictions": (cut("predictions.npz"), "predictions.npz is damaged"),
    "predictions with one changed bit": (flip_a_bit("predictions.npz"), "is damaged"),
    "predictions without a part": (
        arrays("predictions.npz", lambda stored: stored.pop("validation")),
        "missing or unknown: validation",
    ),
    "predictions with a part too many": (
        arrays("predictions.npz", update(other=np.zeros(3))),
        "missing or unknown: other",
    ),
    "predictions for nine classes": (
        predictions("test", lambda array: array[:, :9]),
        "predictions.npz is damaged",
    ),
    "predictions that do not add up": (
        predictions("test", lambda array: array * 2),
        "does not hold probabilities",
    ),
    "predictions that are not numbers": (
        predictions("validation", lambda array: array * np.nan),
        "does not hold probabilities",
    ),
    "predictions below 0": (
        predictions("test", lambda array: array * -3 + 0.4 * np.float32(1)),
        "does not hold probabilities",
    ),
    "predictions that are complex": (
        predictions("test", lambda array: array.astype(np.complex64)),
        "test is complex64",
    ),
    "predictions of one image and no axis": (
        predictions("test", lambda array: array[0]),
        "test is float32 with 1 axes",
    ),
    "predictions of nothing": (
        arrays(
            "predictions.npz",
            lambda stored: stored.update(
                test=stored["test"][:0], test_labels=stored["test_labels"][:0]
            ),
        ),
        "no test image was answered",
    ),
    "predictions of another model": (
        predictions("test", lambda array: np.ascontiguousarray(array[:, ::-1])),
        "not of this model",
    ),
    "labels of an eleventh class": (
        predictions("test_labels", lambda array: array + np.uint8(1)),
        "does not hold probabilities",
    ),
    "labels without an axis": (
        predictions("test_labels", lambda array: array[0]),
        "test_labels is uint8 with 0 axes",
    ),
    "labels that are words": (
        predictions("test_labels", lambda array: array.astype(str)),
        "test_labels is <U",
    ),
    "labels below 0": (
        predictions("test_labels", lambda array: array.astype(np.int64) - 5),
        "test_labels is int64",
    ),
    "labels that are objects": (
        predictions("test_labels", lambda array: array.astype(object)),
        "predictions.npz is damaged",
    ),
    "predictions that unpack to gigabytes": (bomb("predictions.npz"), "would unpack to more"),
    "predictions that claim gigabytes": (claim("predictions.npz"), "not the array that it says"),
    "a folder in place of the card": (
        a_folder_in_place_of_the_card,
        "card.json is missing or cannot be read",
    ),
}


@pytest.fixture(scope="module")
def damaged(
    tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Flask, dict[str, str]]:
    """A site with one whole bundle and every damaged one beside it, and each one's folder."""
    instance = tmp_path_factory.mktemp("damaged")
    models = instance / "models"
    shutil.copytree(tiny_bundle.path, models / "tiny")
    names = {}
    for number, (title, (damage, _reason)) in enumerate(DAMAGES.items()):
        name = names[title] = f"damaged-{number}"
        folder = Path(shutil.copytree(tiny_bundle.path, models / name))
        card(update(name=name))(folder)
        damage(folder)
    return make_site(instance, DATA_FOLDER=SHIPPED_DATA), names


def test_there_are_at_least_fifty_ways_to_be_damaged() -> None:
    assert len(DAMAGES) >= 50


@pytest.mark.parametrize("title", DAMAGES)
def test_a_damaged_bundle_is_left_out_with_the_reason(
    title: str, damaged: tuple[Flask, dict[str, str]]
) -> None:
    site, names = damaged
    library = load_library(site)
    assert DAMAGES[title][1] in library.problems[names[title]]
    assert names[title] not in library.results | library.classifiers
    assert site.test_client().get(f"/models/{names[title]}").status_code == 404


def test_every_page_stays_whole_beside_all_of_them(damaged: tuple[Flask, dict[str, str]]) -> None:
    site, names = damaged
    client = PageClient(site.test_client())
    for address in ("/", "/models/", "/models/tiny", "/models/compare", "/gallery/", "/gallery/5"):
        assert client.get(address).status == 200, address
    for address in ("/models.csv", "/models/tiny.json", "/gallery.json", "/openapi.json"):
        assert client.fetch(address).status_code == 200, address
    page = client.get("/models/")
    assert all(name in page.text for name in names.values())
    answer = client.plain.post(
        "/api/classify",
        data={"image": (io.BytesIO(pictures.jpeg()), "a.jpg")},
        content_type="multipart/form-data",
    )
    assert answer.status_code == 200 and answer.get_json()["model"] == "tiny"


def test_a_bomb_is_refused_before_it_is_unpacked(tiny_bundle: Bundle, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_bundle.path, tmp_path / "tiny"))
    bomb("predictions.npz")(folder)
    tracemalloc.start()
    with pytest.raises(BundleError, match="would unpack"):
        read_bundle(folder)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6


def test_a_bundle_without_a_judge_is_whole(bundle_path: Path) -> None:
    remove("judge.npz")(bundle_path)
    card(lambda content: content["files"].pop("judge.npz"))(bundle_path)
    assert read_bundle(bundle_path).judge is None


def test_a_judge_is_replaced_and_all_else_stays_to_the_bit(bundle_path: Path) -> None:
    others = ("model.keras", "history.csv", "predictions.npz")
    before = {name: (bundle_path / name).read_bytes() for name in others}
    judge = read_bundle(bundle_path).judge
    assert judge is not None
    lenient = judge.threshold.model_copy(update={"novelty": 1.25})
    again = replace_judge(read_bundle(bundle_path), dataclasses.replace(judge, threshold=lenient))
    assert again.judge is not None and again.judge.threshold == lenient
    assert {name: (bundle_path / name).read_bytes() for name in others} == before
    features = np.random.default_rng(0).random((4, judge.width), np.float32)
    np.testing.assert_array_equal(again.judge.novelty(features), judge.novelty(features))


def test_no_flipped_bit_of_the_predictions_is_more_than_a_bad_bundle(bundle_path: Path) -> None:
    # zipfile, zlib and NumPy raise a dozen kinds of exception; one that got through would stop
    # the whole site.
    path = bundle_path / "predictions.npz"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    near_the_headers = rng.integers(0, 200, 100)
    near_the_end = len(whole) - 1 - rng.integers(0, 400, 100)
    anywhere = rng.integers(0, len(whole), 20)
    refused = 0
    for place in (*near_the_headers, *near_the_end, *anywhere):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(damaged)
        reseal(bundle_path)
        good, bad = read_bundles(bundle_path.parent)
        assert len(good) + len(bad) == 1
        refused += len(bad)
    assert refused > 50


def test_a_bundle_that_may_not_be_read_is_named(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(reading, "file_digest", refuse)
    assert read_bundles(bundle_path.parent) == (
        [],
        {"tiny": "it cannot be read (Permission denied)"},
    )


def test_a_bad_bundle_is_named_and_the_others_are_read(bundle_path: Path) -> None:
    shutil.copytree(bundle_path, bundle_path.with_name("broken"))
    (bundle_path.parent / ".tiny-unfinished").mkdir()
    good, bad = read_bundles(bundle_path.parent)
    assert [one.name for one in good] == ["tiny"]
    assert list(bad) == ["broken"]


def test_a_bundle_without_a_network_is_a_report(bundle_path: Path) -> None:
    for name in ("model.keras", "judge.npz"):
        (bundle_path / name).unlink()
    card(lambda content: [content["files"].pop(name) for name in ("model.keras", "judge.npz")])(
        bundle_path
    )
    report = read_bundle(bundle_path)
    assert report.model_path is None and report.judge is None


def test_no_folder_means_no_bundles(tmp_path: Path) -> None:
    assert read_bundles(tmp_path / "nowhere") == ([], {})


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("before")
    with pytest.raises(RuntimeError), whole_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "before"
    with whole_file(target) as temporary:
        temporary.write_text("after")
    assert target.read_text() == "after"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(RuntimeError), whole_folder(target) as temporary:
        (temporary / "half").touch()
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["old"]
    with whole_folder(target) as temporary:
        (temporary / "new").touch()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
