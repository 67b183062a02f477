"""The memory of a worker, and how soon it is ready: `python -m benchmarks.memory`

Runs the site under gunicorn with two workers that load no model, the default one and all, and asks
Linux for a worker's anonymous memory that is its own, neither a file's nor shared, and for that of
the server and its workers together.  Once all models are loaded, and again after some hundred
requests of every kind: photos of 12 megapixels, several at a time, batches of pixels, pages with
heat maps of every model, the gallery.  Then what the parts of a start cost, each import in a
process of its own.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from itertools import cycle, islice
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.site import PROJECT, Site, memory, own_memory, running
from webapp.library.shelf import SECONDS_BETWEEN_TRIMS
from webapp.settings import SETTINGS

DEFAULT = next(str(one.default) for one in SETTINGS if one.name == "DEFAULT_MODEL")
EXAMPLES = sorted(
    path
    for path in (PROJECT / "static" / "examples").glob("*.jpg")
    if not path.stem.endswith("-small")
)
WORKERS = 2
CLIENTS = 6
REQUESTS = 400
PARTS = (
    ("Python, NumPy", "import numpy"),
    ("SciPy's functions, for judges", "import scipy.special"),
    ("Flask, Pillow, SQLAlchemy, the site itself", "import webapp; webapp.create_app()"),
    ("TensorFlow with Keras", "from webapp.serving.runtime import prepare; prepare()"),
)
NOT_IMPORTED = (
    ("JAX", frozenset({"pandas", "sklearn"})),
    ("pandas", frozenset({"jax", "jaxlib", "sklearn"})),
    ("scikit-learn, which imports pandas", frozenset({"jax", "jaxlib"})),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--only", choices=("none", "one", "all", "parts"))
    arguments = parser.parse_args()
    settings: dict[str, dict[str, Any]] = {
        # Without a model nothing is ever ready.
        "none": {"MODELS_FOLDER": "none", "ready": "/livez"},
        "one": {"MODELS": DEFAULT},
        "all": {},
    }
    print("anonymous megabytes of a worker that are its own, and of the server with both workers")
    for title, chosen in settings.items():
        if arguments.only in (None, title):
            _measure(title, chosen, arguments.requests)
    if arguments.only in (None, "parts"):
        _print_parts()


def _measure(title: str, settings: dict[str, Any], requests: int) -> None:
    with running(workers=WORKERS, **settings) as (site, seconds):
        # Each worker tells its own states, and either may be asked.
        while any("loading" in (states := _states(site)).values() for _ in range(8)):
            time.sleep(0.5)
        time.sleep(3)
        at_start = _held(site)
        loaded = [name for name, state in states.items() if state == "loaded"]
        print(f"{title}: {len(loaded)} models, ready after {seconds:.1f} s; at start {at_start}")
        if not loaded:
            return
        # Twice, since what grows once is a cache, and what grows on is a leak.
        for part in ("first", "second"):
            answered = _load(site, loaded, requests // 2)
            time.sleep(SECONDS_OF_REST)
            print(f"  after the {part} {answered} requests: {_held(site)}")


def _held(site: Site) -> str:
    own = [own_memory(worker) for worker in site.workers()]
    # Of what is shared, each process is counted for its part.
    together = sum(memory(one)["Pss_Anon"] for one in (site.server, *site.workers()))
    return f"{min(own):.0f} to {max(own):.0f} each, {together:.0f} together"


SECONDS_OF_REST = 1.5 * SECONDS_BETWEEN_TRIMS


def _states(site: Site) -> dict[str, str]:
    found = json.loads(site.ask("GET", "/readyz")[1])["models"]
    return {name: one["state"] for name, one in found.items()}


def _load(site: Site, models: list[str], count: int) -> int:
    kinds = cycle([kind for model in models for kind in _requests(site, model)])
    queue: SimpleQueue[Callable[[], tuple[int, bytes]]] = SimpleQueue()
    for one in islice(kinds, count):
        queue.put(one)
    answered: list[int] = []

    def ask() -> None:
        while True:
            try:
                answered.append(queue.get_nowait()()[0])
            except Empty:
                return

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if refused := [status for status in answered if status not in (200, 503)]:
        raise RuntimeError(f"It answered {refused[0]}:\n{site.log.read_text('utf-8')[-2000:]}")
    return answered.count(200)


def _requests(site: Site, model: str) -> list[Callable[[], tuple[int, bytes]]]:
    photo = EXAMPLES[0].read_bytes()
    with Image.open(EXAMPLES[0]) as small:
        large = io.BytesIO()
        small.convert("RGB").resize((4000, 3000)).save(large, "JPEG")
    pixels = np.random.default_rng(0).integers(0, 256, (32, 96, 96, 3), np.uint8)
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "pixels",
                    "shape": list(pixels.shape),
                    "datatype": "UINT8",
                    "parameters": {"binary_data_size": pixels.nbytes},
                }
            ]
        }
    ).encode()
    several = _form([path.read_bytes() for path in EXAMPLES[:8]])
    one = _form([photo])
    api = f"/api/classify?model={model}"

    def batch() -> tuple[int, bytes]:
        length = {"Inference-Header-Content-Length": str(len(head))}
        path = f"/v2/models/{model}/infer"
        return site.ask("POST", path, head + pixels.tobytes(), "application/octet-stream", length)

    return [
        lambda: site.ask("POST", api, photo, "image/jpeg"),
        lambda: site.ask("POST", api, large.getvalue(), "image/jpeg"),
        lambda: site.ask("POST", api, *several),
        lambda: site.ask("GET", f"/?photo={EXAMPLES[0].stem}&model={model}"),
        lambda: site.ask("POST", api, *one),
        batch,
        lambda: site.ask("GET", f"/models/{model}"),
        lambda: site.ask("GET", f"/gallery/?model={model}"),
    ]


def _form(photos: list[bytes]) -> tuple[bytes, str]:
    limit = uuid.uuid4().hex
    parts = [
        f'--{limit}\r\nContent-Disposition: form-data; name="image"; filename="{number}.jpg"'
        "\r\n\r\n".encode()
        + photo
        + b"\r\n"
        for number, photo in enumerate(photos)
    ]
    body = b"".join(parts) + f"--{limit}--\r\n".encode()
    return body, f"multipart/form-data; boundary={limit}"


def _print_parts() -> None:
    print("\nparts of a start, each after those before it")
    done, last = "pass", _anonymous("pass")
    print(f"  {'an empty process':45} {last:5.0f}")
    for title, code in PARTS:
        done = f"{done}; {code}"
        now = _anonymous(done)
        print(f"  {title:45} {now - last:+5.0f}")
        last = now
    print("what is not imported, where it is installed")
    everything = frozenset({"jax", "jaxlib", "pandas", "sklearn"})
    least = _anonymous(_importing(everything))
    for title, absent in NOT_IMPORTED:
        print(f"  {title:45} {_anonymous(_importing(absent)) - least:+5.0f}")


def _importing(absent: frozenset[str]) -> str:
    return (
        "from webapp.serving.runtime import absent\n"
        f"with absent(frozenset({sorted(absent)})): import tensorflow"
    )


def _anonymous(code: str) -> float:
    told = "import os; from benchmarks.site import memory; print(memory(os.getpid())['Anonymous'])"
    process = subprocess.run(
        [sys.executable, "-c", f"{code}\n{told}"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(process.stdout.split()[-1])


if __name__ == "__main__":
    main()
