"""What a server's workers have in common: the site's code and TensorFlow, imported before the fork.

That is most of a worker's start and most of its memory.  Workers that are forked from a process
that has imported it share its pages, and one that takes the place of another only has to load its
models.  TensorFlow begins its threads with its first operation, which is left to the workers: a
network that was loaded before the fork would wait for threads that only the parent has.
"""

from __future__ import annotations

import gc
import importlib
import pkgutil
import sys

from flask import Flask

import webapp
from webapp import settings


def import_for_workers() -> None:
    """Import all that workers will.  TensorFlow only if the site of this folder runs networks.

    What is wrong with the settings, or missing, is left to the workers to say.
    """
    # Elsewhere than on Linux a fork carries less over: Apple's libraries do not outlive one.
    if sys.platform != "linux":
        return
    for module in pkgutil.iter_modules(webapp.__path__):
        importlib.import_module(f"webapp.{module.name}")
    if _runs_networks():
        from webapp.serving.runtime import prepare

        prepare()
    gc.freeze()


def _runs_networks() -> bool:
    from webapp.library.inventory import Inventory

    app = Flask(
        __name__, instance_path=str(webapp.PROJECT / "instance"), instance_relative_config=True
    )
    try:
        settings.load(app)
    except settings.SettingError:
        return False
    return Inventory(app).has_networks()
