"""A run of `flask classify` that goes on says what is so of the files that are there now."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from model_training.classifying.cluster.parts import divide
from model_training.classifying.journal import Journal
from model_training.classifying.rows import Row
from tests import pictures
from webapp.cli.classifying import classify
from webapp.cli.classifying.inputs import find_all

FILES = ("0.png", "1.png", "2.png", "3.png", "4.png")


@pytest.fixture
def cli(site: Flask) -> FlaskCliRunner:
    return site.test_cli_runner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures."""
    return filled(tmp_path / "a")


def filled(folder: Path) -> Path:
    folder.mkdir()
    for number, name in enumerate(FILES):
        (folder / name).write_bytes(pictures.png(40 + number, 40))
    return folder


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """After how many rows a run is interrupted, as by Ctrl-C."""
    after: list[int] = []
    add = Journal.add

    def adding(journal: Journal, rows: Sequence[Row]) -> None:
        add(journal, rows)
        if after and len(journal.done) >= after[0]:
            after.clear()
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "add", adding)
    yield after


def of(place: Path, output: Path, *more: str) -> list[str]:
    return ["classify", str(place), "--output", str(output), "--batch", "1", *more]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def names_of(path: Path) -> list[str]:
    return [row["file"] for row in rows_of(path)]


def begun(cli: FlaskCliRunner, stop: list[int], command: list[str], rows: int = 2) -> None:
    stop.append(rows)
    assert cli.invoke(args=command).exit_code == 130


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_run_that_goes_on_writes_what_one_without_a_break_does(
    cli: FlaskCliRunner, folder: Path, tmp_path: Path, stop: list[int], form: str
) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    (folder / "2.png").write_bytes(pictures.not_an_image())
    at_once, in_two = tmp_path / f"at-once.{form}", tmp_path / f"in-two.{form}"
    assert cli.invoke(args=of(folder, at_once)).exit_code == 0
    begun(cli, stop, of(folder, in_two), rows=3)
    assert not in_two.exists(), "nothing half-written is taken for whole"
    done = cli.invoke(args=of(folder, in_two))
    assert "3 pictures are done already" in done.output
    assert in_two.read_bytes() == at_once.read_bytes()


def test_rows_of_pictures_that_nobody_asks_for_any_more_are_not_written(
    cli: FlaskCliRunner, folder: Path, tmp_path: Path, stop: list[int]
) -> None:
    other, output = filled(tmp_path / "b"), tmp_path / "rows.jsonl"
    begun(cli, stop, of(folder, output))
    done = cli.invoke(args=of(other, output))
    assert done.exit_code == 0 and "5 pictures" in done.output
    assert names_of(output) == [str(other / name) for name in FILES]


def test_a_file_that_changed_since_its_row_was_written_is_classified_anew(
    cli: FlaskCliRunner, folder: Path, tmp_path: Path, stop: list[int]
) -> None:
    output = tmp_path / "rows.jsonl"
    begun(cli, stop, of(folder, output), rows=4)
    (folder / "0.png").unlink()
    (folder / "1.png").write_bytes(pictures.not_an_image())
    # Another file of its size and its age.
    about = (folder / "2.png").stat()
    (folder / "2.png").write_bytes(bytes(about.st_size))
    os.utime(folder / "2.png", ns=(about.st_atime_ns, about.st_mtime_ns))
    done = cli.invoke(args=of(folder, output))
    assert done.exit_code == 0, done.output
    assert "1 picture is done already" in done.output and "2 not opened" in done.output
    assert names_of(output) == [str(folder / name) for name in FILES[1:]], "in their order"
    assert [row.get("error") for row in rows_of(output)] == ["not-an-image"] * 2 + [None] * 2


def test_pictures_of_an_archive_that_was_replaced_are_classified_anew(
    cli: FlaskCliRunner, folder: Path, tmp_path: Path, stop: list[int]
) -> None:
    output, base = tmp_path / "rows.jsonl", str(tmp_path / "packed")
    packed = Path(shutil.make_archive(base, "zip", folder))
    begun(cli, stop, of(packed, output))
    begun(cli, stop, of(packed, output), rows=3)
    for name in FILES:
        (folder / name).write_bytes(pictures.not_an_image())
    shutil.make_archive(base, "zip", folder)
    done = cli.invoke(args=of(packed, output))
    assert "done already" not in done.output and "5 pictures: 5 not opened" in done.output


def test_what_could_not_be_read_is_tried_again(
    cli: FlaskCliRunner, folder: Path, tmp_path: Path, stop: list[int]
) -> None:
    output = tmp_path / "rows.jsonl"
    (folder / "0.png").unlink()
    (folder / "0.png").symlink_to(tmp_path / "later.png")
    begun(cli, stop, of(folder, output))
    (tmp_path / "later.png").write_bytes(pictures.png())
    done = cli.invoke(args=of(folder, output))
    assert "1 picture is done already" in done.output
    assert not any("error" in row for row in rows_of(output))


def test_a_run_with_other_limits_is_another_run(
    site: Flask,
    cli: FlaskCliRunner,
    folder: Path,
    tmp_path: Path,
    stop: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "rows.jsonl"
    begun(cli, stop, of(folder, output))
    monkeypatch.setitem(site.config, "MAX_PHOTO_PIXELS", 1000)
    done = cli.invoke(args=of(folder, output))
    assert done.exit_code == 1 and "--restart" in done.output
    done = cli.invoke(args=of(folder, output, "--restart"))
    assert done.exit_code == 0 and "5 not opened" in done.output


def test_a_run_in_the_folder_that_it_classifies_leaves_its_own_files_out(
    cli: FlaskCliRunner,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: list[int],
) -> None:
    monkeypatch.chdir(folder)
    output = Path("rows.jsonl")
    begun(cli, stop, of(Path(), output))
    for more in ((), ("--force",)):
        done = cli.invoke(args=of(Path(), output, *more))
        assert done.exit_code == 0 and "5 pictures" in done.output
        assert names_of(output) == list(FILES)
        if more:
            assert "5 of them now" in done.output
    pytest.importorskip("pyarrow")
    done = cli.invoke(args=["classify", f"file://{folder}", "--output", "rows.jsonl", "--force"])
    assert done.exit_code == 0 and "5 pictures" in done.output


def test_a_file_that_comes_while_a_run_goes_on_is_left_to_another(
    cli: FlaskCliRunner, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "rows.jsonl"

    def finding(*arguments: Any) -> Any:
        found = find_all(*arguments)
        (folder / "5.png").write_bytes(pictures.png())
        return found

    monkeypatch.setattr(classify, "find_all", finding)
    done = cli.invoke(args=of(folder, output))
    assert done.exit_code == 0 and "5 pictures" in done.output
    assert names_of(output) == [str(folder / name) for name in FILES]


def test_a_run_that_has_all_its_rows_needs_no_cluster(
    cli: FlaskCliRunner, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "rows.jsonl"

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(classify, "write_table", full)
        done = cli.invoke(args=of(folder, output))
    assert done.exit_code == 1 and "The disk is full" in done.output
    nobody = ("--ray", "127.0.0.1:1")
    done = cli.invoke(args=of(folder, output, *nobody))
    assert done.exit_code == 0 and "5 pictures are done already" in done.output, done.output
    assert names_of(output) == [str(folder / name) for name in FILES]


def test_what_a_cluster_reads_comes_with_its_stamp(folder: Path) -> None:
    (part,) = divide([folder], ())
    before = [one.stamp for one in part.read(10)]
    assert all(before) and before == [one.stamp for one in part.read(10)]
    (folder / "3.png").write_bytes(pictures.png())
    changed = [one.stamp != stamp for one, stamp in zip(part.read(10), before, strict=True)]
    assert changed == [False, False, False, True, False]


def test_a_part_of_a_cluster_s_work_knows_what_is_done_of_its_archive(tmp_path: Path) -> None:
    for name in ("a.zip", "a.zip!", "b.zip"):
        (tmp_path / name).write_bytes(b"")
    a, b = str(tmp_path / "a.zip"), str(tmp_path / "b.zip")
    done = {f"{a}!/1.png", f"{a}!/deep/2.png", f"{a}!x", f"{b}!/1.png", str(tmp_path / "0.png")}
    found = {str(part.files[0]): part.done for part in divide([Path(a), Path(b)], done)}
    assert found == {a: {f"{a}!/1.png", f"{a}!/deep/2.png"}, b: {f"{b}!/1.png"}}


def test_nothing_is_left_of_a_run_that_did_nothing(cli: FlaskCliRunner, tmp_path: Path) -> None:
    (tmp_path / "half.zip").write_bytes(b"PK\x03\x04 and no more")
    done = cli.invoke(args=of(tmp_path / "half.zip", tmp_path / "rows.jsonl"))
    assert done.exit_code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["half.zip"]


def test_a_restart_that_finds_nothing_throws_nothing_away(
    cli: FlaskCliRunner, folder: Path, tmp_path: Path, stop: list[int]
) -> None:
    output = tmp_path / "rows.jsonl"
    begun(cli, stop, of(folder, output))
    assert cli.invoke(args=of(tmp_path / "nowhere", output, "--restart")).exit_code == 1
    assert "2 pictures are done already" in cli.invoke(args=of(folder, output)).output
    begun(cli, stop, of(folder, output, "--force"))
    done = cli.invoke(args=of(folder, output, "--force", "--restart"))
    assert "5 of them now" in done.output and len(names_of(output)) == 5


def test_half_a_batch_on_a_full_disk_is_none(tmp_path: Path) -> None:
    some = Row("a.png", error="empty-file"), Row("b.png", error="empty-file")
    with Journal(tmp_path / "rows.csv", {"model": "one"}) as journal:
        journal.add(some)
        size = journal.path.stat().st_size
        write, written = journal._file.write, iter([10])

        class Full:
            """A file on a disk with room for ten bytes more."""

            def __getattr__(self, name: str) -> Any:
                return getattr(file, name)

            def write(self, data: bytes) -> int:
                if room := next(written, None):
                    return write(data[:room])
                raise OSError(28, "No space left on device")

        file = journal._file
        journal._file = Full()  # type: ignore[assignment]
        with pytest.raises(OSError, match="No space"):
            journal.add([Row("c.png", error="empty-file")])
        assert journal.path.stat().st_size == size
        assert [row.file for row in journal.rows(["b.png", "a.png"])] == ["b.png", "a.png"]
