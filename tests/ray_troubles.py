"""What goes wrong on a cluster, one sentence each: `python -m tests.ray_troubles HOST:PORT`

For `test_classify_on_ray`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import model_training
import tests
import webapp
from model_training.bundles.bundle import Bundle
from model_training.bundles.packing import pack
from model_training.bundles.reading import read_bundle
from model_training.classifying.cluster.joining import ClusterError, joined
from model_training.classifying.cluster.parts import divide
from model_training.classifying.pipeline import Limits
from model_training.classifying.sources import SourceError
from model_training.judging.backend import Backend
from model_training.judging.judge import Judge
from tests import pictures
from webapp.serving.classifier import load_for_many


def lacking(_bundle: Bundle) -> tuple[Judge, Backend]:
    """Fail as on a node where something is not installed."""
    raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")


def main(address: str) -> None:
    """Cause each trouble on the cluster at `address`."""
    packages = tuple(Path(one.__path__[0]) for one in (model_training, webapp, tests))
    bundle = read_bundle(Path(webapp.PROJECT) / "instance" / "models" / "custom-cnn")
    with (
        tempfile.TemporaryDirectory() as temporary,
        joined(address, packages, {"KERAS_BACKEND": "tensorflow"}),
    ):
        from model_training.classifying.cluster.run import classify_on_cluster
        from model_training.classifying.cluster.worker import Task

        folder = Path(temporary)
        (folder / "a.png").write_bytes(pictures.png())
        (folder / "half.tar").write_bytes(b"x" * 2000)
        limits, files = Limits(10**6, 10**6), pack(bundle)
        damaged = files | {"model.keras": b"nothing"}
        for place, load, sent in (
            ("a.png", lacking, files),
            ("a.png", load_for_many, damaged),
            ("half.tar", load_for_many, files),
        ):
            task = Task(bundle.name, load, limits, None, 1)
            try:
                parts = list(divide([folder / place], ()))
                print(list(classify_on_cluster(parts, task, sent, 1)), flush=True)
            except (ClusterError, SourceError) as error:
                print(error, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
