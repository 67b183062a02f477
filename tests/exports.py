"""What the tests of exports share: a network that enlarges, and a picture like a photo."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras import layers
from PIL import Image

from model_training.bundles.bundle import Bundle
from model_training.bundles.card import Calibration
from model_training.bundles.history import Epoch
from model_training.bundles.writing import write_bundle
from model_training.datasets.dataset import DataSet, ImageSet
from model_training.datasets.pictures.views import default_plan
from model_training.judging.calibration import Calibrator
from model_training.judging.fitting import fit_judge
from model_training.networks.backend import KerasBackend


def make_enlarging(like: Bundle, data: DataSet, path: Path) -> Bundle:
    """Write a bundle whose network takes pictures of any size and enlarges them to 48 pixels."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3), name="image")
    x = layers.Resizing(48, 48, interpolation="bicubic")(inputs)
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Conv2D(16, 5, strides=2, activation="relu")(x)
    x = layers.GlobalMaxPooling2D()(x)
    network = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
    calibration = Calibrator(
        method="isotonic",
        temperature=like.card.calibration.temperature,
        steps=((0.1, 0.15), (0.4, 0.3), (0.9, 0.8)),
        set_on="the images of the tests",
    )
    stated = Calibration.of(calibration, like.predictions.test, like.predictions.test_labels)
    changed = {"name": path.name, "input_size": 48, "calibration": stated}
    card = like.card.model_copy(update=changed)
    learned, validation = (data.train.take(part) for part in (np.arange(600), np.arange(600, 800)))
    judge = fit_judge(
        KerasBackend(network),
        data.classes,
        default_plan(48, data.side),
        learned,
        validation,
        calibration,
        "the images of the tests",
    )
    history = [Epoch(1, 0.1, 2.0, 0.2, 2.0, 0.2, 1.0)]
    return write_bundle(path, card, history, like.predictions, network, judge)


def like_a_photo(test: ImageSet, width: int, height: int) -> Image.Image:
    """Return a picture of `width` x `height` pixels with shapes, edges and colours of photos."""
    rows = [np.concatenate(list(test.images[start : start + 4]), axis=1) for start in (0, 4, 8)]
    return Image.fromarray(np.concatenate(rows)).resize((width, height), Image.Resampling.BICUBIC)
