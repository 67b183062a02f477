"""Where pictures are classified: in this process, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flask import current_app

import model_training
import webapp
from model_training.bundles.bundle import Bundle
from model_training.bundles.packing import pack
from model_training.classifying.cluster.joining import ClusterError, check, joined
from model_training.classifying.cluster.parts import divide
from model_training.classifying.pipeline import Limits, classify
from model_training.classifying.rows import Row
from model_training.classifying.sources import Place, each_once, find_pictures
from webapp.answering.received import limits
from webapp.cli.common.classifiers import answering_bundle, default_classifier, named_classifier
from webapp.serving.classifier import Classifier, ClassifierError, load_for_many


@dataclass(frozen=True)
class Work:
    """A model that is ready to classify pictures.

    Args:
        classes: of the model.
        identity: what decides what is said of a picture; a run with another is another run.
        check: says at once what would keep `rows` from its work, by a ClusterError.
        rows: yields a row of each picture under some places, but for those whose names it is
            given, some at a time.
    """

    classes: tuple[str, ...]
    identity: dict[str, str]
    check: Callable[[], None]
    rows: Callable[[list[Place], Collection[str]], Iterator[list[Row]]]


def in_process(name: str | None, batch: int | None, threads: int | None) -> Work:
    """Load the model called `name`, or the site's own, for work in this process.

    Raises:
        click.ClickException: it is not here, or cannot answer.
    """
    classifier = named_classifier(name) if name else default_classifier()
    size = _limits()

    def rows(places: list[Place], done: Collection[str]) -> Iterator[list[Row]]:
        left = each_once(find_pictures(places), done)
        judge, backend = classifier.judge, classifier.backend
        return classify(left, judge, backend, size, batch=batch, threads=threads)

    identity = _identity(classifier.bundle, size)
    return Work(classifier.classes, identity, lambda: None, rows)


def on_cluster(address: str, name: str | None, batch: int | None, processors: int) -> Work:
    """Prepare work with the model called `name`, or the site's own, on a Ray cluster.

    Args:
        address: HOST:PORT of the cluster's head node.
        processors: of each worker.

    Raises:
        ClusterError: the model cannot answer.
        click.ClickException: the model is not here, or not signed as the site wants it.
    """
    bundle = answering_bundle(name or current_app.config["DEFAULT_MODEL"])
    try:
        judge = Classifier.judge_of(bundle)
    except ClassifierError as error:
        raise ClusterError(f"{bundle.name} cannot answer: {error}.") from error
    size = _limits()

    def rows(places: list[Place], done: Collection[str]) -> Iterator[list[Row]]:
        packages = tuple(Path(one.__path__[0]) for one in (model_training, webapp))
        with joined(address, packages, _environment(processors)) as total:
            # Once there is a cluster: Ray takes seconds to be imported.
            from model_training.classifying.cluster.run import classify_on_cluster
            from model_training.classifying.cluster.worker import Task

            task = Task(bundle.name, load_for_many, size, batch, processors)
            parts = list(divide(places, done))
            workers = max(total // processors, 1)
            yield from classify_on_cluster(parts, task, pack(bundle), workers)

    return Work(judge.classes, _identity(bundle, size), partial(check, address), rows)


def _environment(processors: int) -> dict[str, str]:
    """Return variables by which a worker keeps to its processors."""
    return {
        "KERAS_BACKEND": "tensorflow",
        "OPENBLAS_NUM_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": str(processors),
    }


def _limits() -> Limits:
    allowed = limits()
    return Limits(allowed.photo_bytes, allowed.photo_pixels)


def _identity(bundle: Bundle, size: Limits) -> dict[str, str]:
    files = bundle.card.files
    return {
        "model": bundle.name,
        "network": files["model.keras"],
        "judge": files["judge.npz"],
        "limits": f"{size.file_bytes} bytes, {size.pixels} pixels",
    }
