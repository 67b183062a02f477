"""An export in KServe's own Python server, both of its protocols: docs/deploy.md says how.

    python deploy/kserve_server.py --http_port=8001 best-cnn.onnx fast-cnn.onnx

Each file is a network that `flask export NAME --format onnx` wrote; it is served by its own name.
It needs the packages in requirements-serving.txt, in an environment of their own.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import kserve
import numpy as np
import onnxruntime

TYPES = {"tensor(float)": "FP32"}


class Export(kserve.Model):
    """One export, opened in ONNX Runtime.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path.stem)
        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.ready = True

    async def get_input_types(self) -> list[dict[str, Any]]:
        """Describe the input."""
        return [_described(one) for one in self._session.get_inputs()]

    async def get_output_types(self) -> list[dict[str, Any]]:
        """Describe the outputs."""
        return [_described(one) for one in self._session.get_outputs()]

    def predict(
        self,
        payload: kserve.InferRequest | dict[str, Any],
        headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> kserve.InferResponse | dict[str, Any]:
        """Run the network on the pictures of a request, of either protocol."""
        (image,) = self._session.get_inputs()
        names = [one.name for one in self._session.get_outputs()]
        if isinstance(payload, dict):
            pictures = np.asarray(payload["instances"], np.float32)
            rows = zip(*self._session.run(names, {image.name: pictures}), strict=True)
            columns = [[one.tolist() for one in row] for row in rows]
            return {"predictions": [dict(zip(names, row, strict=True)) for row in columns]}
        pictures = payload.inputs[0].as_numpy().astype(np.float32)
        found = self._session.run(names, {image.name: pictures})
        outputs = []
        for name, array in zip(names, found, strict=True):
            output = kserve.InferOutput(name, list(array.shape), "FP32")
            output.set_data_from_numpy(array, binary_data=False)
            outputs.append(output)
        return kserve.InferResponse(
            response_id=payload.id, model_name=self.name, infer_outputs=outputs
        )


def _described(tensor: Any) -> dict[str, Any]:
    shape = [length if isinstance(length, int) else -1 for length in tensor.shape]
    return {"name": tensor.name, "datatype": TYPES[tensor.type], "shape": shape}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[kserve.model_server.parser])
    parser.add_argument("exports", nargs="+", type=Path)
    arguments = parser.parse_args()
    kserve.ModelServer().start([Export(path) for path in arguments.exports])
