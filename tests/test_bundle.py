"""A bundle is read whole or refused, with the reason; a bad one does not stop the others."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_training.bundles import bundle
from model_training.bundles.bundle import Bundle, BundleError, read_bundle, read_bundles
from model_training.files import file_digest, whole_file, whole_folder


@pytest.fixture
def bundle_path(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    assert tiny_bundle.model_path is not None
    return Path(shutil.copytree(tiny_bundle.model_path.parent, tmp_path / "models" / "tiny"))


def edit_card(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        card = json.loads((path / "card.json").read_text())
        change(card)
        (path / "card.json").write_text(json.dumps(card))

    return damage


def edit_predictions(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with np.load(path / "predictions.npz") as stored:
            arrays = dict(stored)
        arrays[name] = change(arrays[name])
        np.savez(path / "predictions.npz", **arrays)

    return damage


def cut(name: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        whole = (path / name).read_bytes()
        (path / name).write_bytes(whole[: len(whole) // 2])

    return damage


def remove(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).unlink()


def flip_a_bit(path: Path, name: str = "model.keras") -> None:
    data = bytearray((path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (path / name).write_bytes(data)


def edit_novelty(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Change the arrays, and the card's digest with them: only what they say is wrong."""

    def damage(path: Path) -> None:
        with np.load(path / "novelty.npz") as stored:
            arrays = dict(stored)
        change(arrays)
        np.savez(path / "novelty.npz", **arrays)
        digest = file_digest(path / "novelty.npz")
        edit_card(lambda card: card.update(novelty_sha256=digest))(path)

    return damage


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no card": (remove("card.json"), "card.json is missing"),
    "half a card": (cut("card.json"), "card.json is not valid"),
    "card of another version": (
        edit_card(lambda card: card.update(schema_version=2)),
        "schema_version",
    ),
    "card without a field": (edit_card(lambda card: card.pop("classes")), "classes"),
    "card with an unknown field": (edit_card(lambda card: card.update(colour="red")), "colour"),
    "card with an accuracy above 1": (
        edit_card(lambda card: card["metrics"]["test"].update(accuracy=91.0)),
        "metrics.test.accuracy",
    ),
    "card of another model": (edit_card(lambda card: card.update(name="other")), "other"),
    "card whose name is a path": (edit_card(lambda card: card.update(name="../x")), "name"),
    "no network": (remove("model.keras"), "model.keras is missing"),
    "half a network": (cut("model.keras"), "model.keras is damaged"),
    "network with one changed bit": (flip_a_bit, "model.keras is damaged"),
    "no novelty": (remove("novelty.npz"), "novelty.npz is missing"),
    "novelty with one changed bit": (
        lambda path: flip_a_bit(path, "novelty.npz"),
        "novelty.npz is damaged",
    ),
    "novelty without a part": (
        edit_novelty(lambda arrays: arrays.pop("remembered")),
        "novelty.npz is damaged",
    ),
    "novelty of another size": (
        edit_novelty(lambda arrays: arrays.update(kernel=arrays["kernel"][1:])),
        "its parts do not fit",
    ),
    "novelty whose threshold is no number": (
        edit_novelty(lambda arrays: arrays.update(threshold=np.nan)),
        "its parts do not fit",
    ),
    "novelty of another threshold than the card's": (
        edit_card(lambda card: card.update(rejection_threshold=0.5)),
        "not of this model",
    ),
    "no history": (remove("history.csv"), "history.csv is missing"),
    "empty history": (lambda path: (path / "history.csv").write_text(""), "history.csv is damaged"),
    "history that is no table": (
        lambda path: (path / "history.csv").write_text("epoch,loss\n1,much\n"),
        "history.csv is damaged",
    ),
    "history with a value that is no number": (
        lambda path: (path / "history.csv").write_text(
            (path / "history.csv").read_text().replace("\n1,", "\nnan,")
        ),
        "history.csv is damaged",
    ),
    "history with an endless field": (
        lambda path: (path / "history.csv").write_text("epoch\n" + "1" * 200_000),
        "history.csv is damaged",
    ),
    "no predictions": (remove("predictions.npz"), "predictions.npz is missing"),
    "half the predictions": (cut("predictions.npz"), "predictions.npz is damaged"),
    "predictions for nine classes": (
        edit_predictions("test", lambda array: array[:, :9]),
        "predictions.npz is damaged",
    ),
    "predictions that do not add up": (
        edit_predictions("test", lambda array: array * 2),
        "does not hold probabilities",
    ),
    "predictions that are not numbers": (
        edit_predictions("validation", lambda array: array * np.nan),
        "does not hold probabilities",
    ),
    "labels of an eleventh class": (
        edit_predictions("test_labels", lambda array: array + 1),
        "does not hold probabilities",
    ),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_bundle_is_refused_with_the_reason(
    damage: Callable[[Path], None], reason: str, bundle_path: Path
) -> None:
    read_bundle(bundle_path)
    damage(bundle_path)
    with pytest.raises(BundleError) as caught:
        read_bundle(bundle_path)
    assert reason in str(caught.value)


def test_a_bundle_without_novelty_is_whole(bundle_path: Path) -> None:
    remove("novelty.npz")(bundle_path)
    edit_card(lambda card: card.update(novelty_sha256=None, rejection_threshold=None))(bundle_path)
    assert read_bundle(bundle_path).novelty is None


def test_novelty_is_replaced_and_all_else_stays_to_the_bit(bundle_path: Path) -> None:
    others = ("model.keras", "history.csv", "predictions.npz")
    before = {name: (bundle_path / name).read_bytes() for name in others}
    one = read_bundle(bundle_path)
    assert one.novelty is not None
    again = bundle.replace_novelty(one, dataclasses.replace(one.novelty, threshold=1.25))
    assert again.card.rejection_threshold == 1.25
    assert {name: (bundle_path / name).read_bytes() for name in others} == before
    features = np.random.default_rng(0).random((4, len(one.novelty.kernel)), np.float32)
    assert again.novelty is not None
    np.testing.assert_array_equal(again.novelty.score(features), one.novelty.score(features))


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
        good, bad = read_bundles(bundle_path.parent)
        assert len(good) + len(bad) == 1
        refused += len(bad)
    assert refused > 50


def test_a_bundle_that_may_not_be_read_is_named(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(bundle, "file_digest", refuse)
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
    edit_card(lambda card: card.update(model_sha256=None))(bundle_path)
    (bundle_path / "model.keras").unlink()
    assert read_bundle(bundle_path).model_path is None


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
