"""Names of settings: one that no setting has is an error, wherever it stands."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

from flask import Flask

from webapp.settings.secret_key import ENVIRONMENT_PREFIX, SettingError

OF_COMMANDS = ("COORDINATOR", "PROCESSES", "RANK")
"""What else the prefix is used for: where `flask train` meets its other processes."""


def refuse_unknown_names(settings: Container[str]) -> None:
    """Look at the names in the environment that begin as those of settings do.

    Raises:
        SettingError: one is not among `settings`.
    """
    # A misspelt name would be ignored, and its owner would believe that it works.
    for variable in os.environ:
        name = variable.removeprefix(f"{ENVIRONMENT_PREFIX}_")
        if name != variable and name not in OF_COMMANDS and not _is_known(name, settings):
            raise SettingError(f"{variable}: there is no setting called {name}.")


def read_file(app: Flask, name: str) -> None:
    """Add the settings of the file `name` in the instance folder, if it is there.

    Raises:
        SettingError: it has one that is not known.
    """
    there = set(app.config)
    app.config.from_pyfile(name, silent=True)
    for added in sorted(set(app.config) - there):
        if not added.startswith("_") and not _is_known(added, there):
            raise SettingError(
                f"{Path(app.instance_path) / name}: there is no setting called {added}. (Names for "
                "your own use begin with _ or are in lower case.)"
            )


def _is_known(name: str, settings: Container[str]) -> bool:
    return name in settings or name.startswith("WTF_")
