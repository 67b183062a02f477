"""`flask classify --ray`: the rows of one process, whatever becomes of the cluster's nodes.

`make test-ray` runs what needs a cluster; it starts one of two nodes on this machine.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from model_training.datasets.dataset import ImageSet
from tests.conftest import PROJECT
from tests.object_stores import BIN, BUCKET, ObjectStore, Relay, gcs, s3
from tests.ray_cluster import Cluster, two_nodes

pytestmark = [
    pytest.mark.release,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed"),
]
COUNT = 4000
IN_ARCHIVE = 100
CLASSIFY = (sys.executable, "-m", "flask", "--app", "wsgi", "classify", "--model", "custom-cnn")


@pytest.fixture(scope="module")
def folder(test_images: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in a folder and an archive, and two files that are none."""
    folder = tmp_path_factory.mktemp("many")
    for number, image in enumerate(test_images.images[:COUNT]):
        Image.fromarray(image).save(folder / f"{number:05}.png")
    with tarfile.open(folder / "packed.tar.gz", "w:gz") as archive:
        for number in range(IN_ARCHIVE):
            archive.add(folder / f"{number:05}.png", f"inside/{number:05}.png")
    (folder / "text.jpg").write_bytes(b"no picture")
    (folder / "empty.png").write_bytes(b"")
    return folder


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with two_nodes(tmp_path / "nodes.log") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def by_one_process(folder: Path) -> list[dict[str, Any]]:
    output = folder.parent / "by-one.jsonl"
    done = subprocess.run(
        [*CLASSIFY, str(folder), "--output", str(output)], cwd=PROJECT, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return rows_of(output)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def begun(cluster: Cluster, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*CLASSIFY, *arguments, "--ray", cluster.address],
        cwd=PROJECT,
        env=cluster.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finished(running: subprocess.Popen[bytes]) -> str:
    said, errors = (text.decode() for text in running.communicate(timeout=600))
    assert running.returncode == 0, errors
    assert "Traceback" not in errors
    return said + errors


def wait_for_rows(running: subprocess.Popen[bytes], journal: Path, rows: int = 1) -> None:
    """Wait until so many rows of a run are on the disk."""
    while not (journal.exists() and journal.read_bytes().count(b"\n") > rows):
        assert running.poll() is None, running.communicate()[1].decode()
        time.sleep(0.02)


def assert_same(rows: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Check that two runs said the same, but for the last digits, which threads decide."""
    assert [row["file"] for row in rows] == [row["file"] for row in expected]
    for row, other in zip(rows, expected, strict=True):
        for name in row.keys() | other.keys():
            if name in ("probability", "novelty", "probabilities"):
                assert row[name] == pytest.approx(other[name], abs=1e-4)
            else:
                assert row[name] == other[name]


def test_two_nodes_say_what_one_process_says(
    cluster: Cluster, folder: Path, by_one_process: list[dict[str, Any]], tmp_path: Path
) -> None:
    output = tmp_path / "rows.jsonl"
    said = finished(begun(cluster, str(folder), "--output", str(output)))
    assert f"{COUNT + IN_ARCHIVE + 2:,} pictures" in said and "2 not opened" in said
    assert_same(rows_of(output), by_one_process)
    assert not output.with_name("rows.jsonl.rows").exists()

    # Each node reads for itself what all can read.
    few = [row for row in by_one_process if "packed.tar.gz" not in row["file"]][-300:]
    addresses = "".join(f"file://{row['file']}\n" for row in few) + f"file://{folder}/no-such.png\n"
    stored = tmp_path / "stored.jsonl"
    listed = begun_with_list(cluster, addresses, stored)
    assert listed.returncode == 1 and b"There is nothing at file:///" in listed.stderr
    listed = begun_with_list(cluster, addresses.rpartition("file://")[0], stored)
    assert listed.returncode == 0, listed.stderr.decode()
    assert_same(
        [row | {"file": row["file"].removeprefix("file://")} for row in rows_of(stored)], few
    )


def begun_with_list(
    cluster: Cluster, addresses: str, output: Path
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*CLASSIFY, "-", "--output", str(output), "--ray", cluster.address],
        cwd=PROJECT,
        env=cluster.environment,
        input=addresses.encode(),
        capture_output=True,
        timeout=600,
    )


def test_a_node_that_is_killed_half_way_takes_no_row_with_it(
    cluster: Cluster, folder: Path, by_one_process: list[dict[str, Any]], tmp_path: Path
) -> None:
    output = tmp_path / "rows.jsonl"
    running = begun(cluster, str(folder), "--output", str(output))
    try:
        wait_for_rows(running, tmp_path / "rows.jsonl.rows", COUNT // 2)
        while not cluster.other_works():
            assert running.poll() is None, "the other node did nothing"
        cluster.kill_other()
        assert running.poll() is None
        finished(running)
    finally:
        running.kill()
    assert_same(rows_of(output), by_one_process)


def test_a_command_that_is_killed_goes_on_where_it_was(
    cluster: Cluster, folder: Path, by_one_process: list[dict[str, Any]], tmp_path: Path
) -> None:
    output = tmp_path / "rows.jsonl"
    running = begun(cluster, str(folder), "--output", str(output))
    try:
        wait_for_rows(running, tmp_path / "rows.jsonl.rows")
        os.kill(running.pid, signal.SIGKILL)
    finally:
        running.kill()
        running.communicate()
    assert not output.exists(), "nothing half-written is taken for whole"
    assert "are done already" in finished(begun(cluster, str(folder), "--output", str(output)))
    assert_same(rows_of(output), by_one_process)


@pytest.mark.skipif(not BIN.exists(), reason="`make test-ray` installs the object stores")
def test_the_nodes_read_from_object_stores_which_may_die(
    cluster: Cluster, test_images: ImageSet, tmp_path: Path
) -> None:
    folder, here = tmp_path / "few", tmp_path / "here.jsonl"
    folder.mkdir()
    for number, image in enumerate(test_images.images[:60]):
        Image.fromarray(image).save(folder / f"ü {number:05}.png")
    (folder / "text.jpg").write_bytes(b"no picture")
    command = [*CLASSIFY, str(folder), "--output", str(here)]
    subprocess.run(command, cwd=PROJECT, capture_output=True, check=True)
    expected = rows_of(here)
    with s3(tmp_path / "s3.log") as amazon, gcs(tmp_path / "gcs.log") as google:
        for store in (amazon, google):
            for path in folder.iterdir():
                store.put(path.name, path.read_bytes())
        output = tmp_path / "rows.jsonl"
        places = (amazon.address(), google.address())
        said = finished(begun(cluster, *places, "--output", str(output)))
        assert "122 pictures" in said and "2 not opened" in said
        assert_same(
            rows_of(output),
            [
                row | {"file": f"{store.scheme}://{BUCKET}/{name}?{store.query()}"}
                for store in (amazon, google)
                for row, name in ((row, Path(row["file"]).name) for row in expected)
            ],
        )
        assert_secret(amazon, cluster, said, output)
        for store in (amazon, google):
            _dies_in_the_middle(store, cluster, tmp_path / f"{store.scheme}.jsonl")


def _dies_in_the_middle(store: ObjectStore, cluster: Cluster, output: Path) -> None:
    relay = Relay(store.host, 40)
    try:
        running = begun(cluster, store.address(host=relay.host), "--output", str(output))
        errors = running.communicate(timeout=300)[1].decode()
        assert relay.cut.is_set() and running.returncode == 1, errors
        assert "cannot be read any more" in errors and "give the same command again" in errors
        assert "Traceback" not in errors and not output.exists()
        assert_secret(store, cluster, errors, output.with_name(f"{output.name}.rows"))
        relay.mend()
        finished(begun(cluster, store.address(host=relay.host), "--output", str(output)))
        assert len({row["file"] for row in rows_of(output)}) == 61
    finally:
        relay.close()


def assert_secret(store: ObjectStore, cluster: Cluster, said: str, output: Path) -> None:
    """Check that the credentials of `store` stand nowhere: neither in the rows nor in a log."""
    logs = [path for path in cluster.folder.rglob("*") if path.is_file()]
    assert logs
    texts = [said.encode(), output.read_bytes(), *(path.read_bytes() for path in logs)]
    assert not store.secret or not any(store.secret.encode() in text for text in texts)


def test_what_goes_wrong_on_a_cluster_is_a_sentence(cluster: Cluster, tmp_path: Path) -> None:
    troubles = subprocess.run(
        [sys.executable, "-m", "tests.ray_troubles", cluster.address],
        cwd=PROJECT,
        env=cluster.environment,
        capture_output=True,
        timeout=600,
    )
    assert troubles.returncode == 0, troubles.stderr.decode()
    lacking, damaged, half = troubles.stdout.decode().splitlines()
    assert "lacks the Python package tensorflow" in lacking
    assert "model.keras is damaged" in damaged
    assert "half.tar is not a whole archive" in half

    cluster.environment["RAY_AUTH_TOKEN"] = "0" * 32
    (tmp_path / "a.png").write_bytes(b"")
    running = begun(cluster, str(tmp_path), "--output", str(tmp_path / "rows.csv"))
    errors = running.communicate(timeout=600)[1].decode()
    assert running.returncode == 1 and "RAY_AUTH_TOKEN" in errors
    assert "Traceback" not in errors and not (tmp_path / "rows.csv").exists()
