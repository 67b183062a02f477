"""Files that stay as they are: named by what is in them, so that a browser may keep them for good;
and answers made smaller on their way.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from flask_compress import Compress
from werkzeug.security import safe_join

from webapp.security import carries_token

FOR_GOOD = "public, max-age=31536000, immutable"
VERSION = "v"


def init_app(app: Flask) -> None:
    """Name the static files of `app` by their digests, and compress its answers."""
    folder = Path(app.static_folder or "")
    kept = cache(_digest)

    def digest(filename: str) -> str | None:
        # By the path that Flask sends, which has no `x/..`: a file that is asked for under ever new
        # spellings is kept once.
        path = safe_join(str(folder), filename)
        return kept(Path(path)) if path else None

    @app.url_defaults
    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static" and (version := digest(values.get("filename", ""))):
            values.setdefault(VERSION, version)

    app.config.update(COMPRESS_REGISTER=False, COMPRESS_STREAMS=False)
    compress = Compress(app)
    compress.compress_mimetypes_set |= {"text/csv"}

    @app.after_request
    def finish(response: Response) -> Response:
        if request.endpoint == "static" and response.status_code in (200, 304):
            named = request.args.get(VERSION)
            if named and named == digest((request.view_args or {})["filename"]):
                response.headers["Cache-Control"] = FOR_GOOD
            if response.mimetype in compress.compress_mimetypes_set:
                response.direct_passthrough = False
                response.make_sequence()  # a few kilobytes: in one piece they can be compressed
        # How well a page with a secret in it compresses tells about the secret (BREACH).
        return response if carries_token() else compress.after_request(response)


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:
        return None
