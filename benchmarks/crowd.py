"""What everybody waits when 64 come at once: `python -m benchmarks.crowd [--clients 64]`

A quarter reads pages, half sends photos by the form, a quarter sends photos as programs do; each
asks again as soon as it is answered, and whoever is refused waits as long as it is told.  A real
gunicorn answers, as `make serve` starts it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.load.clients import Reply, Visitor, Waits, form, together
from tests import pictures, server

PAGES = ("/", "/models/", "/gallery/", "/about", "/livez")


def photo(width: int = 1600, height: int = 1200) -> bytes:
    """Return a JPEG of about the size in which a phone sends photos on."""
    small = np.random.default_rng(0).integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    large = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return pictures.encode(large, "JPEG", quality=85)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Many clients at once.")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with server.running(Path(folder) / "log") as address:
            waits = crowd(address, given.clients, given.seconds)
    print(f"{given.clients} clients for {given.seconds:.0f} s\n")
    waits.print_table()


def crowd(address: str, clients: int, seconds: float) -> Waits:
    """Let `clients` ask the site at `address`."""
    waits, sent = Waits(), photo()

    def heed(reply: Reply, going: Callable[[], bool]) -> None:
        until = time.monotonic() + int(reply.headers.get("Retry-After", "0"))
        while reply.status == 503 and time.monotonic() < until and going():
            time.sleep(0.1)

    def reads(going: Callable[[], bool]) -> None:
        visitor = Visitor(address)
        while going():
            for page in PAGES:
                waits.add("a page" if page != "/livez" else page, visitor.get(page))

    def uploads(going: Callable[[], bool]) -> None:
        visitor = Visitor(address)
        while going():
            reply = visitor.upload(sent)
            waits.add(f"a form, {reply.status}", reply)
            heed(reply, going)

    def asks(going: Callable[[], bool]) -> None:
        visitor = Visitor(address)
        while going():
            reply = visitor.post("/api/classify", *form(sent))
            waits.add(f"the API, {reply.status}", reply)
            heed(reply, going)

    kinds = (reads, uploads, uploads, asks)
    together([kinds[number % 4] for number in range(clients)], seconds)
    return waits


if __name__ == "__main__":
    main()
