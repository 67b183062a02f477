"""A batch through `/v2` beside the bare compiled function: `python -m benchmarks.inference`

The whole request, from its bytes to those of the answer, without the network between machines.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.timing import alternate, print_table
from webapp import create_app
from webapp.library import load_library

MODEL = "custom-cnn"
BATCH = 256
ROUNDS = 7


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
    print_table(
        alternate(
            {
                "/v2, binary": ask,
                "compiled function, 256 at once": lambda: backend.features(pixels),
                "compiled function, 32 at a time": lambda: [
                    backend.features(pixels[start : start + 32]) for start in range(0, BATCH, 32)
                ],
            },
            ROUNDS,
        ),
        BATCH,
        "image",
    )


if __name__ == "__main__":
    main()
