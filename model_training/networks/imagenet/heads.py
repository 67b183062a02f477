"""ImageNet's thousand classes, and the heads of networks that were trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMES = Path(__file__).with_name("classes.txt")


@dataclass(frozen=True)
class ImageNetHead:
    """The last dense layer of a network as ImageNet trained it.

    Args:
        kernel: float32 (features, 1000).
        bias: float32 (1000,).
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Return the names of the thousand classes of ILSVRC 2012, in their usual order."""
    lines = NAMES.read_text("utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def pytorch_head(arrays: Mapping[str, NDArray[Any]], name: str = "fc") -> ImageNetHead:
    """Return the head among the `arrays` of a PyTorch network, whose layer is called `name`.

    Raises:
        ValueError: it is missing, or not one of a thousand classes.
    """
    kernel, bias = arrays.get(f"{name}.weight"), arrays.get(f"{name}.bias")
    if kernel is None or bias is None:
        raise ValueError(f"it has no layer {name}")
    if kernel.shape != (len(imagenet_classes()), kernel.size // len(imagenet_classes())):
        raise ValueError(f"its layer {name} is not one of a thousand classes")
    return ImageNetHead(np.ascontiguousarray(kernel.T, np.float32), np.asarray(bias, np.float32))
