"""Every setting of the site: name, default, unit and meaning.

A deployment changes them in `instance/config.py` (`MAX_PHOTO_PIXELS = 20_000_000`) or in the
environment (`TENCLASSES_MAX_PHOTO_PIXELS=20000000`); the environment wins.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask

ENVIRONMENT_PREFIX = "TENCLASSES"


@dataclass(frozen=True)
class Setting:
    """One setting; `unit` is empty where a value has none."""

    name: str
    default: Any
    unit: str
    meaning: str


SETTINGS = (
    Setting(
        "SECRET_KEY",
        None,
        "",
        "Signs the session cookie. Unset, one is made and kept in instance/secret_key.",
    ),
    Setting("DEFAULT_MODEL", "custom-cnn", "", "The model that answers unless another is asked."),
    Setting("MODELS_FOLDER", "models", "", "Where the bundles are; relative to instance/."),
    Setting("DATA_FOLDER", "data", "", "Where the data set is; relative to instance/."),
    Setting("TRAINING_FOLDER", "training", "", "Where unfinished trainings are kept."),
    Setting("MAX_CONTENT_LENGTH", 20 * 1024 * 1024, "bytes", "The largest upload."),
    Setting(
        "MAX_PHOTO_PIXELS",
        64_000_000,
        "pixels",
        "The largest photo. A decoded pixel takes 3 to 4 bytes of memory.",
    ),
    Setting("WTF_CSRF_TIME_LIMIT", 4 * 3600, "seconds", "How long an open page can be sent."),
    Setting("SESSION_COOKIE_SECURE", False, "", "Set it where the site is reached by HTTPS only."),
    Setting("SESSION_COOKIE_SAMESITE", "Lax", "", "Which requests of other sites carry it."),
)


class SettingError(Exception):
    """A setting has a value that cannot work; the message names it."""


def load(app: Flask, config: Mapping[str, Any] | None = None) -> None:
    """Fill `app.config`; folders become absolute paths.

    Raises:
        SettingError: a value has the wrong type or is out of range.
    """
    app.config.from_mapping({setting.name: setting.default for setting in SETTINGS})
    app.config.from_pyfile("config.py", silent=True)
    app.config.from_prefixed_env(ENVIRONMENT_PREFIX)
    app.config.from_mapping(config or {})
    for name in ("MODELS_FOLDER", "DATA_FOLDER", "TRAINING_FOLDER"):
        app.config[name] = Path(app.instance_path) / app.config[name]
    for name in ("MAX_CONTENT_LENGTH", "MAX_PHOTO_PIXELS", "WTF_CSRF_TIME_LIMIT"):
        value = app.config[name]
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise SettingError(f"{name} must be a whole number above 0, not {value!r}.")
    if not app.config["SECRET_KEY"]:
        app.config["SECRET_KEY"] = _kept_secret(Path(app.instance_path) / "secret_key")


def _kept_secret(path: Path) -> str:
    # All workers must sign with the same key, so the first to come makes it and the rest read it.
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        temporary.touch(mode=0o600)
        temporary.write_text(secrets.token_hex(32), encoding="ascii")
        os.link(temporary, path)  # Fails where there is one already, and never shows half of one.
    except FileExistsError:
        pass
    except OSError:
        # A read-only instance folder: pages work, but forms end with the process.
        return secrets.token_hex(32)
    finally:
        temporary.unlink(missing_ok=True)
    return path.read_text(encoding="ascii").strip()
