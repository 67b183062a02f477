"""Several processes each compute a share of what frozen layers say, and all have what one computes.

Threads stand in for the processes here; `test_together` has real ones.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray

from model_training.datasets.augmentation import Transform
from model_training.networks.frozen import features
from model_training.networks.frozen.features import Stopped, extract
from model_training.networks.frozen.pieces import FullDisk, Pieces, kept

PIECE = 40
IMAGES = np.random.default_rng(0).integers(0, 256, (130, 12, 12, 3), dtype=np.uint8)
VIEWS = (Transform(), Transform(flip=True))


class Frozen:
    """A network that tells how many images it was given."""

    def __init__(self) -> None:
        keras.utils.set_random_seed(3)
        inputs = keras.Input((12, 12, 3), name="images")
        outputs = layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
        self._network = keras.Model(inputs, outputs)
        self.given = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def predict_on_batch(self, images: NDArray[np.uint8]) -> Any:
        self.given += len(images)
        return self._network(images.astype(np.float32))


class Meeting:
    """Where threads leave what they tell each other."""

    def __init__(self, processes: int) -> None:
        self.said: list[Any] = [None] * processes
        self.barrier = threading.Barrier(processes, timeout=60)

    def exchange(self, rank: int, value: Any) -> list[Any]:
        self.said[rank] = value
        self.barrier.wait()
        heard = [*self.said]
        self.barrier.wait()
        return heard


@dataclass
class Thread:
    """One of several, as `Team` is where they are processes."""

    meeting: Meeting
    rank: int

    @property
    def processes(self) -> int:
        return len(self.meeting.said)

    def gather(self, values: NDArray[Any]) -> NDArray[Any]:
        return np.stack(self.meeting.exchange(self.rank, values))

    def any(self, flag: bool) -> bool:
        return any(self.meeting.exchange(self.rank, flag))

    def told(self, data: bytes | None, source: int = 0) -> bytes:
        heard: bytes = self.meeting.exchange(self.rank, data)[source]
        return heard


def in_shares(
    folders: list[Path], stop: Callable[[int], bool] = lambda given: False
) -> tuple[list[Any], list[int]]:
    """Compute in a thread for each of `folders`; return what each gives, or raises, and how many
    images went through the network of each."""
    meeting = Meeting(len(folders))
    networks = [Frozen() for _ in folders]

    def one(rank: int) -> Any:
        network: Any = networks[rank]
        try:
            return extract(
                [network],
                IMAGES,
                VIEWS,
                folders[rank],
                stop=lambda: stop(network.given),
                team=Thread(meeting, rank),
            )
        except (Stopped, FullDisk, OSError) as error:
            return error
        except BaseException:
            meeting.barrier.abort()
            raise

    with ThreadPoolExecutor(len(folders)) as pool:
        found = [*pool.map(one, range(len(folders)))]
    return found, [network.given for network in networks]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "batch_within_memory", lambda _network: PIECE)


@pytest.fixture
def by_one(tmp_path: Path) -> list[NDArray[np.float16]]:
    network: Any = Frozen()
    return [*map(np.array, extract([network], IMAGES, VIEWS, tmp_path / "one").views)]


def assert_all_have(found: list[Any], by_one: list[NDArray[np.float16]]) -> None:
    for one in found:
        assert all(np.array_equal(a, b) for a, b in zip(one.views, by_one, strict=True))


@pytest.mark.parametrize("shared", [True, False], ids=["one-folder", "a-folder-each"])
def test_each_computes_a_share_and_all_have_what_one_computes(
    shared: bool, tmp_path: Path, by_one: list[NDArray[np.float16]]
) -> None:
    folders = [tmp_path / ("shared" if shared else f"of-{rank}") for rank in range(3)]
    found, given = in_shares(folders)
    assert_all_have(found, by_one)
    assert given == [100, 80, 80], "of both views of 130 images, 40 at a time"
    for folder in folders:
        assert {path.suffix for path in kept(folder)} <= {".npy", ".seconds", ".lock"}
    found, given = in_shares(folders)
    assert_all_have(found, by_one)
    assert given == [0, 0, 0], "what is kept is not computed again"


def test_what_was_stopped_is_gone_on_with_by_any_number(
    tmp_path: Path, by_one: list[NDArray[np.float16]]
) -> None:
    folders = [tmp_path / "shared"] * 2
    stopped, given = in_shares(folders, stop=lambda given: given >= PIECE)
    assert [type(one) for one in stopped] == [Stopped, Stopped] and given == [40, 40]
    (stopped_again,), given = in_shares(folders[:1], stop=lambda given: given >= PIECE)
    assert isinstance(stopped_again, Stopped) and given == [40]
    found, given = in_shares([*folders, tmp_path / "shared"])
    assert_all_have(found, by_one)
    assert sum(given) == 2 * 130 - 120


def test_a_machine_that_lacks_features_is_told_those_that_another_has(
    tmp_path: Path, by_one: list[NDArray[np.float16]]
) -> None:
    found, given = in_shares([tmp_path / "new", tmp_path / "one"])
    assert_all_have(found, by_one)
    assert given == [0, 0]


def test_a_full_disk_ends_all_and_says_whose_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Pieces.append

    def full(pieces: Pieces, *arguments: Any) -> None:
        if pieces.path.parent.name == "small":
            raise FullDisk("The disk is full.")
        real(pieces, *arguments)

    monkeypatch.setattr(Pieces, "append", full)
    (large, small), _given = in_shares([tmp_path / "large", tmp_path / "small"])
    assert isinstance(large, FullDisk) and isinstance(small, FullDisk)
    assert "Rank 1 cannot keep" in str(large) and "The disk is full" in str(small)


def test_a_full_disk_says_so_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.touch

    def full(path: Path, *arguments: Any) -> None:
        if path.name.endswith("-1.rank"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, *arguments)

    monkeypatch.setattr(Path, "touch", full)
    (fine, small), given = in_shares([tmp_path / "fine", tmp_path / "small"])
    assert isinstance(fine, FullDisk) and "Rank 1 cannot keep" in str(fine)
    assert isinstance(small, FullDisk) and "The disk is full: nothing fits into" in str(small)
    assert given == [0, 0] and not list(tmp_path.glob("*/*.rank"))


def test_a_folder_that_cannot_be_made_ends_all(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (fine, broken), given = in_shares([tmp_path / "fine", tmp_path / "file" / "features"])
    assert isinstance(fine, FullDisk) and "Rank 1 cannot keep" in str(fine)
    assert isinstance(broken, OSError) and given == [0, 0]
