"""The audit of a data set of one's own: pictures that are there twice, and doubtful labels.

No model has been trained on such a folder, so each label is compared with those of its neighbours,
the pictures that a network finds most alike (T. Cover and P. Hart, "Nearest Neighbor Pattern
Classification", 1967), each picture left out of its own vote.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_training.auditing.label_errors import LabelDoubts, most_doubtful, score_labels
from model_training.auditing.near_copies import Pairs, find_near_copies, whitening
from model_training.datasets.folders.folder import FolderData
from model_training.files import whole_file

Floats = NDArray[np.floating[Any]]

SIDE = 96
"""Pictures are read at this size, and compared pixel by pixel at a third of it."""
NEIGHBOURS = 15
SHARPNESS = 10.0
"""A neighbour's vote counts e times as much for every 0.1 by which its cosine is larger."""
_AT_A_TIME = 500


@dataclass(frozen=True)
class FolderAudit:
    """The findings on `data`: near-copies among its own pictures, and doubts about its labels."""

    data: FolderData
    copies: Pairs
    doubts: LabelDoubts

    @property
    def contradictions(self) -> Pairs:
        """Return the near-copies whose two pictures have different labels."""
        labels = self.data.labels
        return self.copies.where(labels[self.copies.first] != labels[self.copies.second])

    @property
    def suspects(self) -> NDArray[np.int64]:
        """Return the indices of pictures with a suspected label, the most doubtful first."""
        order = most_doubtful(self.doubts.doubt)
        return order[self.doubts.suspected[order]]


def audit_folder(
    data: FolderData,
    features: Floats,
    on_pairs: Callable[[int, int], None] = lambda done, total: None,
) -> FolderAudit:
    """Audit pictures of `SIDE` pixels.

    Args:
        features: a network's embedding of each, (count, any).
    """
    count, small = len(data.images), SIDE // 3
    thirds = data.images.reshape(count, small, 3, small, 3, 3).mean(axis=(2, 4))
    copies = find_near_copies(np.rint(thirds).astype(np.uint8), features, on_pairs=on_pairs)
    vote = neighbours_vote(whitening(features)(features), data.labels, len(data.classes))
    return FolderAudit(data, copies, score_labels([vote], data.labels))


def neighbours_vote(
    vectors: Floats, labels: NDArray[np.int64], classes: int, neighbours: int = NEIGHBOURS
) -> Floats:
    """Return for each image the shares of the classes among its neighbours, (count, classes).

    Args:
        vectors: unit vectors, (count, any).
    """
    count = len(vectors)
    neighbours = min(neighbours, count - 1)
    # As if every class had one vote in all, so that no share is 0 or 1.
    shares = np.full((count, classes), 1 / classes)
    for start in range(0, count, _AT_A_TIME):
        cosines = vectors[start : start + _AT_A_TIME] @ vectors.T
        rows = np.arange(len(cosines))[:, np.newaxis]
        cosines[rows[:, 0], start + rows[:, 0]] = -np.inf
        nearest = np.argpartition(-cosines, neighbours - 1, axis=1)[:, :neighbours]
        votes = np.exp(SHARPNESS * (cosines[rows, nearest] - cosines.max(axis=1, keepdims=True)))
        part = shares[start : start + _AT_A_TIME]
        np.add.at(part, (np.broadcast_to(rows, nearest.shape), labels[nearest]), votes)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def write_findings(path: Path, audit: FolderAudit) -> int:
    """Write the findings as a CSV table, one row each.

    Returns:
        The number of rows.
    """
    data, copies, doubts = audit.data, audit.copies, audit.doubts
    rows: list[tuple[object, ...]] = []
    for first, second, alike in zip(copies.first, copies.second, copies.likeness, strict=True):
        one, other = data.classes[data.labels[first]], data.classes[data.labels[second]]
        finding = "near-copy" if one == other else "near-copy with another label"
        rows.append((finding, data.names[first], one, data.names[second], other, f"{alike:.3f}"))
    for number in audit.suspects.tolist():
        given, rather = data.labels[number], doubts.suggested[number]
        names = data.classes[given], "", data.classes[rather]
        doubt = f"{doubts.doubt[number]:.3f}"
        rows.append(("suspected label error", data.names[number], *names, doubt))
    for name, why in data.unreadable.items():
        rows.append(("not a picture", name, "", "", why, ""))
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["finding", "file", "label", "other file", "rather", "score"])
        writer.writerows(rows)
    return len(rows)
