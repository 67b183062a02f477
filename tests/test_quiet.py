"""TensorFlow keeps its log lines to itself, and real errors are still seen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

CHATTER = """import os
os.write(2, b'''WARNING: All log messages before absl::InitializeLog() is called are written
I0000 00:00:1795261706.159036   20413 cudart_stub.cc:31] Could not find cuda drivers.
E0000 00:00:1795261713.400360   20413 cuda_platform.cc:52] failed call to cuInit
2026-11-21 11:26:00.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] This binary
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow.
a line of somebody else
''')
"""
IMPORTING = """
from model_training.networks.importing import silence_tensorflow
silence_tensorflow()
silence_tensorflow()
import os, sys, tensorflow
os.write(2, b'afterwards\\n')
print(tensorflow.__name__, os.environ['TF_CPP_MIN_LOG_LEVEL'])
"""


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A package called tensorflow that writes what the real one does."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text(CHATTER)
    return tmp_path


def run(program: str, path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    paths = {"PYTHONPATH": os.pathsep.join([str(path), str(PROJECT)])}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=inherited | paths | environment,
        capture_output=True,
        text=True,
    )


def test_an_import_is_quiet_but_for_what_others_say(stand_in: Path) -> None:
    result = run(IMPORTING, stand_in)
    assert result.stdout == "tensorflow 3\n"
    assert result.stderr == "a line of somebody else\nafterwards\n"


def test_an_import_that_fails_shows_everything(stand_in: Path) -> None:
    module = stand_in / "tensorflow" / "__init__.py"
    module.write_text(CHATTER + "raise ImportError('libcuda is of another version')\n")
    result = run(IMPORTING, stand_in)
    assert result.returncode == 1
    assert "failed call to cuInit" in result.stderr
    assert result.stderr.endswith("ImportError: libcuda is of another version\n")


def test_whoever_wants_the_lines_asks_for_them(stand_in: Path) -> None:
    result = run(IMPORTING, stand_in, TF_CPP_MIN_LOG_LEVEL="0")
    assert result.stdout == "tensorflow 0\n"
    assert "cudart_stub" in result.stderr


def test_a_process_without_standard_error_imports_as_well(stand_in: Path) -> None:
    (stand_in / "tensorflow" / "__init__.py").write_text("")
    program = f"import os; os.close(2){IMPORTING}".replace("os.write(2, b'afterwards\\n')", "")
    result = run(program, stand_in)
    assert (result.returncode, result.stdout) == (0, "tensorflow 3\n")


def test_a_package_that_is_not_there_is_missing_as_ever(tmp_path: Path) -> None:
    # -S leaves out the installed packages, and with them the real one.
    program = IMPORTING.replace("import os, sys, tensorflow", "import os, tensorflow")
    result = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
    )
    assert result.stderr.endswith("ModuleNotFoundError: No module named 'tensorflow'\n")


def test_the_real_one_says_nothing_to_whoever_starts_the_site() -> None:
    # As a server does: what it imports comes before the app is made.
    result = run("import webapp.library, keras; keras.ops.ones(3) + 1", PROJECT)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
