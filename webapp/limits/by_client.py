"""How often one client may do a thing, counted by Flask-Limiter.

A blueprint decorates what it wants limited: `@limiter.limit(lambda: f"{number} per hour")`.
Past the limit RateLimitExceeded is raised, a 429 with Retry-After.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import time

from flask import Flask, Response, current_app, request
from flask_limiter import Limiter
from limits.errors import ConfigurationError

from webapp.settings import SettingError


def client() -> str:
    """Return a name for whoever sends this request, from which no address can be read.

    An IPv6 network of 64 bits is one client: whoever has an address there can use them all.
    """
    text = request.remote_addr or ""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        pass  # over a Unix socket there is none
    else:
        if isinstance(address, ipaddress.IPv6Address):
            mapped = address.ipv4_mapped
            text = str(mapped or ipaddress.ip_network((address, 64), strict=False))
    key = current_app.config["SECRET_KEY"]
    key = key.encode() if isinstance(key, str) else key
    return hmac.new(key, b"client:" + text.encode(), hashlib.sha256).hexdigest()[:32]


limiter = Limiter(client, strategy="sliding-window-counter", in_memory_fallback_enabled=True)


def init_app(app: Flask) -> None:
    """Let `limiter` count for `app`, where the setting RATE_LIMIT_STORAGE says.

    Raises:
        SettingError: it cannot count there.
    """
    app.config["RATELIMIT_STORAGE_URI"] = app.config["RATE_LIMIT_STORAGE"]
    try:
        limiter.init_app(app)
    except (ConfigurationError, ImportError, ValueError) as error:
        lines = str(error).strip().splitlines() or ["it is not known"]
        raise SettingError(f"RATE_LIMIT_STORAGE cannot be used: {lines[0].rstrip('.')}.") from error

    @app.after_request
    def say_when(response: Response) -> Response:
        # Flask-Limiter's own header would replace those of refusals that are not its own.
        passed = limiter.current_limit
        if response.status_code == 429 and passed and passed.breached:
            seconds = max(1, math.ceil(passed.reset_at - time.time()))
            response.headers.setdefault("Retry-After", str(seconds))
        return response
