"""The site's entry point for a server: `gunicorn wsgi:app`.  The `flask` command finds it too."""

from __future__ import annotations

import os

from webapp import create_app
from webapp.feedback import purge_at_start
from webapp.library import load_library

app = create_app()

# Before the first request, so that a visitor never waits for a model to load.  The commands
# (`flask train`, `flask data fetch` ...) import this module as well and serve nobody.
if os.environ.get("FLASK_RUN_FROM_CLI") != "true":
    load_library(app)
    purge_at_start(app)
