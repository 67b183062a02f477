"""A bundle's network in a form that other programs run: TensorFlow, ONNX Runtime, a phone.

What is written is run in its own runtime on real test images before it takes its place, and its
probabilities are compared with those of the network it was made from.  TensorFlow does the
converting, whatever backend the network was trained on.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model_training.bundles.bundle import Bundle
from model_training.files import remove_leftovers, whole_file, whole_folder
from model_training.networks.inference import INPUT, for_inference
from model_training.networks.loading import NetworkError, load_network

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-3
"""How far a probability of the exported network may lie from the original's: 0.1 of 100%.

Runtimes add up in another order, which moves probabilities by less than a hundredth of this.  What
a wrong conversion does, such as one that leaves augmentation on, is a hundred times as much.
"""
CHECKED_IMAGES = 200
_BATCH = 50

Floats = NDArray[np.floating[Any]]
Run = Callable[[Floats], Floats]


class ExportError(Exception):
    """A network cannot be exported, or was not exported rightly; the message says what to do."""


@dataclass(frozen=True)
class Format:
    """One form of an exported network.

    `any_size` says whether the form can hold a network that takes pictures of any size; in the
    others their side is fixed.

    Args:
        keras_name: what Keras calls it.
        suffix: of its file; empty where it is a folder.
        packages: that are needed beside those of requirements.txt, as they are imported.
    """

    name: str
    keras_name: str
    suffix: str
    packages: tuple[str, ...]
    any_size: bool
    runs_on: str
    open: Callable[[Path], Run]

    def file_name(self, bundle: str) -> str:
        """What the export of `bundle` is called where nothing else is said."""
        return f"{bundle}{self.suffix or '-saved-model'}"


@dataclass(frozen=True)
class Exported:
    """What was written: `size` is in bytes, `input_shape` has None where any number will do.

    `difference` is the largest between any two probabilities that were compared, on `images` test
    images.
    """

    path: Path
    size: int
    input_shape: tuple[int | None, ...]
    images: int
    difference: float


def export(
    bundle: Bundle,
    form: Format,
    path: Path,
    images: NDArray[np.uint8],
    *,
    size: int | None = None,
    replace: bool = False,
) -> Exported:
    """Write `bundle`'s network to `path` as `form`, checked, whole or not at all.

    Args:
        images: real ones to check it on, uint8 (count, height, width, 3).
        size: the side of the pictures that it will take, for a network that resizes; None leaves
            that open where `form` allows it, and is otherwise the size that the network works at.
        replace: whether an export that is at `path` already is replaced.

    Raises:
        ExportError: something is missing or in the way, or the check failed; `path` is as before.
        OSError: a file cannot be written.
    """
    _refuse_to_overwrite(path, form, replace)
    network = _load(bundle, form)
    # Only now: what is refused is refused at once.
    import keras
    import tensorflow as tf

    if network.input_shape[1] is None:
        size = size or (None if form.any_size else bundle.card.input_size)
    elif size not in (None, network.input_shape[1]):
        raise ExportError(
            f"{bundle.name} takes {network.input_shape[1]}x{network.input_shape[1]} pixels and "
            "nothing else: leave --size out."
        )
    model = for_inference(network, size)
    remove_leftovers(path, older_than=3600)
    try:
        with _whole(path, form) as temporary, _quiet():
            model.export(
                str(temporary),
                format=form.keras_name,
                verbose=False,
                input_signature=[keras.InputSpec("float32", model.input_shape, name=INPUT)],
                **_options(form),
            )
            difference = _largest_difference(network, form.open(temporary), model, images)
    except (ExportError, OSError):
        raise
    except (tf.errors.ResourceExhaustedError, tf.errors.UnknownError) as error:
        # TensorFlow writes its files itself, and says so of a full disk.
        raise OSError(error.message.splitlines()[0]) from error
    except Exception as error:  # Converters and runtimes promise nothing about what they raise.
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise ExportError(
            f"{bundle.name} cannot be written as {form.name}: {why[0]} Try another --format."
        ) from error
    return Exported(path, _size(path), model.input_shape, len(images), difference)


def _load(bundle: Bundle, form: Format) -> keras.Model:
    if bundle.model_path is None:
        raise ExportError(
            f"The bundle {bundle.name} is only a report: its network is not in it, so there is "
            "nothing to export. Train it here first, or export another."
        )
    missing = [name for name in form.packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(
            f"For {form.name}, {' and '.join(missing)} must be installed. Run: "
            ".venv/bin/pip install -r requirements-export.txt"
        )
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            "TensorFlow does the converting: give the command without KERAS_BACKEND "
            f"(now {keras.backend.backend()!r})."
        )
    try:
        return load_network(bundle.model_path)
    except NetworkError as error:
        raise ExportError(f"{bundle.name} cannot be exported: {error}") from error


def _refuse_to_overwrite(path: Path, form: Format, replace: bool) -> None:
    if not path.exists():
        return
    if not replace:
        raise ExportError(f"{path} is there already. Give --force to replace it.")
    ours = path.is_file() if form.suffix else (path / "saved_model.pb").is_file()
    if not ours:
        raise ExportError(
            f"{path} is there already and is no {form.name}, so it is not replaced. Give another "
            "--to."
        )


def _whole(path: Path, form: Format) -> AbstractContextManager[Path]:
    return whole_file(path) if form.suffix else whole_folder(path)


def _options(form: Format) -> dict[str, Any]:
    if form.keras_name != "litert":
        return {}
    import tensorflow as tf

    # Keras would let operations of TensorFlow in, and a phone's runtime has none of those.
    return {"target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}}


def _largest_difference(
    network: keras.Model, exported: Run, model: keras.Model, images: NDArray[np.uint8]
) -> float:
    import keras

    difference = 0.0
    for pixels in _pictures(network, model, images):
        expected = keras.ops.convert_to_numpy(network(pixels, training=False))
        found = exported(pixels)
        if found.shape != expected.shape or not np.isfinite(found).all():
            raise ExportError(
                f"What was written answers {found.shape} where the network answers "
                f"{expected.shape}, or with no numbers at all. It was removed."
            )
        difference = max(difference, float(np.abs(found - expected).max()))
    if difference > TOLERANCE:
        raise ExportError(
            f"What was written does not answer as the network does: on {len(images)} test images "
            f"a probability is off by up to {difference:.4f}, and {TOLERANCE} is allowed. It was "
            "removed. Try another --format, or --size where the network resizes."
        )
    return difference


def _pictures(
    network: keras.Model, model: keras.Model, images: NDArray[np.uint8]
) -> Iterator[Floats]:
    """The images, float32, a batch at a time, in every size in which they are to be checked."""
    import keras

    sizes = {model.input_shape[1]}
    if model.input_shape[1] is None:
        # As they are, where the network enlarges them, and larger than it works at.
        inside = next(one for one in network.layers if isinstance(one, keras.layers.Resizing))
        sizes = {images.shape[1], inside.height + 31}
    for size in sorted(sizes):
        resize = keras.layers.Resizing(size, size, interpolation="bicubic")
        for start in range(0, len(images), _BATCH):
            pixels = images[start : start + _BATCH].astype(np.float32)
            yield np.asarray(keras.ops.convert_to_numpy(resize(pixels)), np.float32)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


@contextmanager
def _quiet() -> Iterator[None]:
    # The converters warn of their own old ways, which nobody here can mend.
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tensorflow", "absl")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _open_saved_model(path: Path) -> Run:
    import tensorflow as tf

    # The signature is kept alive by the object that it belongs to.
    loaded = tf.saved_model.load(str(path))
    return lambda pixels: np.asarray(loaded.serve(tf.constant(pixels)))


def _open_onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda pixels: np.asarray(session.run(None, {INPUT: pixels})[0])


def _open_litert(path: Path) -> Run:
    import tensorflow as tf

    with warnings.catch_warnings():
        # TensorFlow says that its copy of LiteRT's interpreter will move to a package of its own.
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated")
        interpreter = tf.lite.Interpreter(str(path))
    (image,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(pixels: Floats) -> Floats:
        interpreter.resize_tensor_input(image["index"], pixels.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(image["index"], pixels)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(answer["index"]))

    return run


FORMATS = {
    form.name: form
    for form in (
        Format("saved_model", "tf_saved_model", "", (), True, "TensorFlow", _open_saved_model),
        Format(
            "onnx",
            "onnx",
            ".onnx",
            ("onnx", "onnxruntime", "tf2onnx"),
            # ONNX has a bicubic resizing, and it is another: with it a probability of MobileNetV2
            # is off by up to 1.0e-3, with constant matrices by 6.5e-6.
            False,
            "ONNX Runtime",
            _open_onnx,
        ),
        Format("litert", "litert", ".tflite", (), False, "LiteRT", _open_litert),
    )
}
