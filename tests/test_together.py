"""A training in several processes gives what one gives, and ends on all when one is gone."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskCliRunner

from model_training.training.together.joining import join
from model_training.training.together.meeting import _GREETING, meet
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
def test_a_process_that_computes_when_rank_0_dies_ends_with_a_sentence(tmp_path: Path) -> None:
    (dead, words), (ended, errors) = trained(tmp_path, ["die"], ["slow"])
    assert dead == 9 and "Rank 0 of this training was killed" in words
    assert ended == -signal.SIGABRT, "JAX ends it, and asks nobody"
    assert "Rank 1 of this training was killed, or ended by JAX" in errors
    assert errors.endswith("start all processes again with --resume, as many as you like.\n")


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "So be it.\n"),
        ("os.abort()", "So be it.\n"),
        ("sys.exit(3)", ""),
        ("take_back(); os._exit(3)", ""),
        ("raise KeyboardInterrupt", "KeyboardInterrupt\n"),
    ],
)
def test_a_process_has_last_words_only_where_it_cannot_say_any_itself(end: str, said: str) -> None:
    code = (
        "import os, signal, sys\n"
        "from model_training.training.together.last_words import leave_last_words, take_back\n"
        "leave_last_words('So be it.')\n"
        f"{end}\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    assert ended.returncode != 0
    assert ended.stderr.splitlines(keepends=True)[-1:] == ([said] if said else [])


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
        assert "was killed" not in errors


@pytest.mark.release
def test_processes_of_which_some_go_on_do_not_begin(by_one: Path, tmp_path: Path) -> None:
    for status, errors in trained(tmp_path, [], ["resume"]):
        assert status == 1
        assert "Rank 1 has other choice of --resume than rank 0" in errors


@pytest.mark.release
def test_a_process_that_cannot_begin_ends_all_with_a_sentence_on_each(tmp_path: Path) -> None:
    (status, errors), (unable, why) = trained(tmp_path, [], ["unable"])
    assert (status, unable) == (1, 1)
    assert "Rank 1 cannot begin; why, it says itself." in errors
    assert "This one has no images." in why


def test_a_coordinator_that_nobody_is_at_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(TeamError, match="Nobody answered at 127.0.0.1:.*firewall"):
        join(Team(2, 1), free_address(), seconds=0.3)


def told_by_all(address: str, *team: Team, seconds: float = 20) -> list[str]:
    """Let the processes of `team` meet; return what each is told, nothing where they begin."""

    def told(one: Team) -> str:
        try:
            meet(one, address, seconds)
        except TeamError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as threads:
        return [*threads.map(told, team)]


def test_processes_begin_when_all_have_come_whatever_else_knocks() -> None:
    address = free_address()
    host, port = address.split(":")
    with ThreadPoolExecutor() as threads:
        leads = threads.submit(told_by_all, address, Team(3, 0))
        silent = connected(host, int(port))
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100_000, b"", b"1 of 3\n"):
            with connected(host, int(port)) as stranger:
                assert stranger.recv(100).startswith(b"model_training")
                stranger.sendall(words)
        assert told_by_all(address, Team(3, 1), Team(3, 2)) == ["", ""]
        assert leads.result() == [""]
        silent.close()
    with socket.create_server((host, int(port))):
        pass  # It is free for JAX.


def connected(host: str, port: int) -> socket.socket:
    """A connection to a process that may only be beginning to listen."""
    for _attempt in range(100):
        try:
            return socket.create_connection((host, port), timeout=10)
        except OSError:
            time.sleep(0.05)
    raise AssertionError("nobody listens")


def test_rank_0_says_who_did_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    address = free_address()
    with pytest.raises(TeamError, match=f"Rank 1, 2 of 3 processes did not come to {address} with"):
        join(Team(3, 0), address, seconds=0.5)


def test_all_are_told_that_one_was_started_otherwise() -> None:
    for said in told_by_all(free_address(), Team(3, 0), Team(2, 1)):
        assert "Rank 1 was started with --processes 2, and rank 0 with 3. Check that" in said
    for said in told_by_all(free_address(), Team(3, 0), Team(3, 1), Team(3, 1)):
        assert "Two processes were started as rank 1. Check that each was started with its" in said


def test_an_address_that_is_not_that_of_rank_0_is_named() -> None:
    port = free_address().split(":")[1]
    for address in (f"nowhere.invalid:{port}", f"no..name:{port}"):
        said = told_by_all(address, Team(2, 0), Team(2, 1), seconds=0.5)
        assert all(f"Nobody answered at {address} for" in one for one in said)


def test_another_program_at_the_port_is_named_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        (said,) = told_by_all(address, Team(2, 0))
        assert "Rank 0 cannot listen at port" in said and "another port" in said
        (said,) = told_by_all(address, Team(2, 1), seconds=0.5)
        assert f"What answers at {address} is another program" in said, "although it is silent"


def test_a_rank_0_that_ends_while_others_wait_ends_them() -> None:
    with socket.create_server(("127.0.0.1", 0)) as rank_0, ThreadPoolExecutor() as threads:
        address = f"127.0.0.1:{rank_0.getsockname()[1]}"
        waits = threads.submit(told_by_all, address, Team(2, 1))
        connection, _ = rank_0.accept()
        with connection:
            connection.sendall(_GREETING)
            assert connection.recv(100) == b"1 of 2\n"
        assert f"Rank 0 ended at {address} before all processes had come" in waits.result()[0]


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
    "a port from 1 to 65535": [*"--processes 2 --rank 1 --coordinator host:99999".split()],
    "--coordinator needs --processes": ["--coordinator", "host:1"],
    "--rank must be 0 with one process, not 1": ["--processes", "1", "--rank", "1"],
}


@pytest.mark.parametrize(("words", "options"), WRONG.items())
def test_options_that_do_not_go_together_are_explained(
    words: str, options: list[str], runner: FlaskCliRunner
) -> None:
    done = runner.invoke(args=["train", "custom-cnn", *options])
    assert done.exit_code == 2 and words in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("words", "processes", "rank", "coordinator"),
    [
        ("--rank must be from 0 to 1 with 2 processes, not -1", "2", "-1", "host:1"),
        ("--processes must be at least 1, not -3", "-3", "-5", "host:1"),
        ("Where do the processes meet? --coordinator", "2", "1", ""),
        ("--rank needs --processes", "", "1", ""),
        ("--rank needs --processes", "", "0", ""),
    ],
)
def test_the_environment_is_checked_as_options_are(
    words: str,
    processes: str,
    rank: str,
    coordinator: str,
    runner: FlaskCliRunner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TENCLASSES_PROCESSES", processes)
    monkeypatch.setenv("TENCLASSES_RANK", rank)
    monkeypatch.setenv("TENCLASSES_COORDINATOR", coordinator)
    done = runner.invoke(args=["train", "custom-cnn"])
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
