"""The training path is plain Keras: it runs on JAX, and what it makes serves on TensorFlow."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from model_training.bundles.reading import read_bundle
from model_training.datasets.dataset import ImageSet
from model_training.judging.prediction import predict
from tests.conftest import PROJECT

ON_JAX = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
from pathlib import Path
from model_training.datasets.catalog import cifar10
from model_training.recipes import find_recipe
from model_training.training.options import Options
from model_training.training.run import run
from model_training.datasets.pictures.sprites import read_test_images
from model_training.training.loop import Place
import numpy as np

folder = Path(sys.argv[1])
test = read_test_images(Path("instance/data/cifar10/test"), 32)
data = cifar10.make(test.take(np.arange(300)), test.take(np.arange(200)), "the tests")
options = Options(epochs=1, batch_size=32)
run(find_recipe("fast-cnn"), data, options, folder / "fast", Place(folder / "s", folder / "f"))
"""


def test_the_training_path_does_not_import_tensorflow() -> None:
    sources = (PROJECT / "model_training").rglob("*.py")
    importing = re.compile(r"^\s*(import|from) tensorflow", re.M)
    found = [path.name for path in sources if importing.search(path.read_text("utf-8"))]
    # `make_deterministic` turns on a switch, and `normalize_at_once` calls an operation, that only
    # TensorFlow has, when it is the backend; an export is made of a trained network, with
    # TensorFlow whatever it was trained on.
    exporting, learning = {"export.py", "litert.py", "saved_model.py"}, {"normalization.py"}
    assert set(found) == {"environment.py"} | exporting | learning


DETERMINISTIC = """
from dataclasses import replace
from pathlib import Path
import sys
import numpy as np
import keras
from model_training.datasets.catalog import cifar10
from model_training.training.options import Options
from model_training.training.run import run
from model_training.datasets.pictures.sprites import read_test_images
from tests.conftest import TINY, place_in

test = read_test_images(Path("instance/data/cifar10/test"), 32).take(np.arange(300))
folder = Path(sys.argv[1])
weights = []
for name in ("first", "second"):
    options = Options(epochs=1, deterministic=True)
    bundle = run(TINY, cifar10.make(test, test, ""), options, folder / name, place_in(folder / "s"))
    weights.append(keras.saving.load_model(bundle.model_path, compile=False).get_weights())
assert bundle.card.training.command == "flask train tiny --epochs 1 --seed 0 --deterministic"
print(all(np.array_equal(a, b) for a, b in zip(*weights)))
"""


@pytest.mark.release
def test_a_deterministic_run_gives_the_same_weights_to_the_last_bit(tmp_path: Path) -> None:
    # In a process of its own, as the switch cannot be turned back.
    result = subprocess.run(
        [sys.executable, "-c", DETERMINISTIC, str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "True"


@pytest.mark.release
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_a_network_trained_on_jax_serves_on_tensorflow(
    test_images: ImageSet, tmp_path: Path
) -> None:
    result = subprocess.run(
        [sys.executable, "-c", ON_JAX, str(tmp_path)],
        cwd=PROJECT,
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    bundle = read_bundle(tmp_path / "fast")
    assert bundle.card.training.versions["backend"] == "jax"
    assert keras.backend.backend() == "tensorflow"
    model = keras.saving.load_model(bundle.model_path, compile=False)
    again = predict(model, test_images.images[:200])
    assert np.allclose(again, bundle.predictions.test, atol=1e-3)
