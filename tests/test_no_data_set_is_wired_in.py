"""No module of the site and no template names a data set, a class or a number of classes.

What depends on a data set comes from the data set itself: from its `dataset.json`, or counted.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model_training.datasets.catalog.cifar10 import CLASSES
from tests.conftest import PROJECT

SITE_NAME = re.compile(r"Ten Classes|TENCLASSES|\bten-classes\b")
NUMBER_WORDS = 'WORDS = "two three four five six seven eight nine ten eleven twelve".split()'
"""The one line that may spell the number: it spells the others as well."""
FORBIDDEN = {
    "the data set": re.compile(r"cifar", re.I),
    "a class": re.compile(rf"\b(?:{'|'.join(CLASSES)})(?:e?s)?\b", re.I),
    "a number of classes": re.compile(
        r"\bten\b|\b10[ -](?:classes|class|things|probabilities|of them)\b", re.I
    ),
}
FILES = [
    path.relative_to(PROJECT)
    for folder in ("webapp", "templates", "static")
    for path in sorted((PROJECT / folder).rglob("*"))
    if path.suffix in (".py", ".html", ".svg", ".css", ".js")
]


def found(text: str) -> list[str]:
    """Return what is wired into `text`, each with its line."""
    text = SITE_NAME.sub("", text).replace(NUMBER_WORDS, "")
    return [
        f"{number}: {what}: {match[0]!r}"
        for number, line in enumerate(text.splitlines(), start=1)
        for what, pattern in FORBIDDEN.items()
        for match in pattern.finditer(line)
    ]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_data_set_is_wired_in(path: Path) -> None:
    assert found((PROJECT / path).read_text(encoding="utf-8")) == []


def test_the_whole_site_is_looked_at() -> None:
    names = {path.as_posix() for path in FILES}
    assert {"webapp/library/shelf.py", "templates/base.html", "static/site.css"} < names
    assert len(FILES) > 60


@pytest.mark.parametrize(
    "line",
    [
        "CIFAR-10 test images",
        "from model_training.datasets.catalog.cifar10 import CLASSES",
        "# A cat, or a dog",
        "sky behind Airplanes",
        "which of ten things",
        "its 10 classes",
    ],
)
def test_what_is_wired_in_is_found(line: str) -> None:
    assert found(line)


def test_the_sites_own_name_is_allowed() -> None:
    assert found("<title>Ten Classes</title> TENCLASSES_SECRET_KEY, often, category, deploy") == []
