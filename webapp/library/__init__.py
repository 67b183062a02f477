"""What the site serves from: bundles, data sets and loaded networks.

`content` is what there is at one moment, `inventory` what was found and what has changed since,
`shelf` the place where the one of now stands, and `reloading` how a running site is asked to look
again.
"""

from webapp.library.content import NO_AUDIT, Library, ModelState, Result
from webapp.library.shelf import get_library, init_app, load_library, open_library

__all__ = [
    "NO_AUDIT",
    "Library",
    "ModelState",
    "Result",
    "get_library",
    "init_app",
    "load_library",
    "open_library",
]
