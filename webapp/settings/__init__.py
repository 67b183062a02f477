"""Every setting of the site: name, default, unit and meaning.

A deployment changes them in `instance/config.py` (`MAX_PHOTO_PIXELS = 20_000_000`) or in the
environment (`TENCLASSES_MAX_PHOTO_PIXELS=20000000`); the environment wins.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from webapp.settings.names import read_file, refuse_unknown_names
from webapp.settings.secret_key import ENVIRONMENT_PREFIX, LEAST_KEY, kept_secret
from webapp.settings.secret_key import SettingError as SettingError


@dataclass(frozen=True)
class Setting:
    """One setting; `unit` is empty where a value has none, and `choices` where any will do."""

    name: str
    default: str | int | bool | None
    unit: str
    meaning: str
    least: int = 1
    choices: tuple[str, ...] = ()


SETTINGS = (
    Setting(
        "SECRET_KEY",
        None,
        "",
        "Signs the session cookie and the photos that a page carries: 16 characters at least, and "
        "the same on all machines. Unset, one is made at the first start and kept in "
        "`instance/secret_key`, readable by its owner only.",
    ),
    Setting(
        "DEFAULT_MODEL",
        "efficientnet-lite0",
        "",
        "The model that answers unless another is asked. If it is not there, the first that is.",
    ),
    Setting(
        "MODELS",
        None,
        "",
        "The models that answer, by name, separated by spaces (`efficientnet-lite0 best-cnn`); "
        "`DEFAULT_MODEL` must be one of them. Of the others the results are shown, and their "
        "networks take no memory. Unset, all.",
    ),
    Setting("MODELS_FOLDER", "models", "", "Where the bundles are, relative to `instance/`."),
    Setting(
        "MODELS_PUBLIC_KEY",
        None,
        "",
        "The file with the public key (PEM, relative to `instance/`) by which bundles must be "
        "signed (`flask models sign`): any other is left out, or not taken up. It needs "
        "`requirements-signing.txt`. Unset, signatures are not looked at.",
    ),
    Setting("DATA_FOLDER", "data", "", "Where the data sets are, relative to `instance/`."),
    Setting(
        "TRAINING_FOLDER",
        "training",
        "",
        "Where unfinished training runs are kept, relative to `instance/`.",
    ),
    Setting(
        "STUDIES_FOLDER",
        "studies",
        "",
        "Where the studies of `flask tune` are, relative to `instance/`.",
    ),
    Setting(
        "STUDIES_STORAGE",
        None,
        "",
        "The PostgreSQL in which `flask tune` keeps studies for many machines, "
        "`postgresql://user:password@host/name`, unless `--storage` names another. Unset, each "
        "study is a file in `STUDIES_FOLDER`.",
    ),
    Setting("MAX_PHOTO_BYTES", 20 * 1024 * 1024, "bytes", "The largest photo."),
    Setting("MAX_PHOTOS", 16, "photos", "The most at a time; they are answered as one batch."),
    Setting(
        "MAX_CONTENT_LENGTH",
        100 * 1024 * 1024,
        "bytes",
        "The largest upload, all photos together. While it arrives, a photo of more than 500 kB "
        "lies in a nameless temporary file; one at a time is read into memory.",
    ),
    Setting(
        "MAX_PHOTO_PIXELS",
        64_000_000,
        "pixels",
        "The largest photo, refused before it is decoded, as is one with a side of more than "
        "30,000. While it is decoded a pixel takes 1 to 6 "
        "bytes of memory in most photos, 13 in a transparent one, 23 in the rarest; two are "
        "decoded at a time.",
    ),
    Setting(
        "DECODE_APART",
        True,
        "",
        "Open pictures in processes of their own, two for each worker at most, which are killed "
        "where one takes more than 6 seconds of a processor or 3 GB. False: in the worker itself.",
    ),
    Setting(
        "MAX_BATCH",
        256,
        "pictures",
        "The most at a time that programs may send as pixels, to `/v1` and `/v2`; of encoded ones "
        "`MAX_PHOTOS`.",
    ),
    Setting(
        "MODEL_SERVER_URL",
        None,
        "",
        "The address of a model server that runs the networks, `http://…` or `https://…`, so that "
        "the site needs no TensorFlow. It speaks the Open Inference Protocol or TensorFlow "
        "Serving's; an address that ends in `/v2` or `/v1` says which. `{model}` in it stands for "
        "a model's name. Unset, the networks run in the site itself.",
    ),
    Setting(
        "MODEL_SERVER_SECONDS",
        10,
        "seconds",
        "The most that one request to the model server may take. After three failures in a row it "
        "is left alone for five seconds.",
    ),
    Setting(
        "WORK_ADMITTED",
        10,
        "requests",
        "The most requests with photos or other bodies that one worker takes at a time, whether "
        "being received, waiting or being answered. Any more are refused (503 with `Retry-After`). "
        "Fewer than the threads in `gunicorn.conf.py`: the others are for pages. One client (as "
        "for `FEEDBACK_HOURLY_CLIENT`) has six tenths of them at most.",
    ),
    Setting(
        "WORK_AT_ONCE",
        3,
        "requests",
        "The most of these for which a network is asked, or an answer written, at a time.",
    ),
    Setting(
        "WORK_SECONDS",
        20,
        "seconds",
        "The longest that a request, once received, waits for a decoder and for its turn; then it "
        "is refused (503 with `Retry-After`).",
    ),
    Setting(
        "CORS_ORIGINS",
        None,
        "",
        "Other sites whose pages may ask `/api`, `/v1` and `/v2` from a browser: their origins, "
        "separated by spaces (`https://one.example https://two.example`), or `*` for all. Unset, "
        "none.",
    ),
    Setting(
        "DATABASE_URL",
        "sqlite:///feedback.sqlite",
        "",
        "Where photos are that visitors asked to have kept: a file of SQLite, relative to "
        "`instance/`, or `postgresql://user:password@host/name`, for which "
        "`requirements-postgresql.txt` must be installed. A plain `DATABASE_URL` in the "
        "environment counts too.",
    ),
    Setting(
        "DATABASE_MIGRATE",
        True,
        "",
        "Make the tables, or bring them up to date, when the site starts. False where its role in "
        "PostgreSQL may not: then `flask db upgrade` does it, as one that may.",
    ),
    Setting(
        "FEEDBACK_LIMIT",
        1000,
        "photos",
        "The most that are kept, at most 320 kB each; beyond it visitors are told that there is no "
        "room. With 0 nobody is asked.",
        least=0,
    ),
    Setting(
        "FEEDBACK_HOURLY",
        60,
        "photos",
        "The most that are kept within an hour, from all visitors together, so that nobody can "
        "use up all the space at once; who sent what is not known.",
    ),
    Setting(
        "FEEDBACK_HOURLY_CLIENT",
        12,
        "photos",
        "The most that are taken from one address (of IPv6, one network of 64 bits) within an "
        "hour, so that one visitor cannot use up `FEEDBACK_HOURLY` for all.",
    ),
    Setting(
        "RATE_LIMIT_STORAGE",
        "memory://",
        "",
        "Where the requests of each client are counted, under a digest of its address: "
        "`memory://` in each worker for itself, `redis://host:6379` or `memcached://host:11211` "
        "for all together, for which `requirements-limits.txt` must be installed. When that is "
        "down, each worker counts for itself.",
    ),
    Setting("FEEDBACK_DAYS", 180, "days", "How long such a photo is kept."),
    Setting(
        "SOURCE_URL",
        None,
        "",
        "Where the code of this site can be read, `https://…`. Every page links it; unset, none "
        "does.",
    ),
    Setting(
        "WTF_CSRF_TIME_LIMIT", 4 * 3600, "seconds", "How long the form on an open page stays valid."
    ),
    Setting("SESSION_COOKIE_SECURE", False, "", "Set it where the site is reached by HTTPS only."),
    Setting(
        "SESSION_COOKIE_SAMESITE",
        "Lax",
        "",
        "Which requests of other sites carry the cookie: Strict, Lax or None.",
        choices=("Strict", "Lax", "None"),
    ),
    Setting(
        "TRUSTED_HOSTS",
        None,
        "",
        "The host names under which the site may be asked, separated by spaces "
        "(`example.org .example.net`, with a dot for all below it); asked under another it answers "
        "400, except for `/livez`, `/readyz` and `/metrics`. Unset, under any: then set it in the "
        "proxy.",
    ),
    Setting(
        "HSTS_SECONDS",
        0,
        "seconds",
        "How long browsers that have connected over HTTPS must use nothing else "
        "(`Strict-Transport-Security`). Set it only where all of the host is reached by HTTPS.",
        least=0,
    ),
    Setting(
        "METRICS_TOKEN",
        None,
        "",
        "What Prometheus sends as `Authorization: Bearer …` to read `/metrics`. Unset, it is read "
        "from this machine only, and not through a proxy.",
    ),
    Setting(
        "TRUSTED_PROXIES",
        0,
        "proxies",
        "How many proxies stand before the site whose `X-Forwarded-` headers are believed.",
        least=0,
    ),
)
FOLDERS = ("MODELS_FOLDER", "DATA_FOLDER", "TRAINING_FOLDER", "STUDIES_FOLDER")


def load(app: Flask, config: Mapping[str, Any] | None = None) -> None:
    """Fill `app.config`; folders become absolute paths.

    Raises:
        SettingError: a value has the wrong type or is out of range, or nothing has that name.
    """
    app.config.from_mapping({setting.name: setting.default for setting in SETTINGS})
    refuse_unknown_names(app.config)
    read_file(app, "config.py")
    if plain := os.environ.get("DATABASE_URL"):
        app.config["DATABASE_URL"] = plain
    app.config.from_prefixed_env(ENVIRONMENT_PREFIX)
    app.config.from_mapping(config or {})
    for setting in SETTINGS:
        app.config[setting.name] = _checked(setting, app.config[setting.name])
    if hosts := app.config["TRUSTED_HOSTS"]:
        app.config["TRUSTED_HOSTS"] = hosts.split()
    app.config["MODELS"] = _chosen(app.config["MODELS"], app.config["DEFAULT_MODEL"])
    for name in FOLDERS:
        app.config[name] = Path(app.instance_path) / app.config[name]
    if key := app.config["MODELS_PUBLIC_KEY"]:
        app.config["MODELS_PUBLIC_KEY"] = Path(app.instance_path) / key
    if not app.config["SECRET_KEY"]:
        app.config["SECRET_KEY"] = kept_secret(Path(app.instance_path) / "secret_key")
    if proxies := app.config["TRUSTED_PROXIES"]:
        fixed = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies)
        app.wsgi_app = fixed  # type: ignore[method-assign]


def _checked(setting: Setting, value: Any) -> Any:
    if isinstance(setting.default, bool):
        if not isinstance(value, bool):
            raise SettingError(f"{setting.name} must be true or false, not {value!r}.")
    elif isinstance(setting.default, int):
        if not isinstance(value, int) or isinstance(value, bool) or value < setting.least:
            raise SettingError(
                f"{setting.name} must be a whole number from {setting.least}, not {value!r}."
            )
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        # The environment reads what looks like a number as one: a key of digits is still a key.
        value = str(value)
    elif value is not None and not isinstance(value, (str, bytes, Path)):
        raise SettingError(f"{setting.name} must be text, not {value!r}.")
    if setting.choices and value not in setting.choices:
        raise SettingError(f"{setting.name} must be {' or '.join(setting.choices)}, not {value!r}.")
    if value in (None, "") and setting.default is not None:
        raise SettingError(f"{setting.name} must not be empty.")
    if setting.name == "SECRET_KEY" and value is not None and len(value) < LEAST_KEY:
        raise SettingError(
            f"SECRET_KEY must have {LEAST_KEY} characters at least, not {len(value)}. Unset, one "
            "is made."
        )
    if setting.name in ("SOURCE_URL", "MODEL_SERVER_URL") and value and not _is_address(str(value)):
        raise SettingError(f"{setting.name} must begin with https:// or http://, not {value!r}.")
    return value


def _is_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _chosen(models: str | None, default: str) -> tuple[str, ...] | None:
    """Return the names in the setting `MODELS`; None for all models."""
    names = tuple((models or "").replace(",", " ").split())
    if names and default not in names:
        raise SettingError(
            f"DEFAULT_MODEL is {default!r}, which MODELS leaves out ({' '.join(names)}). Name it "
            "there, or set DEFAULT_MODEL to one of these."
        )
    return names or None
