"""LiteRT, once TensorFlow Lite: one file, with the metadata in a buffer named in `metadata`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

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


def options() -> dict[str, Any]:
    """Return what Keras' exporter is to be told."""
    import tensorflow as tf

    # Keras would let operations of TensorFlow in, and a phone's runtime has none of those.
    return {"target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}}


def open_litert(path: Path) -> ExportedBackend:
    """Open the LiteRT file `path` in the interpreter that comes with TensorFlow."""
    import tensorflow as tf

    with warnings.catch_warnings():
        # TensorFlow says that its copy of LiteRT's interpreter will move to a package of its own.
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated")
        interpreter = tf.lite.Interpreter(str(path))
    signature = interpreter.get_signature_runner()
    image = signature.get_input_details()[INPUT]
    width = signature.get_output_details()[FEATURES]["shape"][1]

    def run(pixels: Floats) -> Outputs:
        # The runner makes room for as many images as come.
        found = signature(**{INPUT: pixels})
        return Outputs(found[FEATURES], found[PROBABILITIES])

    # Until it is told otherwise, the interpreter has room for one image.
    return ExportedBackend(run, tuple(int(size) for size in image["shape"]), int(width))


def write_metadata(path: Path, text: str) -> None:
    """Put `text` into the LiteRT file `path`."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(text.encode(), np.uint8)
    entry.name, entry.buffer = KEY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def read_metadata(path: Path) -> str:
    """Return the metadata of the LiteRT file `path`.

    Raises:
        KeyError: it has none of ours.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.Model.GetRootAs(path.read_bytes())
    for number in range(model.MetadataLength()):
        entry = model.Metadata(number)
        if entry.Name() == KEY.encode():
            return bytes(model.Buffers(entry.Buffer()).DataAsNumpy()).decode()
    raise KeyError(KEY)
