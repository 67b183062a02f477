"""ONNX: one file, with the metadata in `metadata_props`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from model_training.bundles.exporting.backend import (
    FEATURES,
    INPUT,
    PROBABILITIES,
    ExportedBackend,
    Floats,
    Outputs,
)
from model_training.bundles.exporting.metadata import KEY


def open_onnx(path: Path) -> ExportedBackend:
    """Open the ONNX file `path` in ONNX Runtime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(pixels: Floats) -> Outputs:
        features, probabilities = session.run([FEATURES, PROBABILITIES], {INPUT: pixels})
        return Outputs(np.asarray(features), np.asarray(probabilities))

    (image,) = session.get_inputs()
    shape = {one.name: one.shape for one in session.get_outputs()}[FEATURES]
    # An axis without a length has a name.
    sizes = tuple(side if isinstance(side, int) else None for side in image.shape)
    return ExportedBackend(run, sizes, int(shape[1]))


def write_metadata(path: Path, text: str) -> None:
    """Put `text` into the ONNX file `path`."""
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(model, {KEY: text})
    onnx.save(model, path)


def read_metadata(path: Path) -> str:
    """Return the metadata of the ONNX file `path`.

    Raises:
        KeyError: it has none of ours.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return str(session.get_modelmeta().custom_metadata_map[KEY])
