"""The same network in Gradio, as its documentation builds such a site: for `against_gradio`.

.venv-bench/bin/python -m benchmarks.gradio_app BUNDLE PORT {compiled,predict}

`compiled` asks the network as the site does, `predict` as Gradio's example for Keras does.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import gradio  # type: ignore[import-not-found, unused-ignore]
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from model_training.bundles.reading import read_bundle
from model_training.networks.cutting import split_network
from model_training.networks.loading import load_network


class Lower:
    """The judge's backend: the network below its head, asked in one of two ways."""

    def __init__(self, path: Path, width: int, *, compiled: bool) -> None:
        model = load_network(path)
        lower, _upper, _name = split_network(model)
        self.width = width
        self._look: Any = partial(lower.predict, verbose=0)
        if compiled:  # as the site compiles it
            self._look = tf.function(
                lambda images: tf.cast(lower(images, training=False), tf.float32),
                input_signature=[tf.TensorSpec(model.input_shape, tf.float32)],
            )

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of `pixels`, uint8 RGB (count, side, side, 3): (count, width)."""
        return np.asarray(self._look(pixels.astype(np.float32)), np.float32)


def main() -> None:
    """Serve until killed."""
    bundle = read_bundle(Path(sys.argv[1]))
    assert bundle.model_path is not None and bundle.judge is not None
    judge = bundle.judge
    backend = Lower(bundle.model_path, judge.width, compiled=sys.argv[3] == "compiled")

    def classify(picture: Image.Image) -> dict[str, float]:
        (judgement,) = judge.judge([judge.views(picture)], backend)
        return dict(zip(judge.classes, map(float, judgement.probabilities), strict=True))

    classify(Image.new("RGB", (48, 36)))
    site = gradio.Interface(
        classify,
        gradio.Image(type="pil"),
        gradio.Label(),
        api_name="classify",
        # By default it answers one at a time.
        concurrency_limit=4,
        flagging_mode="never",
    )
    site.launch(server_port=int(sys.argv[2]), quiet=True, share=False)


if __name__ == "__main__":
    main()
