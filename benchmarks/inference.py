"""What the interfaces cost beside the network: `python -m benchmarks.inference`

A batch through `/v2` beside the bare compiled function, and what `/api/classify` adds to opening a
small picture and asking the network.  The whole request, from its bytes to those of the answer,
without the network between machines.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from pathlib import Path

import numpy as np
from flask import Flask

from benchmarks.against_gradio import form, small_photo
from benchmarks.timing import alternate, print_table
from webapp import create_app
from webapp.library import load_library

MODEL = "custom-cnn"
BATCH = 256
ROUNDS = 7
SHARE = 0.9
"""The share of the bare function's speed that a batch is to reach."""
MOST_ADDED = 3.0
"""The most milliseconds that a request may take beside opening the picture and the network."""


def main() -> None:
    """Measure and print."""
    instance = Path(__file__).resolve().parent.parent / "instance"
    app = create_app(instance_path=instance)
    backend = load_library(app).classifiers[MODEL].backend
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, 32, 32, 3), np.uint8)
    tensor = {
        "name": "pixels",
        "datatype": "UINT8",
        "shape": list(pixels.shape),
        "parameters": {"binary_data_size": pixels.nbytes},
    }
    wanted = [{"name": "probabilities", "parameters": {"binary_data": True}}]
    header = json.dumps({"inputs": [tensor], "outputs": wanted}).encode()
    client = app.test_client()

    def ask() -> None:
        answer = client.post(
            f"/v2/models/{MODEL}/infer",
            data=header + pixels.tobytes(),
            headers={"Inference-Header-Content-Length": str(len(header))},
        )
        assert answer.status_code == 200

    print(f"{BATCH} images through {MODEL}")
    seconds = alternate(
        {
            "/v2, binary": ask,
            "compiled function, 256 at once": lambda: backend.features(pixels),
            "compiled function, 32 at a time": lambda: [
                backend.features(pixels[start : start + 32]) for start in range(0, BATCH, 32)
            ],
        },
        ROUNDS,
    )
    print_table(seconds, BATCH, "image")
    asked, *bare = seconds.values()
    # Of the two ways to ask the bare function, the quicker one.
    best = min(bare, key=statistics.median)
    reached = statistics.median(one / mine for one, mine in zip(best, asked, strict=True))
    print(f"{reached:.0%} of the bare function's speed; at least {SHARE:.0%} wanted")

    added = _added(app)
    print(f"\n/api/classify, a PNG of 32x32 pixels, {MODEL}")
    print(f"{added:.1f} ms beside opening and network; at most {MOST_ADDED:g} wanted")


def _added(app: Flask) -> float:
    """Return the milliseconds of a request beside what its `Server-Timing` names as that."""
    body, content_type = form("image", small_photo())
    client = app.test_client()
    more = []
    for _ in range(20 * ROUNDS):
        started = time.perf_counter()
        answer = client.post(f"/api/classify?model={MODEL}", data=body, content_type=content_type)
        took = time.perf_counter() - started
        assert answer.status_code == 200
        stages = dict(re.findall(r"(\w+);dur=([\d.]+)", answer.headers["Server-Timing"]))
        more.append(1000 * took - float(stages["decode"]) - float(stages["network"]))
    return statistics.median(more)


if __name__ == "__main__":
    main()
