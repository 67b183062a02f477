"""`flask classify s3://… gs://…`: as from a folder, whatever becomes of the store.

`make test-stores` runs this, with servers in an environment of their own (`tests/object_stores`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskCliRunner
from PIL import Image

from model_training.classifying.addresses import Address
from model_training.datasets.dataset import ImageSet
from tests import pictures
from tests.conftest import PROJECT, SHIPPED_DATA, SHIPPED_MODELS, make_site
from tests.object_stores import BUCKET, ObjectStore, Relay, gcs, s3

pytestmark = pytest.mark.stores
MODEL = "custom-cnn"
COUNT = 40


@pytest.fixture(scope="module")
def folder(test_images: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures, whose names and folders are of every kind, and files that are none."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(COUNT):
        # Of "ab" and "ab.d" the one sorts first as a folder, the other as text.
        path = folder / ("", "ab", "ab/deep er", "ab.d")[number % 4] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(test_images.images[number]).save(path)
    for name in ("a b+c&d=é ü.png", "100%.png", "%41?#[1].png", "photo@home:1.png"):
        shutil.copy(folder / "00.png", folder / name)
    (folder / "damaged.jpg").write_bytes(pictures.truncated_jpeg())
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png.gz").write_bytes(b"no picture, and packed by nobody")
    (folder / "ab" / ".hidden").mkdir()
    for name in (".hidden.png", "ab/.hidden/x.png"):
        shutil.copy(folder / "00.png", folder / name)
    return folder


@pytest.fixture(scope="module", params=["s3", "gs"])
def store(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ObjectStore]:
    """A store whose bucket holds that folder."""
    log = tmp_path_factory.mktemp("store") / "log"
    with {"s3": s3, "gs": gcs}[request.param](log) as store:
        for path in folder.rglob("*"):
            if path.is_file():
                store.put(str(path.relative_to(folder)), path.read_bytes())
        store.put_folder("ab")
        store.put_folder("nothing in it")
        yield store


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> FlaskCliRunner:
    instance = tmp_path_factory.mktemp("instance")
    return make_site(
        instance, MODELS_FOLDER=SHIPPED_MODELS, DATA_FOLDER=SHIPPED_DATA, DEFAULT_MODEL=MODEL
    ).test_cli_runner()


@pytest.fixture(scope="module")
def on_disk(cli: FlaskCliRunner, folder: Path) -> list[dict[str, Any]]:
    """The rows of the folder."""
    output = folder.parent / "on-disk.jsonl"
    done = cli.invoke(args=["classify", str(folder), "--output", str(output)])
    assert done.exit_code == 0, done.output
    return rows_of(output)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def assert_same(rows: list[dict[str, Any]], expected: list[dict[str, Any]], folder: Path) -> None:
    """Check that what a store holds got the rows of the folder, in its order."""
    places = [Address.parse(row["file"]) for row in rows]
    names = [f"{place.bucket}{place.path}" for place in places]
    assert names == [f"{BUCKET}/{Path(row['file']).relative_to(folder)}" for row in expected]
    for row, other in zip(rows, expected, strict=True):
        assert row.keys() == other.keys()
        for name in row.keys() - {"file"}:
            if name in ("probability", "novelty", "probabilities"):
                assert row[name] == pytest.approx(other[name], abs=1e-4)
            else:
                assert row[name] == other[name]


def assert_secret(store: ObjectStore, *texts: str) -> None:
    """Check that no credentials stand in `texts`."""
    for text in texts:
        assert not store.secret or (store.secret not in text and store.user not in text)


def assert_goes_on(cli: FlaskCliRunner, command: list[str], relay: Relay, before: int) -> None:
    """Check that the same command does the rest, once the store answers again."""
    relay.mend()
    done = cli.invoke(args=command)
    relay.close()
    assert done.exit_code == 0, done.output
    assert f"{before} pictures are done already" in done.output


def test_a_bucket_gives_the_rows_of_the_same_folder(
    store: ObjectStore,
    cli: FlaskCliRunner,
    folder: Path,
    on_disk: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "rows.jsonl"
    done = cli.invoke(args=["classify", store.address(), "--output", str(output)])
    assert done.exit_code == 0, done.output
    assert "3 not opened" in done.output
    rows = rows_of(output)
    assert_same(rows, on_disk, folder)
    assert_secret(store, done.output, output.read_text())

    # What rows call them are addresses: a list of them, and the credentials, give the rows again.
    again = tmp_path / "again.jsonl"
    names = [row["file"] for row in rows[1::2]]
    if store.scheme == "s3":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", store.user)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", store.secret)
    else:
        names = [name.replace("gs://", "gs://anonymous@") for name in names]
    listed = "\n".join(names)
    done = cli.invoke(args=["classify", "-", "--output", str(again)], input=listed)
    assert done.exit_code == 0, done.output
    assert_same(rows_of(again), on_disk[1::2], folder)


def test_settings_of_the_environment_lead_to_a_store(
    store: ObjectStore,
    cli: FlaskCliRunner,
    folder: Path,
    on_disk: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if store.scheme == "s3":
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{store.host}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", store.user)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", store.secret)
    else:
        monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", f"http://{store.host}")
    address = f"s3://{BUCKET}/ab" if store.scheme == "s3" else f"gs://anonymous@{BUCKET}/ab/"
    output = tmp_path / "rows.jsonl"
    done = cli.invoke(args=["classify", address, "--output", str(output)])
    assert done.exit_code == 0, done.output
    rows = rows_of(output)
    assert rows[0]["file"] == f"{store.scheme}://{BUCKET}/ab/01.png"
    below = [row for row in on_disk if row["file"].startswith(f"{folder}/ab/")]
    assert_same(rows, below, folder)


def test_a_run_that_is_killed_goes_on_without_losing_or_repeating_a_row(
    store: ObjectStore,
    cli: FlaskCliRunner,
    folder: Path,
    on_disk: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    output, kept = tmp_path / "rows.jsonl", tmp_path / "rows.jsonl.rows"
    relay = Relay(store.host, 40, silent=True)
    command = ["classify", store.address(host=relay.host), "--output", str(output), "--batch", "2"]
    running = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "wsgi", *command, "--model", MODEL],
        cwd=PROJECT,
        env=os.environ | {"TENCLASSES_MODELS_FOLDER": str(SHIPPED_MODELS)},
        stderr=subprocess.DEVNULL,
    )
    try:
        # The store says nothing now, so the run is not at its end.
        while not (relay.cut.is_set() and kept.exists() and kept.read_bytes().count(b"\n") > 3):
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
    finally:
        running.kill()
        running.wait()
    assert not output.exists(), "nothing half-written is taken for whole"
    assert_secret(store, kept.read_text())
    before = kept.read_bytes().count(b"\n") - 1
    assert_goes_on(cli, command, relay, before)
    assert_same(rows_of(output), on_disk, folder)


def test_a_store_that_dies_in_the_middle_ends_a_run_that_can_be_gone_on_with(
    store: ObjectStore,
    cli: FlaskCliRunner,
    folder: Path,
    on_disk: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    output, kept = tmp_path / "rows.jsonl", tmp_path / "rows.jsonl.rows"
    relay = Relay(store.host, 40)
    command = ["classify", store.address(host=relay.host), "--output", str(output), "--batch", "2"]
    started = time.monotonic()
    done = cli.invoke(args=command)
    took = time.monotonic() - started
    assert relay.cut.is_set() and done.exit_code == 1, done.output
    assert f"{store.scheme}://{BUCKET}?" in done.output
    assert "cannot be read any more" in done.output and "give the same command again" in done.output
    assert "Traceback" not in done.output and took < 90
    lines = kept.read_text().splitlines()[1:]
    assert lines and not output.exists()
    assert "unreadable-file" not in kept.read_text(), "no picture is blamed for it"
    assert_secret(store, done.output, kept.read_text())
    assert_goes_on(cli, command, relay, len(lines))
    assert_same(rows_of(output), on_disk, folder)


def test_what_keeps_a_store_from_being_read_is_told(
    store: ObjectStore, cli: FlaskCliRunner, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"127.0.0.1:{free.getsockname()[1]}"
    wrong = {
        store.address(bucket="no-such-bucket"): "There is nothing at|does not exist",
        store.address("/no/such"): "There is nothing at",
        store.address(host=nobody): "cannot be read .*Could not connect",
    }
    if store.scheme == "s3":
        wrong |= {
            store.address(user="AKIANOBODYATALL00000"): "InvalidAccessKeyId|INVALID_ACCESS_KEY_ID",
            store.address(secret="wro/ng+secret" * 3): "SIGNATURE_DOES_NOT_MATCH|SignatureDoes",
            store.address("/ab", secret="wro/ng+secret" * 3): "ACCESS_DENIED|SignatureDoes",
        }
    output = tmp_path / "rows.jsonl"
    for address, words in wrong.items():
        started = time.monotonic()
        done = cli.invoke(args=["classify", address, "--output", str(output)])
        took = time.monotonic() - started
        print(f"{took:.1f} s", done.output)
        assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
        assert re.search(words, done.output), done.output
        assert took < 60
        assert_secret(store, done.output)
        assert "wro/ng" not in done.output and not list(tmp_path.iterdir())
