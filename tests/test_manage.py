"""The folder of bundles: giving one another name, removing one, and what must not get lost."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model_training.bundles import manage
from model_training.bundles.bundle import Bundle, BundleError
from model_training.bundles.manage import (
    BundleExists,
    describe,
    free_name,
    half_written,
    is_quick_try_of,
    refuse_to_replace,
    remove_bundle,
    rename_bundle,
    size,
)
from model_training.bundles.reading import read_bundle
from model_training.files import move_into_place, remove_leftovers


@pytest.fixture
def bundle(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle of one's own to do with as one likes."""
    return read_bundle(Path(shutil.copytree(tiny_bundle.path, tmp_path / "models" / "tiny")))


def digests(path: Path) -> dict[str, str]:
    files = (file for file in path.iterdir() if file.name != "card.json")
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_another_name_changes_the_folder_and_the_card_and_nothing_else(bundle: Bundle) -> None:
    before = digests(bundle.path)
    renamed = rename_bundle(bundle, "mine")
    assert renamed.path == bundle.path.with_name("mine")
    assert renamed.card == bundle.card.model_copy(update={"name": "mine"})
    assert digests(renamed.path) == before
    assert [path.name for path in bundle.path.parent.iterdir()] == ["mine"]


def test_there_and_back_the_card_is_what_it_was_to_the_last_byte(bundle: Bundle) -> None:
    before = (bundle.path / "card.json").read_bytes()
    rename_bundle(rename_bundle(bundle, "mine"), "tiny")
    assert (bundle.path / "card.json").read_bytes() == before


def test_a_file_system_without_links_gets_copies(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError("Operation not permitted")

    before = digests(bundle.path)
    monkeypatch.setattr(os, "link", refuse)
    assert digests(rename_bundle(bundle, "mine").path) == before


@pytest.mark.parametrize("name", ["Mine", "my model", ".hidden", "x" * 65, "", "a/b", ".."])
def test_a_name_that_no_page_could_show_is_refused(name: str, bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="lower-case letters"):
        rename_bundle(bundle, name)
    assert read_bundle(bundle.path).name == "tiny"


def test_a_name_that_is_taken_is_refused(bundle: Bundle) -> None:
    (bundle.path.parent / "notes").mkdir()
    for name in ("tiny", "notes"):
        with pytest.raises(ValueError, match="something called"):
            rename_bundle(bundle, name)
    assert read_bundle(bundle.path).name == "tiny"


def test_a_rename_that_fails_leaves_the_bundle_where_it_was(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        rename_bundle(bundle, "mine")
    assert [path.name for path in bundle.path.parent.iterdir()] == ["tiny"]
    assert read_bundle(bundle.path).card == bundle.card


def test_a_bundle_is_removed_whole_also_a_damaged_one(bundle: Bundle) -> None:
    other = Path(shutil.copytree(bundle.path, bundle.path.with_name("other")))
    (other / "card.json").write_text("{}")
    remove_bundle(other)
    remove_bundle(bundle.path)
    assert list(bundle.path.parent.iterdir()) == []


def test_a_folder_that_is_no_bundle_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises(BundleError, match="may be no bundle"):
        remove_bundle(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_what_is_there_is_told_with_its_accuracy(bundle: Bundle) -> None:
    test = bundle.card.metrics["test"]
    with pytest.raises(BundleExists) as refused:
        refuse_to_replace(bundle.path)
    assert str(refused.value) == (
        "There is a bundle called tiny already (Tiny network, test accuracy "
        f"{test.accuracy:.4f} on {test.images:,} images of CIFAR-10, from "
        f"{bundle.card.training.started[:10]})."
    )
    (bundle.path / "model.keras").unlink()
    with pytest.raises(BundleExists, match="damaged: model.keras is missing"):
        refuse_to_replace(bundle.path)
    refuse_to_replace(bundle.path.with_name("nothing-there"))


def test_the_next_free_name_is_free_everywhere(tmp_path: Path) -> None:
    models, training = tmp_path / "models", tmp_path / "training"
    for path in (models / "fast-cnn", models / "fast-cnn-2", training / "fast-cnn-3"):
        path.mkdir(parents=True)
    assert free_name("fast-cnn", models, training) == "fast-cnn-4"
    assert free_name("fast-cnn-2", models, training) == "fast-cnn-4"
    assert free_name("vgg16", models) == "vgg16-2"
    longest = free_name("x" * 64, models)
    assert len(longest) == 64 and longest.endswith("x-2")


def test_a_quick_try_is_known_by_its_card(bundle: Bundle) -> None:
    assert not is_quick_try_of(bundle.path, "tiny")
    facts = bundle.card.training.model_copy(update={"changes": {"limit": "500"}})
    card = bundle.card.model_copy(update={"training": facts})
    (bundle.path / "card.json").write_text(card.model_dump_json())
    assert is_quick_try_of(bundle.path, "tiny")
    assert not is_quick_try_of(bundle.path, "fast-cnn")
    (bundle.path / "card.json").write_text("{}")
    assert not is_quick_try_of(bundle.path, "tiny"), "nobody knows what a damaged one was"
    assert describe(bundle.path).startswith("damaged: card.json is not valid")


def test_half_written_bundles_are_found_and_those_in_the_making_are_not(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundle.path.parent
    for name in (".tiny-abcd1234", ".tiny-wxyz1234-replaced", ".git"):
        (folder / name).mkdir()
    assert half_written(folder) == [], "they were touched just now"
    later = time.time() + manage.STILL_WRITING + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert [path.name for path in half_written(folder)] == [
        ".tiny-abcd1234",
        ".tiny-wxyz1234-replaced",
    ]
    assert half_written(folder / "nowhere") == []


def test_what_a_killed_process_left_of_a_name_with_a_dot_is_cleared_away(tmp_path: Path) -> None:
    left = [tmp_path / name for name in (".v1.2-abcd1234", ".v1.2-abcd1234-replaced")]
    kept = [tmp_path / name for name in ("v1.2", ".v1-abcd1234", ".v1.2-mine")]
    for folder in (*left, *kept):
        folder.mkdir()
    remove_leftovers(tmp_path / "v1.2")
    assert sorted(tmp_path.iterdir()) == sorted(kept)


@pytest.mark.parametrize("found_by", [remove_leftovers, lambda path: half_written(path.parent)])
def test_a_bundle_whose_successor_was_killed_between_two_steps_is_put_back(
    found_by: Callable[[Path], object], bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bundle.path.with_name(f".{bundle.path.name}-abcd1234")
    made.mkdir()
    replace, before = os.replace, digests(bundle.path)

    def killed(source: Path, target: Path) -> None:
        if target == bundle.path:
            raise SystemExit
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(os, "replace", killed)
        move_into_place(made, bundle.path)
    aside = bundle.path.with_name(f"{made.name}-replaced")
    assert aside.exists() and not bundle.path.exists()
    later = time.time() + manage.STILL_WRITING + 1
    monkeypatch.setattr(time, "time", lambda: later)
    found_by(bundle.path)
    assert digests(bundle.path) == before and not aside.exists()


def test_a_size_is_that_of_all_files(bundle: Bundle) -> None:
    assert size(bundle.path) == sum(file.stat().st_size for file in bundle.files.values())
