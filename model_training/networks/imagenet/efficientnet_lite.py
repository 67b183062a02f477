"""EfficientNet-Lite0: R. Liu, "Higher accuracy on vision models with EfficientNet-Lite", 2020.

The network is that of M. Tan and Q. Le, "EfficientNet", 2019, for processors without fast
squeeze-and-excitation or swish: it has neither, and ReLU6 everywhere but behind a projection.

Batch normalization is folded into the kernels in front of it, as its statistics stay those of
ImageNet whatever is trained here: two pictures of 224 pixels take four fifths of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

Arrays = Mapping[str, NDArray[Any]]

SIDE = 224
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's red, green and blue, 0 to 1."""
FEATURES = 1280
STEM = "conv_stem"
LAST = "conv_head"
_EPSILON = 1e-3


@dataclass(frozen=True)
class _Stage:
    repeats: int
    kernel: int
    stride: int
    expansion: int
    width: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def convolutions(x: keras.KerasTensor) -> keras.KerasTensor:
    """Build every convolution on `x`, RGB normalized as ImageNet's, up to 1280 feature maps."""
    x = _convolution(x, STEM, 32, kernel=3, stride=2)
    number, width = 0, 32
    for stage in _STAGES:
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            x, width = _block(x, f"blocks.{number}", width, stage, stride), stage.width
            number += 1
    return _convolution(x, LAST, FEATURES)


def folded(arrays: Arrays) -> dict[str, list[NDArray[np.float32]]]:
    """Return kernel and bias for each layer of `convolutions`, by its name.

    Args:
        arrays: those of the PyTorch network `efficientnet_lite0`, by their names there: kernels as
            (out, in, height, width), each with the batch normalization behind it.

    Raises:
        ValueError: one of them is missing, or has another shape.
    """
    found = {}
    for layer, normalization in _normalized_by(sum(stage.repeats for stage in _STAGES)):
        try:
            kernel = np.asarray(arrays[f"{layer}.weight"], np.float32)
            scale, offset, mean, variance = (
                np.asarray(arrays[f"{normalization}.{part}"], np.float32)
                for part in ("weight", "bias", "running_mean", "running_var")
            )
        except KeyError as error:
            raise ValueError(f"it has no {error.args[0]}") from error
        scale = scale / np.sqrt(variance + _EPSILON)
        kernel = kernel * scale[:, None, None, None]
        order = (2, 3, 0, 1) if layer.endswith("depthwise_conv") else (2, 3, 1, 0)
        found[layer] = [np.ascontiguousarray(kernel.transpose(order)), offset - mean * scale]
    return found


def _normalized_by(blocks: int) -> list[tuple[str, str]]:
    pairs = [(STEM, "bn0"), (LAST, "bn1")]
    for number in range(blocks):
        block = f"blocks.{number}"
        if number:  # The first block does not expand.
            pairs.append((f"{block}.expand_conv", f"{block}.bn0"))
        pairs.append((f"{block}.depthwise_conv", f"{block}.bn1"))
        pairs.append((f"{block}.project_conv", f"{block}.bn2"))
    return pairs


def _block(
    x: keras.KerasTensor, name: str, width: int, stage: _Stage, stride: int
) -> keras.KerasTensor:
    """Build an inverted residual (M. Sandler et al., "MobileNetV2", 2018)."""
    from keras import layers

    y = x
    if stage.expansion > 1:
        y = _convolution(y, f"{name}.expand_conv", width * stage.expansion)
    y = layers.DepthwiseConv2D(stage.kernel, stride, "same", name=f"{name}.depthwise_conv")(y)
    y = layers.ReLU(6.0, name=f"{name}.depthwise_relu")(y)
    y = layers.Conv2D(stage.width, 1, name=f"{name}.project_conv")(y)
    if stride == 1 and width == stage.width:
        y = layers.Add(name=f"{name}.add")([x, y])
    return y


def _convolution(
    x: keras.KerasTensor, name: str, width: int, *, kernel: int = 1, stride: int = 1
) -> keras.KerasTensor:
    from keras import layers

    x = layers.Conv2D(width, kernel, stride, "same", name=name)(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)
