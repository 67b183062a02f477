"""`flask classify`: any number of pictures, a row for each, whatever happens on the way."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from PIL import Image

from model_training.classifying import journal
from model_training.classifying.journal import Journal
from model_training.classifying.rows import Row
from model_training.datasets.dataset import ImageSet
from tests import pictures
from tests.conftest import PROJECT

CODES = {
    "damaged.jpg": "damaged-photo",
    "empty.png": "empty-file",
    "text.jpg": "not-an-image",
    "wall.bmp": "not-an-image",
}


@pytest.fixture
def cli(site: Flask) -> FlaskCliRunner:
    return site.test_cli_runner()


@pytest.fixture
def folder(test_images: ImageSet, tmp_path: Path) -> Path:
    """Twenty test images in two folders, and four files that cannot be opened."""
    folder = tmp_path / "many"
    for number in range(20):
        path = folder / ("a" if number < 10 else "b/c") / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(test_images.images[number]).save(path)
    (folder / "damaged.jpg").write_bytes(pictures.truncated_jpeg())
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_bytes(pictures.not_an_image())
    (folder / "wall.bmp").write_bytes(pictures.run_length_bmp())
    (folder / ".hidden.png").write_bytes(pictures.png())
    return folder


def rows_of(path: Path) -> dict[str, dict[str, Any]]:
    """The rows of a file by the last part of the picture's name; each stands there once."""
    lines = path.read_text().splitlines()
    if path.suffix == ".csv":
        rows: list[dict[str, Any]] = list(csv.DictReader(lines))
    else:
        rows = [json.loads(line) for line in lines]
    found = {Path(row["file"]).name: row for row in rows}
    assert len(found) == len(rows)
    return found


def test_every_file_of_a_folder_is_a_row_and_says_what_the_site_says(
    cli: FlaskCliRunner, folder: Path, tmp_path: Path
) -> None:
    done = cli.invoke(args=["classify", str(folder), "--output", str(tmp_path / "rows.jsonl")])
    assert done.exit_code == 0, done.output
    rows = rows_of(tmp_path / "rows.jsonl")
    assert len(rows) == 24 and "24 pictures" in done.output and "4 not opened" in done.output
    assert {name: rows[name]["error"] for name in CODES} == CODES
    assert all(rows[name]["detail"] for name in CODES)
    single = cli.invoke(args=["predict", "--json", str(folder / "a" / "03.png")])
    said, row = json.loads(single.stdout), rows["03.png"]
    assert (row["label"], row["verdict"]) == (said["label"], said["verdict"])
    assert row["novelty"] == pytest.approx(said["novelty"], abs=1e-4)
    assert row["probabilities"] == pytest.approx(said["probabilities"], abs=1e-4)
    assert not list(tmp_path.glob("*.rows")), "nothing is left of the way there"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_has_a_column_for_each_class(
    kind: str, cli: FlaskCliRunner, folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / f"rows.{kind}"
    assert cli.invoke(args=["classify", str(folder), "--output", str(output)]).exit_code == 0
    if kind == "csv":
        rows = rows_of(output)
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        rows = {Path(row["file"]).name: row for row in parquet.read_table(output).to_pylist()}
    assert len(rows) == 24
    shares = [float(rows["03.png"][name]) for name in rows["03.png"] if "probability:" in name]
    assert len(shares) == 10 and sum(shares) == pytest.approx(1, abs=1e-4)
    assert not rows["text.jpg"]["label"] and rows["text.jpg"]["error"] == "not-an-image"


def test_archives_and_lists_are_read_without_being_unpacked(
    cli: FlaskCliRunner, folder: Path, tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "tarred.tar.gz", "w:gz") as archive:
        archive.add(folder / "a", "inner")
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as archive:
        archive.write(folder / "b/c/10.png", "deep/10.png")
    listed = f"{tmp_path / 'tarred.tar.gz'}\n{tmp_path / 'zipped.zip'}\n\n{folder / 'text.jpg'}\n"
    output = tmp_path / "rows.jsonl"
    done = cli.invoke(args=["classify", "-", "--output", str(output)], input=listed)
    assert done.exit_code == 0, done.output
    files = [json.loads(line)["file"] for line in output.read_text().splitlines()]
    assert len(files) == 12 and files[0] == f"{tmp_path / 'tarred.tar.gz'}!/inner/00.png"
    assert files[10] == f"{tmp_path / 'zipped.zip'}!/deep/10.png"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "many", "rows.jsonl", "tarred.tar.gz", "zipped.zip",
    ]  # fmt: skip


def test_a_damaged_picture_in_an_archive_is_a_row_that_says_so(
    cli: FlaskCliRunner, tmp_path: Path
) -> None:
    path, output = tmp_path / "zipped.zip", tmp_path / "rows.jsonl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bmp", bytes(1000))
        archive.writestr("b.png", pictures.png())
    content = bytearray(path.read_bytes())
    content[30 + len("a.bmp")] = 0xFF  # no such kind of block
    path.write_bytes(content)
    done = cli.invoke(args=["classify", str(path), "--output", str(output)])
    assert done.exit_code == 0, done.output
    damaged, whole = map(json.loads, output.read_text().splitlines())
    assert damaged["error"] == "unreadable-file" and "from its archive" in damaged["detail"]
    assert whole["label"]


def of_bytes(name: str, data: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return write


def leading_out(folder: Path) -> Path:
    with tarfile.open(folder / "evil.tar", "w") as archive:
        member = tarfile.TarInfo("../../etc/passwd.png")
        member.size = len(pictures.png())
        archive.addfile(member, io.BytesIO(pictures.png()))
    return folder / "evil.tar"


BAD = {
    "leads out of it": leading_out,
    "is not a whole archive": of_bytes("half.zip", b"PK\x03\x04 and no more"),
    "is not a whole archive: ": of_bytes("half.tar", b"x" * 2000),
    "There is no file or folder": lambda folder: folder / "nowhere",
}


@pytest.mark.parametrize(("words", "make"), BAD.items())
def test_what_cannot_be_read_at_all_is_told_before_anything_is_done(
    words: str, make: Callable[[Path], Path], cli: FlaskCliRunner, tmp_path: Path
) -> None:
    output = tmp_path / "rows.csv"
    done = cli.invoke(args=["classify", str(make(tmp_path)), "--output", str(output)])
    assert done.exit_code == 1 and words in done.output
    assert not output.exists()


def test_an_output_is_refused_that_is_there_or_is_of_no_known_kind(
    cli: FlaskCliRunner, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("mine")
    done = cli.invoke(args=["classify", str(folder), "--output", str(tmp_path / "rows.csv")])
    assert done.exit_code == 2 and "--force" in done.output
    assert (tmp_path / "rows.csv").read_text() == "mine"
    done = cli.invoke(args=["classify", str(folder), "--output", str(tmp_path / "rows.txt")])
    assert done.exit_code == 2 and ".jsonl, .csv, .parquet" in done.output
    done = cli.invoke(args=["classify", str(folder), "--output", str(tmp_path / "no" / "a.csv")])
    assert done.exit_code == 2 and "create it first" in done.output


def test_a_run_that_is_killed_goes_on_without_losing_or_repeating_a_row(
    site: Flask, folder: Path, tmp_path: Path, cli: FlaskCliRunner
) -> None:
    output, kept = tmp_path / "rows.jsonl", tmp_path / "rows.jsonl.rows"
    command = ["classify", str(folder), "--output", str(output), "--batch", "2"]
    models = site.config["MODELS_FOLDER"]
    running = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "wsgi", *command, "--model", "tiny"],
        cwd=PROJECT,
        env=os.environ | {"TENCLASSES_MODELS_FOLDER": str(models)},
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (kept.exists() and kept.read_bytes().count(b"\n") > 3):
            assert running.poll() is None
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
    finally:
        running.kill()
        running.wait()
    assert not output.exists(), "nothing half-written is taken for whole"
    # The kill may have come in the middle of a line.
    kept.write_bytes(kept.read_bytes() + b'{"file": "half')
    done = cli.invoke(args=command)
    assert done.exit_code == 0, done.output
    assert "are done already" in done.output
    assert len(rows_of(output)) == 24


def test_what_another_model_began_is_not_gone_on_with(
    cli: FlaskCliRunner, folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "rows.jsonl"
    with Journal(output, {"model": "another"}) as other:
        other.add([Row("a.png", error="empty-file")])
    command = ["classify", str(folder), "--output", str(output)]
    done = cli.invoke(args=command)
    assert done.exit_code == 1 and "--restart" in done.output
    assert cli.invoke(args=[*command, "--restart"]).exit_code == 0
    assert len(rows_of(output)) == 24


def test_two_runs_do_not_write_one_file(cli: FlaskCliRunner, folder: Path, tmp_path: Path) -> None:
    with (tmp_path / "rows.jsonl.rows").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        done = cli.invoke(args=["classify", str(folder), "--output", f"{tmp_path}/rows.jsonl"])
    assert done.exit_code == 1 and "Another run is writing" in done.output


def test_a_full_disk_keeps_what_was_done(
    cli: FlaskCliRunner, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, fsync, left = tmp_path / "rows.jsonl", os.fsync, iter(range(3))

    def full(file: int) -> None:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        fsync(file)

    command = ["classify", str(folder), "--output", str(output), "--batch", "4"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        patch.setattr(journal, "EVERY", 0.0)
        done = cli.invoke(args=command)
    assert (
        done.exit_code == 1 and "The disk is full" in done.output and "same command" in done.output
    )
    assert not output.exists()
    done = cli.invoke(args=command)
    assert "12 pictures are done already" in done.output
    assert len(rows_of(output)) == 24


def test_a_name_that_is_no_unicode_comes_back_as_it_was() -> None:
    row = Row(os.fsdecode(b"caf\xe9.png"), error="empty-file", detail="…")
    assert Row.from_json(row.to_json()) == row
    assert os.fsencode(Row.from_json(row.to_json()).file) == b"caf\xe9.png"
