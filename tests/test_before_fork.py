"""What workers have in common is imported once, before they are forked, and leaves them nothing
that a fork does not carry over."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import PROJECT

LOOK = """
import json, os, sys
from webapp.before_fork import import_for_workers
import_for_workers()
print(json.dumps([len(os.listdir("/proc/self/task")), sorted(sys.modules)]))
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there it is done")


def imported(**settings: str) -> tuple[int, set[str]]:
    """Return how many threads there are, and which modules, when all is imported."""
    environment = {f"TENCLASSES_{name}": value for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=PROJECT,
        # NumPy's and SciPy's own threads outlive a fork: OpenBLAS begins them anew.
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    threads, modules = json.loads(done.stdout)
    return threads, set(modules)


def test_no_thread_runs_that_the_workers_would_lack() -> None:
    threads, modules = imported()
    assert {"tensorflow", "keras", "webapp.upload", "sqlalchemy"} <= modules
    assert threads == 1, "TensorFlow begins its own with the first operation, in each worker"
    assert not {"jax", "pandas", "sklearn"} & modules


@pytest.mark.parametrize(
    "settings",
    [
        {"MODELS_FOLDER": "none"},
        {"MODEL_SERVER_URL": "http://127.0.0.1:9/v2"},
        {"MAX_PHOTOS": "many"},
    ],
    ids=["no network is here", "networks run elsewhere", "a wrong setting"],
)
def test_without_networks_tensorflow_is_left_alone(settings: dict[str, str]) -> None:
    _, modules = imported(**settings)
    assert "webapp.upload" in modules and "tensorflow" not in modules
