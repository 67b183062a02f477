"""TensorFlow's SavedModel: a folder, with the metadata in `assets.extra/ten_classes.json`."""

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

EXTRA = f"assets.extra/{KEY}.json"
"""TensorFlow leaves `assets.extra` to whoever makes a SavedModel; TensorFlow Serving serves one
with it."""
SIGNATURE = "serving_default"


def open_saved_model(path: Path) -> ExportedBackend:
    """Open the SavedModel in the folder `path` in TensorFlow."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures[SIGNATURE]

    def run(pixels: Floats) -> Outputs:
        # By way of `loaded`, which keeps the signature alive.
        found = loaded.signatures[SIGNATURE](**{INPUT: tf.constant(pixels)})
        return Outputs(np.asarray(found[FEATURES]), np.asarray(found[PROBABILITIES]))

    (image,) = signature.structured_input_signature[1].values()
    width = signature.structured_outputs[FEATURES].shape[1]
    return ExportedBackend(run, tuple(image.shape), int(width))


def write_metadata(path: Path, text: str) -> None:
    """Put `text` into the SavedModel in the folder `path`."""
    extra = path / EXTRA
    extra.parent.mkdir(exist_ok=True)
    extra.write_text(text + "\n", encoding="utf-8")


def read_metadata(path: Path) -> str:
    """Return the metadata of the SavedModel in the folder `path`.

    Raises:
        KeyError: it has none of ours.
    """
    try:
        return (path / EXTRA).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise KeyError(KEY) from error
