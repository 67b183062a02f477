"""The house stays one that a newcomer finds their way in: small modules, in rooms that say what
they are for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import PROJECT

MOST_LINES, MOST_MODULES = 350, 10
MODULES = sorted(
    path for wing in ("model_training", "webapp") for path in (PROJECT / wing).rglob("*.py")
)
ROOMS = sorted({path.parent for path in MODULES})


def named(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def test_no_module_is_too_long() -> None:
    long = {
        named(path): lines
        for path in MODULES
        if (lines := len(path.read_text("utf-8").splitlines())) > MOST_LINES
    }
    assert long == {}


def test_no_room_has_too_many_modules() -> None:
    crowded = {
        named(room): len(modules)
        for room in ROOMS
        if len(modules := [p for p in room.glob("*.py") if p.name != "__init__.py"]) > MOST_MODULES
    }
    assert crowded == {}


@pytest.mark.parametrize("room", ROOMS, ids=named)
def test_every_room_says_what_it_is_for(room: Path) -> None:
    words = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8")))
    assert words and len(words) > 40


def test_the_architecture_names_every_room() -> None:
    page = (PROJECT / "docs" / "architecture.md").read_text("utf-8")
    missing = [named(room) for room in ROOMS if f"`{room.name}/`" not in page]
    assert missing == []
