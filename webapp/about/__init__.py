"""`/about`: what the site is, what becomes of a photo, and how programs ask it."""

from __future__ import annotations

from flask import Blueprint, current_app, render_template
from flask.typing import ResponseReturnValue

from webapp.answering.received import limits
from webapp.library import get_library
from webapp.opening.example_photos import example_photos

bp = Blueprint("about", __name__)

ONE_WEEK = 7 * 24 * 3600


@bp.get("/about")
def page() -> ResponseReturnValue:
    """Show what the site is, what becomes of photos, and how programs use it."""
    return render_template(
        "about/page.html", library=get_library(), limits=limits(), photos=example_photos()
    )


@bp.get("/favicon.ico")
def favicon() -> ResponseReturnValue:
    """Send the icon, from the address at which browsers look for one unasked."""
    response = current_app.send_static_file("favicon.ico")
    response.cache_control.max_age = ONE_WEEK
    return response
