"""The site's entry point for a server: `gunicorn wsgi:app`.  The `flask` command finds it too."""

from __future__ import annotations

import logging
import os
import sys

from webapp import create_app
from webapp.feedback import prepare_at_start
from webapp.library import open_library
from webapp.serving.memory import keep_in_bounds
from webapp.serving.runtime import multiply_alone
from webapp.settings import SettingError

# The commands (`flask train`, `flask data fetch` ...) import this module as well and serve nobody.
is_command = os.environ.get("FLASK_RUN_FROM_CLI") == "true"

try:
    app = create_app()
    # Before the first request, so that a visitor never waits for a model to load.
    if not is_command:
        app.logger.setLevel(logging.INFO)
        keep_in_bounds()
        multiply_alone()
        open_library(app)
except SettingError as error:
    # Where it was noticed is of no use to whoever typed a command, or runs the server.
    if is_command:
        sys.exit(f"Error: {error}")
    if "gunicorn.arbiter" in sys.modules:
        from gunicorn.errors import AppImportError  # type: ignore[import-untyped]

        raise AppImportError(f"Error: {error}") from error
    raise

if not is_command:
    prepare_at_start(app)
