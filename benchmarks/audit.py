"""The audit beside what people found: `python -m benchmarks.audit`

Compares the audit that ships with two published lists, which do not ship:

- `--near-copies duplicates_cifar10.csv`: the test images of CIFAR-10 with a near-copy in training
  that B. Barz and J. Denzler found by eye (ciFAIR, 2020), in the column `TestID`; with
  `--pictures PNG` the pairs that are not on their list are drawn, so that an eye can judge them;
- `--label-errors cifar10_mturk.json`: the test images whose label C. Northcutt, A. Athalye and
  J. Mueller suspected, with the votes of five people each ("Pervasive Label Errors in Test Sets
  Destabilize Machine Learning Benchmarks", 2021).  A label counts as an error where fewer than
  three of the five chose it and nothing else: 54 of them, as in the paper.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from model_training.auditing.audit import Audit, read_audit
from model_training.auditing.label_errors import most_doubtful
from model_training.datasets.kept import read_description
from model_training.datasets.pictures.sprites import read_test_images

DATA = Path("instance/data/cifar10")
TEST_IMAGES = DATA / "test"
ROW = 14
PEOPLE_FOR_THE_LABEL = 3
FIRST = (100, 200, 300, 400, 500)


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audit", type=Path, default=DATA / "audit.npz")
    parser.add_argument("--near-copies", type=Path, metavar="CSV")
    parser.add_argument("--pictures", type=Path, metavar="PNG")
    parser.add_argument("--label-errors", type=Path, metavar="JSON")
    arguments = parser.parse_args()
    audit = read_audit(arguments.audit, read_description(DATA))
    if arguments.near_copies:
        published = published_near_copies(arguments.near_copies)
        compare_near_copies(audit, published)
        if arguments.pictures:
            draw_pairs(audit, sorted(set(audit.copies) - published), arguments.pictures)
    if arguments.label_errors:
        judged = votes_for_labels(arguments.label_errors)
        compare_label_errors(audit, judged)
    if not (arguments.near_copies or arguments.label_errors):
        parser.error("give --near-copies, --label-errors or both")


def published_near_copies(path: Path) -> set[int]:
    """Return the test images on the list of near-copies."""
    with path.open(newline="", encoding="utf-8") as file:
        return {int(row["TestID"]) for row in csv.DictReader(file)}


def votes_for_labels(path: Path) -> dict[int, int]:
    """Return how many of five people chose the label of each test image that they judged."""
    judged = json.loads(path.read_text(encoding="utf-8"))
    return {one["id"]: one["mturk"]["given"] for one in judged}


def compare_near_copies(audit: Audit, published: set[int]) -> None:
    """Print the number of published near-copies that the audit reports, and of others."""
    reported = set(audit.copies)
    found = len(reported & published)
    print(f"near-copies: {len(reported)} test images reported, {len(published)} on the list")
    print(f"  on the list and reported  {found} ({found / len(published):.1%})")
    print(f"  reported, not on the list {len(reported) - found}")


def draw_pairs(audit: Audit, numbers: Sequence[int], path: Path) -> None:
    """Draw test images, each with its near-copy below, three times as large, to the PNG `path`."""
    test = read_test_images(TEST_IMAGES, 32).images
    pairs = np.zeros((-(-len(numbers) // ROW), ROW, 67, 35, 3), np.uint8)
    for place, number in enumerate(numbers):
        pair = np.concatenate([test[number], audit.copies[number].image])
        pairs[divmod(place, ROW)][:64, :32] = pair
    rows, columns, height, width, _ = pairs.shape
    picture = pairs.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)
    Image.fromarray(picture.repeat(3, axis=0).repeat(3, axis=1)).save(path, "PNG")


def compare_label_errors(audit: Audit, votes: dict[int, int]) -> None:
    """Print the number of confirmed errors among the most doubtful labels, and of upheld labels.

    Args:
        votes: of five people for each label that they judged.
    """
    published = {number for number, given in votes.items() if given < PEOPLE_FOR_THE_LABEL}
    order = most_doubtful(audit.doubts.doubt).tolist()
    suspected = {number for number in order if audit.doubts.suspected[number]}
    print(f"label errors: {len(published)} confirmed by people")
    for first in FIRST:
        found = len(published & set(order[:first]))
        print(f"  among the first {first}       {found} ({found / len(published):.1%})")
    found = len(published & suspected)
    print(f"  among the {len(suspected)} suspected    {found} ({found / len(published):.1%})")
    judged = suspected & votes.keys()
    upheld = len(judged - published)
    print(f"of {len(judged)} suspected labels that people judged, they upheld {upheld}")


if __name__ == "__main__":
    main()
