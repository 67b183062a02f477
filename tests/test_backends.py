"""The training path is plain Keras: it runs on JAX, and what it makes serves on TensorFlow."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from model_training.bundle import read_bundle
from model_training.data import ImageSet
from model_training.evaluation import predict
from tests.conftest import PROJECT

ON_JAX = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
from pathlib import Path
from model_training.data import Cifar10
from model_training.recipes import find_recipe
from model_training.run import Options, run
from model_training.sheets import read_test_images
from model_training.training import Place
import numpy as np

folder = Path(sys.argv[1])
test = read_test_images(Path("instance/data/cifar10-test"))
data = Cifar10(test.take(np.arange(300)), test.take(np.arange(200)), "the tests")
options = Options(epochs=1, batch_size=32)
run(find_recipe("fast-cnn"), data, options, folder / "fast", Place(folder / "s", folder / "f"))
"""


def test_the_training_path_does_not_import_tensorflow() -> None:
    sources = (PROJECT / "model_training").rglob("*.py")
    assert [path.name for path in sources if "\nimport tensorflow" in path.read_text("utf-8")] == []


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
