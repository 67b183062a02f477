"""The README is true: what it names is there."""

from __future__ import annotations

import re

import pytest

from benchmarks.explanations import card_rows
from model_training.bundles.reading import read_bundle
from model_training.recipes import RECIPES
from tests.conftest import PROJECT, SHIPPED_MODELS

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def test_every_file_that_the_readme_links_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) >= 3
    assert [link for link in links if not (PROJECT / link).is_file()] == []


SHIPPED = [name for name in RECIPES if (SHIPPED_MODELS / name).is_dir()]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_readmes_figures_are_those_of_the_cards(name: str) -> None:
    card = read_bundle(SHIPPED_MODELS / name).card
    row = next(line for line in README.splitlines() if line.startswith(f"| `{name}`"))
    cells = [cell.strip(" *") for cell in row.strip("|").split("|")]
    assert cells[1] == f"{card.parameters:,}"
    assert cells[3] == f"{card.metrics['test'].accuracy:.4f}"
    assert cells[4] == (f"{card.averaged['test'].accuracy:.4f}" if card.averaged else "")
    assert cells[5].startswith(f"{card.training.epochs} epochs, {card.training.seconds / 60:.0f} ")


def test_what_is_said_of_explanations_is_what_the_cards_say() -> None:
    said = (PROJECT / "docs" / "explanations.md").read_text("utf-8")
    rows = card_rows([read_bundle(SHIPPED_MODELS / name).card for name in sorted(SHIPPED)])
    assert len(rows) > 2
    for row in rows:
        assert row in said.splitlines()


def test_the_two_commands_stand_in_the_readme() -> None:
    assert re.search(r"^make serve\b", README, re.M) and re.search(r"^make test\b", README, re.M)
