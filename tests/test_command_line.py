"""The `flask` command as somebody meets it: its help, and what it says when it cannot begin."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import PROJECT


def flask(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flask", *arguments],
        cwd=PROJECT,
        env=os.environ | {"COLUMNS": "80"} | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_the_help_speaks_of_this_site_and_sets_flasks_own_commands_apart(
    arguments: list[str],
) -> None:
    result = flask(*arguments)
    said = result.stdout + result.stderr  # Without a command it is an error, and goes there.
    lines = said.splitlines()
    assert lines[0].startswith("Usage: ")
    assert lines[2].startswith("  Ten Classes: ")
    assert "general utility script" not in said
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == [
        "Images to learn from:",
        "Models:",
        "The website:",
        "Flask's own:",
        "Options:",
    ]
    commands = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
    order = ["data", "train", "models", "calibrate", "export", "run", "feedback", "db"]
    assert [name for name in commands if name in order] == order


def test_every_command_of_ours_says_what_it_does() -> None:
    for line in flask("--help").stdout.partition("Images to learn from:")[2].splitlines():
        if line.startswith("  ") and line[2] not in " -":
            assert len(line.split()) > 3, line


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TENCLASSES_MAX_PHOTOS", "many", "MAX_PHOTOS must be a whole number from 1, not 'many'."),
        ("TENCLASSES_MAX_PHOTO", "3", "there is no setting called MAX_PHOTO."),
        ("TENCLASSES_DATABASE_URL", "nonsense", "DATABASE_URL cannot be used: it does not look"),
        ("TENCLASSES_DATABASE_URL", "mysql://a/b", "it must begin with sqlite: or postgresql:"),
    ],
)
def test_a_wrong_setting_is_said_in_one_sentence(name: str, value: str, words: str) -> None:
    result = flask("train", "--list", **{name: value})
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ") and words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_wrong_setting_is_said_in_place_of_the_help_too() -> None:
    result = flask("--help", TENCLASSES_MAX_PHOTOS="many")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "Error: MAX_PHOTOS must be a whole number from 1, not 'many'.\n"
