"""The key that signs, kept in a file, and the error of a setting that cannot work."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

ENVIRONMENT_PREFIX = "TENCLASSES"
LEAST_KEY = 16
"""The fewest characters of a secret key: with fewer it can be guessed."""


class SettingError(Exception):
    """A setting has a value that cannot work; the message names it."""


def kept_secret(path: Path) -> str:
    """Return the key in the file `path`, which is made where there is none."""
    with contextlib.suppress(FileNotFoundError):
        return _read_secret(path)
    # All workers must sign with the same key, so the first to come makes it and the rest read it.
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(mode=0o600)
        temporary.write_text(secrets.token_hex(32), encoding="ascii")
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)  # Never shows half of a key, and never replaces one.
    except OSError as error:
        raise SettingError(
            f"SECRET_KEY is not set, and none can be kept in {path} ({error.strerror}). Set "
            f"{ENVIRONMENT_PREFIX}_SECRET_KEY to a long random text."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return _read_secret(path)


def _read_secret(path: Path) -> str:
    try:
        key = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingError(f"SECRET_KEY cannot be read from {path}: {why}.") from error
    if len(key) < LEAST_KEY:
        raise SettingError(
            f"SECRET_KEY cannot be read from {path}: the file has {len(key)} characters, and a key "
            f"has {LEAST_KEY} at least. Delete it, and a new one is made."
        )
    return key
