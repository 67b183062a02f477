"""The formats of an export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_training.bundles.exporting import litert, onnx_file, saved_model
from model_training.bundles.exporting.backend import ExportedBackend


@dataclass(frozen=True)
class Format:
    """One form of an exported network.

    `any_size` says whether the form can hold a network that takes pictures of any size; in the
    others their side is fixed.

    Args:
        keras_name: what Keras calls it.
        suffix: of its file; empty where it is a folder.
        packages: that are needed beside those of requirements.txt, as they are imported.
        open: opens an export in its runtime.
        write_metadata: puts a text into an export.
        read_metadata: gets it out again; KeyError where there is none.
        options: for Keras' exporter.
        several: how several pictures are given at once, where that takes a word.
    """

    name: str
    keras_name: str
    suffix: str
    packages: tuple[str, ...]
    any_size: bool
    runs_on: str
    open: Callable[[Path], ExportedBackend]
    write_metadata: Callable[[Path, str], None]
    read_metadata: Callable[[Path], str]
    options: Callable[[], dict[str, Any]] = dict
    several: str = ""

    def file_name(self, bundle: str) -> str:
        """Return the name of the export of `bundle` where nothing else is said."""
        return f"{bundle}{self.suffix or '-saved-model'}"


FORMATS = {
    form.name: form
    for form in (
        Format(
            "saved_model",
            "tf_saved_model",
            "",
            (),
            True,
            "TensorFlow",
            saved_model.open_saved_model,
            saved_model.write_metadata,
            saved_model.read_metadata,
        ),
        Format(
            "onnx",
            "onnx",
            ".onnx",
            ("onnx", "onnxruntime", "tf2onnx"),
            # ONNX has a bicubic resizing, and it is another: with it a probability of MobileNetV2
            # is off by up to 1.0e-3, with constant matrices by 6.5e-6.
            False,
            "ONNX Runtime",
            onnx_file.open_onnx,
            onnx_file.write_metadata,
            onnx_file.read_metadata,
        ),
        Format(
            "litert",
            "litert",
            ".tflite",
            (),
            False,
            "LiteRT",
            litert.open_litert,
            litert.write_metadata,
            litert.read_metadata,
            litert.options,
            "more at once through the signature, or after resize_tensor_input",
        ),
    )
}
