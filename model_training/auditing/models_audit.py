"""The making of an audit by an ensemble of models that learned from the data set.

In a folder on which no model was trained, neighbours take their place (`auditing.folder_audit`).
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
    predictions_digest,
    tempered,
)
from model_training.auditing.label_errors import score_labels
from model_training.auditing.near_copies import QUICK_SIDE, Pairs, find_near_copies
from model_training.bundles.bundle import MODEL, Bundle
from model_training.datasets.dataset import DataSet
from model_training.datasets.pictures.resizing import resized
from model_training.datasets.pictures.sprites import LARGEST_SIDE
from model_training.judging.metrics import accuracy

LEAST_ACCURACY = 0.9
"""On the validation images: a model that is wrong on more of them than one in ten says little about
labels of which one in two hundred is wrong."""
DETAIL_SIDE = 32
"""In pixels; larger images are reduced to it before they are laid over each other."""


def make_audit(
    data: DataSet,
    features_of: Bundle,
    ensemble: Sequence[Bundle],
    embedding: Embedding,
    on_pairs: Callable[[int, int], None] = lambda done, total: None,
) -> Audit:
    """Audit the test images of `data`.

    Args:
        features_of: the model by whose features near-copies are searched for.
        ensemble: the models whose stored predictions score the labels, and whose networks must
            agree that a near-copy is one.
        embedding: computes embeddings by the network of a model.
        on_pairs: see `find_near_copies`.

    Raises:
        ValueError: the ensemble is empty, or a model of it was tested on other images, or
            `features_of` has no network.
    """
    if not ensemble:
        raise ValueError(
            f"No model here was tested on {data.title}, so none can judge its labels. Train one on "
            "it first."
        )
    for model in ensemble:
        if not was_tested_on(model, data):
            raise ValueError(
                f"{model.name} was tested on other images than those of {data.title}: on those of "
                f"{model.card.training.data_set}. Give these with --data, or another model."
            )
    if features_of.model_path is None:
        raise ValueError(f"{features_of.name} has no network here")
    test, train = data.test.images, data.train.images
    # All images, where for `agreement` they are few.
    of_test, of_train = (embedding(features_of, images, QUICK_SIDE) for images in (test, train))
    small_test, small_train = (
        resized(images, min(data.side, DETAIL_SIDE)) for images in (test, train)
    )
    pairs = find_near_copies(small_test, of_test, small_train, of_train, on_pairs)
    networks = [model for model in ensemble if model.model_path is not None]
    if networks and len(pairs):
        agreed = agreement.agreement(pairs, data.test, train, networks, embedding)
        pairs = pairs.where(agreed >= agreement.LEAST_AGREEMENT)
    return Audit(
        labels=data.test.labels,
        doubts=score_labels([tempered(model) for model in ensemble], data.test.labels),
        copies=_most_alike(pairs, data),
        provenance=Provenance(
            data_digest=data.digest,
            features_of=features_of.name,
            features_sha256=features_of.card.files[MODEL],
            models={model.name: predictions_digest(model) for model in ensemble},
            least_likeness=near_copies.LEAST_LIKENESS,
            least_agreement=agreement.LEAST_AGREEMENT,
        ),
    )


def was_tested_on(bundle: Bundle, data: DataSet) -> bool:
    """Return whether the results of `bundle` are of exactly the test images of `data`."""
    return bundle.card.training.data_digest == data.digest and np.array_equal(
        bundle.predictions.test_labels, data.test.labels
    )


def select_ensemble(bundles: Sequence[Bundle], data: DataSet) -> list[Bundle]:
    """Return the models that score labels unless some are named: tested on `data`, and accurate.

    One without validation images, since it learned from them, is taken to be accurate.  Where none
    is accurate, all that were tested on the images are returned.
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
