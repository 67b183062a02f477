"""Make the audit of a data set by what models that learned from it say.

A folder on which no model was trained is judged by neighbours instead (`auditing.folder_audit`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from model_training.auditing import agreement, near_copies
from model_training.auditing.agreement import Embedding
from model_training.auditing.audit import (
    Audit,
    NearCopy,
    Provenance,
    calibrated,
    predictions_digest,
)
from model_training.auditing.label_errors import judge_labels
from model_training.auditing.near_copies import Pairs, find_near_copies
from model_training.bundles.bundle import MODEL, Bundle
from model_training.datasets.dataset import DataSet
from model_training.datasets.pictures.resizing import resized
from model_training.datasets.pictures.sprites import LARGEST_SIDE
from model_training.judging.metrics import accuracy

LEAST_ACCURACY = 0.9
"""On the validation images: a model that is wrong on more of them than one in ten says little about
labels of which one in two hundred is wrong."""
DETAIL_SIDE = 32
"""Pixels at which two images are laid over each other, where they have more."""


def make_audit(
    data: DataSet,
    features_of: Bundle,
    judges: Sequence[Bundle],
    embedding: Embedding,
    on_pairs: Callable[[int, int], None] = lambda done, total: None,
) -> Audit:
    """Audit the test images of `data`.

    Args:
        features_of: by what its network makes of images, near-copies are looked for.
        judges: the models that judge the labels, by their stored predictions, and whose networks
            must agree that a near-copy is one.
        embedding: asks a network.
        on_pairs: see `find_near_copies`.

    Raises:
        ValueError: there is no judge, or one that was tested on other images, or no network.
    """
    if not judges:
        raise ValueError(
            f"No model here was tested on {data.title}, so none can judge its labels. Train one on "
            "it first."
        )
    for judge in judges:
        if not was_tested_on(judge, data):
            raise ValueError(
                f"{judge.name} was tested on other images than those of {data.title} "
                f"({judge.card.training.data_set})"
            )
    if features_of.model_path is None:
        raise ValueError(f"{features_of.name} has no network here")
    test, train = data.test.images, data.train.images
    of_test, of_train = (embedding(features_of, images) for images in (test, train))
    small_test, small_train = (
        resized(images, min(data.side, DETAIL_SIDE)) for images in (test, train)
    )
    pairs = find_near_copies(small_test, of_test, small_train, of_train, on_pairs)
    networks = [judge for judge in judges if judge.model_path is not None]
    if networks and len(pairs):
        agreed = agreement.agreement(pairs, data.test, train, networks, embedding)
        pairs = pairs.where(agreed >= agreement.LEAST_AGREEMENT)
    return Audit(
        labels=data.test.labels,
        doubts=judge_labels([calibrated(judge) for judge in judges], data.test.labels),
        copies=_most_alike(pairs, data),
        provenance=Provenance(
            data_digest=data.digest,
            features_of=features_of.name,
            features_sha256=features_of.card.files[MODEL],
            models={judge.name: predictions_digest(judge) for judge in judges},
            least_likeness=near_copies.LEAST_LIKENESS,
            least_agreement=agreement.LEAST_AGREEMENT,
        ),
    )


def was_tested_on(bundle: Bundle, data: DataSet) -> bool:
    """Return whether the results of `bundle` are of exactly the test images of `data`."""
    return bundle.card.training.data_digest == data.digest and np.array_equal(
        bundle.predictions.test_labels, data.test.labels
    )


def able_judges(bundles: Sequence[Bundle], data: DataSet) -> list[Bundle]:
    """Return the models that judge labels unless some are named: tested on `data`, and able.

    One whose validation images are not known, since it learned from them, is taken to be able.
    Where none is able all judge that were tested on the images.
    """
    tested = [one for one in bundles if was_tested_on(one, data)]
    able = [
        one
        for one in tested
        if not len(one.predictions.validation)
        or accuracy(one.predictions.validation, one.predictions.validation_labels) >= LEAST_ACCURACY
    ]
    return able or tested


def _most_alike(pairs: Pairs, data: DataSet) -> dict[int, NearCopy]:
    # Of several pairs of one test image the first is the most alike.
    tests, places = np.unique(pairs.first, return_index=True)
    return {
        int(test): NearCopy(
            train_index=int(pairs.second[place]),
            label=int(data.train.labels[pairs.second[place]]),
            likeness=float(pairs.likeness[place]),
            image=resized(
                data.train.images[pairs.second[place]][np.newaxis], min(data.side, LARGEST_SIDE)
            )[0],
        )
        for test, place in zip(tests, places, strict=True)
    }
