"""Ten Classes: the website that shows and serves trained image classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask

from model_training.networks.importing import silence_tensorflow

PROJECT = Path(__file__).resolve().parent.parent

# Here, because whatever of the site is imported next may bring TensorFlow along.
silence_tensorflow()


def create_app(config: Mapping[str, Any] | None = None, instance_path: Path | None = None) -> Flask:
    """Make the site.

    Settings come from `webapp.settings`, then `config.py` in the instance folder, then environment
    variables that begin with `TENCLASSES_`, then `config`.
    """
    from webapp import (
        about,
        api,
        cli,
        comparison,
        dataset,
        errors,
        feedback,
        filters,
        gallery,
        health,
        library,
        security,
        settings,
        static_files,
        studies,
        upload,
    )
    from webapp.limits import admission, by_client
    from webapp.operating import metrics, tracing

    app = Flask(
        __name__,
        root_path=str(PROJECT),
        instance_path=str(instance_path or PROJECT / "instance"),
        instance_relative_config=True,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    settings.load(app, config)
    # The first of these sees a request first, and its answer last.
    for feature in (
        metrics,
        admission,
        security,
        by_client,
        static_files,
        library,
        filters,
        errors,
        cli,
        api,
        feedback,
        health,
    ):
        feature.init_app(app)
    for part in (upload, gallery, comparison, dataset, feedback, api, health, about, studies):
        app.register_blueprint(part.bp)
    tracing.init_app(app)
    return app
