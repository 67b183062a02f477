"""What `flask classify` finds: odd folders, damaged archives, lists and names of every kind."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from model_training.bundles.bundle import Bundle
from model_training.classifying import pipeline
from model_training.classifying.pipeline import Limits, classify
from model_training.classifying.rows import Row, readable
from model_training.classifying.sources import Picture, SourceError, Unreadable, find_pictures
from model_training.classifying.tables import write_table
from model_training.datasets.pictures.opener import open_photo
from tests import pictures
from tests.conftest import PROJECT
from webapp.serving.classifier import Classifier

PNG = pictures.png()


@pytest.fixture
def cli(site: Flask) -> FlaskCliRunner:
    return site.test_cli_runner()


def found_in(place: Path) -> list[str]:
    """The names of the pictures that are found, after the place and what separates them."""
    return [one.name.removeprefix(str(place)).lstrip("!/") for one in find_pictures([place])]


def test_a_link_that_leads_in_a_circle_is_a_picture_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "z.png").write_bytes(PNG)
    circle, there = find_pictures([tmp_path])
    with pytest.raises(Unreadable, match="Too many levels of symbolic links"):
        circle.read(10)
    assert circle.stamp() is None and there.read(4) == PNG[:4]


def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def scandir(folder: Path) -> Any:
        if folder.name == "closed":  # Who runs the tests may be allowed everything.
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(SourceError, match="closed cannot be read: Permission denied.*leave it out"):
        list(find_pictures([tmp_path]))


@pytest.mark.parametrize(
    ("name", "words"),
    [("n" * 300, "cannot be read: File name too long"), ("a\0b", "There is no file or folder")],
)
def test_a_name_that_no_file_can_have_is_told(name: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        list(find_pictures([Path(name)]))


def tar(path: Path, *names: str, data: bytes = PNG) -> Path:
    """An archive, packed as its name says, of files with these names."""
    packed = path.suffix.lstrip(".") if path.suffix in (".gz", ".xz", ".bz2") else ""
    with tarfile.open(path, f"w:{packed}") as archive:  # type: ignore[call-overload]
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), PNG)
    return path


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_an_archive_is_read_from_its_first_file_to_its_last(name: str, tmp_path: Path) -> None:
    archive = tar(tmp_path / name, "./1.png", "deep/2.png", ".hidden/3.png", "__MACOSX/4.png")
    read = [one.read(10_000) for one in find_pictures([archive])]
    assert found_in(archive) == ["./1.png", "deep/2.png"] and read == [PNG, PNG]


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE])
def test_a_link_in_an_archive_is_found_and_says_what_to_do(kind: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        picture, link = tarfile.TarInfo("1.png"), tarfile.TarInfo("2.png")
        picture.size, link.type, link.linkname = len(PNG), kind, "1.png"
        archive.addfile(picture, io.BytesIO(PNG))
        archive.addfile(link)
    _picture, found = find_pictures([tmp_path / "a.tar"])
    assert found.name.endswith("!/2.png")
    with pytest.raises(Unreadable, match="a link to '1.png' in its archive: unpack"):
        found.read(10_000)


def cut_between_files(path: Path) -> Path:
    # Each file takes a block for its header, and whole blocks for its bytes.
    each = 512 + -(-len(PNG) // 512) * 512
    tar(path, *"12345")
    path.write_bytes(path.read_bytes()[: 3 * each])
    return path


def damaged_header(path: Path) -> Path:
    each = 512 + -(-len(PNG) // 512) * 512
    data = bytearray(tar(path, *"12345").read_bytes())
    data[3 * each : 3 * each + 4] = b"what"
    path.write_bytes(data)
    return path


def wrong_checksum(path: Path) -> Path:
    # Stored as it is, so that nothing but the checksum shows that a byte is another.
    plain = tar(path.with_suffix(""), "1.bmp", data=pictures.bmp()).read_bytes()
    data = bytearray(gzip.compress(plain, 0))
    data[1000] ^= 0xFF
    path.write_bytes(data)
    return path


def cut_off(path: Path) -> Path:
    tar(path, *"12345")
    path.write_bytes(path.read_bytes()[:-20])
    return path


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.tar", cut_between_files),
        ("a.tar", damaged_header),
        ("a.tar.gz", wrong_checksum),
        ("a.tar.gz", cut_off),
        ("a.tar.xz", cut_off),
        ("a.tar.bz2", cut_off),
    ],
)
def test_a_damaged_archive_does_not_pass_for_whole(
    name: str, make: Callable[[Path], Path], tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match="is not a whole archive: ."):
        found_in(make(tmp_path / name))


@pytest.mark.parametrize("name", ["..\\b.png", "C:\\x.png", "c:/x.png", "\\x.png", "a\\..\\..\\b"])
def test_a_name_that_leads_out_of_an_archive_on_windows_is_refused(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match="leads out of it"):
        found_in(zipped(tmp_path / "a.zip", name))


def test_a_name_with_a_colon_leads_nowhere(tmp_path: Path) -> None:
    assert found_in(zipped(tmp_path / "a.zip", "a:b.png", "d\\e.png")) == ["a:b.png", "d\\e.png"]


def test_files_of_one_name_in_an_archive_are_told_apart(tmp_path: Path) -> None:
    names = ("a", "a", "a (2)", "b", "a")
    told = ["a", "a (2)", "a (2) (2)", "b", "a (3)"]
    assert found_in(tar(tmp_path / "a.tar", *names)) == told
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = zipped(tmp_path / "a.zip", *names)
    assert found_in(archive) == told


ODD = (b"caf\xe9.png", b"caf\\xe9.png", b"caf\xc3\xa9.png", b"a\rb.png", b"back\\slash.png")
TOLD = ("caf\\xe9.png", "caf\\x5cxe9.png", "café.png", "a\rb.png", "back\\slash.png")


def test_names_that_are_no_utf8_are_the_same_in_every_table(tmp_path: Path) -> None:
    names = [os.fsdecode(name) for name in ODD]
    assert tuple(map(readable, names)) == TOLD
    rows = [Row(name, error="unreadable-file", detail=f"{name} is gone") for name in names]
    for kind in ("jsonl", "csv"):
        write_table(tmp_path / f"rows.{kind}", rows, ("cat",))
    with (tmp_path / "rows.jsonl").open(encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    assert [line["file"] for line in lines] == list(TOLD)
    assert [line["detail"] for line in lines] == [f"{name} is gone" for name in TOLD]
    text = (tmp_path / "rows.csv").read_bytes().decode("utf-8")
    assert all(name in text for name in TOLD)
    parquet = pytest.importorskip("pyarrow.parquet")
    write_table(tmp_path / "rows.parquet", rows, ("cat",))
    table = parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    assert [row["file"] for row in table] == list(TOLD)


LISTS: dict[str, Callable[[list[bytes]], bytes]] = {
    "lines": lambda names: b"\n".join(names) + b"\n\n",
    "lines of Windows": lambda names: b"\r\n".join(names),
    "find -print0": lambda names: b"".join(name + b"\0" for name in names),
    "a byte order mark": lambda names: b"\xef\xbb\xbf" + b"\n".join(names),
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_may_hold_names_of_every_kind(
    kind: str, cli: FlaskCliRunner, tmp_path: Path
) -> None:
    files = [os.fsencode(tmp_path) + b"/" + name for name in ODD]
    for file in files:
        Path(os.fsdecode(file)).write_bytes(b"no picture")
    output = tmp_path / "rows.jsonl"
    done = cli.invoke(args=["classify", "-", "--output", str(output)], input=LISTS[kind](files))
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["file"] for row in rows] == [f"{tmp_path}/{name}" for name in TOLD]


def test_an_empty_path_is_not_the_folder_that_one_is_in(
    cli: FlaskCliRunner, tmp_path: Path
) -> None:
    told = cli.invoke(args=["classify", "", "--output", str(tmp_path / "rows.csv")])
    assert told.exit_code == 2 and "A PATH is empty" in told.output
    assert not (tmp_path / "rows.csv").exists()


def test_a_list_in_utf16_is_told(cli: FlaskCliRunner, tmp_path: Path) -> None:
    listed = "a.png\n".encode("utf-16")
    args = ["classify", "-", "--output", str(tmp_path / "rows.csv")]
    done = cli.invoke(args=args, input=listed)
    assert done.exit_code == 1 and "write it in UTF-8" in done.output


def test_a_list_is_read_byte_by_byte_whatever_standard_input_is_set_to() -> None:
    script = "from webapp.cli.classifying.inputs import places_of; print(ascii(places_of('-')))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
        input=b"odd/\xff\xfe.png\n",
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"odd/\\udcff\\udcfe.png" in done.stdout


def test_what_waits_of_an_archive_is_counted_in_bytes(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, waiting, most = threading.Lock(), 0, 0

    def read(_most: int) -> bytes:
        nonlocal waiting, most
        with lock:
            waiting += 1
            most = max(most, waiting)
        return PNG

    def opening(data: bytes, **options: Any) -> Any:
        nonlocal waiting
        opened = open_photo(data, **options)
        with lock:
            waiting -= 1
        return opened

    def found() -> Iterator[Picture]:
        for number in range(300):
            yield Picture(f"{number}.png", read, ordered=True)

    monkeypatch.setattr(pipeline, "open_photo", opening)
    monkeypatch.setattr(pipeline, "AHEAD_BYTES", 20 * len(PNG))
    classifier = Classifier(tiny_bundle)
    limits = Limits(10**6, 10**6)
    batches = classify(found(), classifier.judge, classifier.backend, limits)
    rows = [row for some in batches for row in some]
    assert [row.file for row in rows] == [f"{number}.png" for number in range(300)]
    assert all(row.label for row in rows)
    assert most <= 20 + 2 * pipeline.TOGETHER


def test_an_output_whose_name_is_too_long_is_refused_before_the_work(
    cli: FlaskCliRunner, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    output = tmp_path / f"{'n' * 243}.jsonl"
    done = cli.invoke(args=["classify", str(tmp_path / "a.png"), "--output", str(output)])
    assert done.exit_code == 2 and "File name too long" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
