"""A training in several processes gives what one gives, and ends on all when one is gone."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskCliRunner

from model_training.training.together.joining import join
from model_training.training.together.team import ALONE, Team, TeamError
from tests.conftest import PROJECT

PATIENCE = 400  # seconds


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def trained(folder: Path, *ranks: list[str]) -> list[tuple[int, str]]:
    """Train in a process for each of `ranks`, its words; return the status and errors of each."""
    address = free_address()
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.one_of_several"]
            + [str(len(ranks)), str(rank), address, str(folder), *words],
            cwd=PROJECT,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, words in enumerate(ranks)
    ]
    try:
        ended = [process.communicate(timeout=PATIENCE)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(one.returncode, errors) for one, errors in zip(processes, ended, strict=True)]


def weights(folder: Path, processes: int, rank: int = 0) -> list[np.ndarray]:
    with np.load(folder / f"weights-{processes}-{rank}.npz") as stored:
        return [stored[name] for name in stored.files]


def assert_alike(one: list[np.ndarray], other: list[np.ndarray], most: float) -> None:
    assert max(np.abs(a - b).max() for a, b in zip(one, other, strict=True)) <= most


@pytest.fixture(scope="module")
def by_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    ((status, errors),) = trained(folder, [])
    assert status == 0, errors
    return folder


@pytest.mark.release
def test_two_processes_and_one_give_the_same_network(by_one: Path, tmp_path: Path) -> None:
    for status, errors in trained(tmp_path, [], []):
        assert status == 0, errors
    assert_alike(weights(tmp_path, 2, 0), weights(tmp_path, 2, 1), 0)
    assert_alike(weights(tmp_path, 2), weights(by_one, 1), 1e-4)
    losses = np.load(tmp_path / "losses-2-0.npy")
    assert losses == pytest.approx(np.load(by_one / "losses-1-0.npy"), abs=1e-4)
    assert not (tmp_path / "state-1").exists(), "rank 0 alone writes"


@pytest.mark.release
def test_a_process_that_dies_ends_all_and_any_number_goes_on(by_one: Path, tmp_path: Path) -> None:
    (status, errors), (dead, _) = trained(tmp_path, [], ["die"])
    assert dead == 9 and status == 1, errors
    assert "no longer answers" in errors and "--resume" in errors
    assert "Traceback" not in errors
    # The state is that of the first epoch, and one process is enough to go on.
    ((status, errors),) = trained(tmp_path, ["resume"])
    assert status == 0, errors
    assert_alike(weights(tmp_path, 1), weights(by_one, 1), 1e-4)


@pytest.mark.release
def test_above_frozen_layers_two_processes_have_what_one_computes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    ((status, errors),) = trained(one, ["frozen"])
    assert status == 0, errors
    for status, errors in trained(two, ["frozen"], ["frozen"]):
        assert status == 0, errors
    assert_alike(weights(two, 2, 1), weights(one, 1), 1e-4)
    assert kept_features(two / "features") == kept_features(one / "features")
    # A machine that comes new is told what another has kept.
    shutil.rmtree(two / "features-1")
    for status, errors in trained(two, ["frozen"], ["frozen"]):
        assert status == 0, errors
    assert kept_features(two / "features-1") == kept_features(one / "features")


def kept_features(folder: Path) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in folder.glob("*.npy")}
    assert len(found) == 3, "two views of what is learned from, and one of the validation images"
    return found


@pytest.mark.release
def test_processes_with_other_images_do_not_begin(tmp_path: Path) -> None:
    for status, errors in trained(tmp_path, [], ["other"]):
        assert status == 1
        assert "Rank 1 has other images than rank 0" in errors


def test_a_coordinator_that_nobody_is_at_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(TeamError, match="Nobody answered at 127.0.0.1:.*firewall"):
        join(Team(2, 1), free_address(), seconds=0.3)


def test_several_processes_need_jax() -> None:
    with pytest.raises(TeamError, match="KERAS_BACKEND=jax"):
        join(Team(2, 0), free_address())


def test_a_batch_is_divided_whole_and_evenly() -> None:
    parts = [Team(4, rank).share(12) for rank in range(4)]
    assert [image for part in parts for image in range(12)[part]] == [*range(12)]
    assert range(7)[ALONE.share(7)] == range(7)
    with pytest.raises(TeamError, match="A batch of 10 images cannot be divided among 4"):
        Team(4, 0).check_batch(10)


WRONG = {
    "how many are there": ["--rank", "1"],
    "Which of the 2 processes is this": ["--processes", "2"],
    "--rank must be from 0 to 1": ["--processes", "2", "--rank", "2"],
    "--coordinator HOST:PORT": ["--processes", "2", "--rank", "1"],
    "HOST:PORT, the same": ["--processes", "2", "--rank", "1", "--coordinator", "nowhere"],
    "--coordinator needs --processes": ["--coordinator", "host:1"],
}


@pytest.mark.parametrize(("words", "options"), WRONG.items())
def test_options_that_do_not_go_together_are_explained(
    words: str, options: list[str], runner: FlaskCliRunner
) -> None:
    done = runner.invoke(args=["train", "custom-cnn", *options])
    assert done.exit_code == 2 and words in " ".join(done.output.split())


def test_slurm_and_kubernetes_say_which_process_this_is(
    runner: FlaskCliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "7")
    done = runner.invoke(args=["train", "custom-cnn", "--coordinator", "host:1"])
    assert "--rank must be from 0 to 3 with 4 processes, not 7" in done.output
    monkeypatch.delenv("SLURM_PROCID")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "none")
    done = runner.invoke(args=["train", "custom-cnn", "--coordinator", "host:1"])
    assert "which is no number" in done.output
