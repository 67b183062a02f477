"""The environment of a run: what is quicker here is used, and the card tells."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import keras
import pytest

from model_training.networks.importing import ONEDNN_SWITCH, compute_with_onednn
from model_training.training import environment
from model_training.training.environment import usable_precision

OLD = "model name\t: AMD EPYC\nflags\t\t: fpu sse2 avx avx2 fma\n"
NO_BFLOAT16 = "model name\t: Intel Xeon\nflags\t\t: fpu avx2 avx512f avx512_vnni fma\n"
NEW = "model name\t: Intel Xeon\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16 i8mm\n"
OLD_ARM = "processor\t: 0\nFeatures\t: fp asimd\n"


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(environment, "_CPUINFO", tmp_path / "cpuinfo")
    return tmp_path / "cpuinfo"


@pytest.mark.parametrize(
    ("told", "precision"),
    [
        (OLD, "float32"),
        (NO_BFLOAT16, "float32"),
        (NEW, "mixed_bfloat16"),
        (ARM, "mixed_bfloat16"),
        (OLD_ARM, "float32"),
        ("nothing of flags", "mixed_bfloat16"),
    ],
)
def test_a_processor_that_only_emulates_bfloat16_is_spared_it(
    told: str, precision: str, cpuinfo: Path
) -> None:
    cpuinfo.write_text(told)
    assert usable_precision("mixed_bfloat16") == precision
    assert usable_precision("float32") == "float32"


def test_where_nothing_is_known_of_the_processor_the_recipe_decides(cpuinfo: Path) -> None:
    assert not cpuinfo.exists()
    assert usable_precision("mixed_bfloat16") == "mixed_bfloat16"


def test_a_graphics_card_and_another_backend_have_ways_of_their_own(
    cpuinfo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo.write_text(OLD)
    with monkeypatch.context() as patch:
        patch.setattr(keras.distribution, "list_devices", lambda _kind: ["gpu:0"])
        assert usable_precision("mixed_bfloat16") == "mixed_bfloat16"
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert usable_precision("mixed_bfloat16") == "mixed_bfloat16"


@pytest.mark.parametrize(("said", "becomes"), [(None, "1"), ("0", "0"), ("1", "1")])
def test_a_training_computes_with_onednn_unless_the_environment_says_otherwise(
    said: str | None, becomes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Set first in either case, so that it is put back at the end.
    monkeypatch.setenv(ONEDNN_SWITCH, said or "")
    if said is None:
        del os.environ[ONEDNN_SWITCH]
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    compute_with_onednn()
    assert os.environ[ONEDNN_SWITCH] == becomes
    assert environment.versions().get("onednn") == ("on" if becomes == "1" else None)


def test_a_tensorflow_that_is_loaded_already_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(ONEDNN_SWITCH, raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    compute_with_onednn()
    assert ONEDNN_SWITCH not in os.environ
