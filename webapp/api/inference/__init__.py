"""Protocols that clients of model servers already speak: the Open Inference Protocol (`/v2`) and
TensorFlow Serving's REST interface (`/v1`).

Both ask the same judge as the site's pages; pictures come encoded, or as pixels.  An error is
`{"error": "..."}`, as both protocols have it.
"""

from __future__ import annotations

from flask import Flask

from webapp.api.inference import open_inference, served, tensorflow_serving
from webapp.security import csrf


def init_app(app: Flask) -> None:
    """Add both protocols to `app`.

    Their requests carry no token and need none: nothing here reads a cookie or changes anything.
    """
    app.url_map.converters["model_name"] = served.ModelName
    for part in (open_inference, tensorflow_serving):
        csrf.exempt(part.bp)
        app.register_blueprint(part.bp)
