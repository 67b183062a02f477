"""Recomputes a report page from the stored predictions, with scikit-learn."""

from __future__ import annotations

import re

from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from model_training.bundles.bundle import Bundle
from tests.page_client import Page


def check_report(page: Page, bundle: Bundle) -> None:
    """Fail unless every figure of `page` follows from the predictions in `bundle`."""
    labels, predicted = bundle.predictions.test_labels, bundle.predictions.test.argmax(axis=1)
    assert f"Test accuracy {accuracy_score(labels, predicted):.2%}" in page.text
    cells = [int(n) for n in re.findall(r'<td class="is-[^"]+">(?:<a [^>]*>)?(\d+)<', page.html)]
    assert cells == confusion_matrix(labels, predicted).ravel().tolist()
    scores = f1_score(labels, predicted, average=None)
    for name, score in zip(bundle.card.classes, scores, strict=True):
        row = re.search(rf'<th scope="row"[^>]*>{name}</th>(.*?)</tr>', page.html, re.S)
        assert row and f">{score:.3f}</td>" in row[1]
