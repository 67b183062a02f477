"""TensorFlow's second set of processor kernels, which training is quicker with."""

from __future__ import annotations

import os
import sys

SWITCH = "TF_ENABLE_ONEDNN_OPTS"


def compute_with_onednn() -> None:
    """Let TensorFlow, when it is imported in this process, compute with oneDNN.

    By itself TensorFlow does so only on processors with instructions for neural networks.  On two
    cores with AVX2 and no more, training steps of the recipes are 1.4 to 2.8 times as quick with it
    (`benchmarks/onednn.py`).  The answer for a single picture is slower, so the site is left as it
    is.  `TF_ENABLE_ONEDNN_OPTS` in the environment has the last word, and a TensorFlow that is
    loaded already stays as it is.
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault(SWITCH, "1")


def asked_for() -> bool:
    """Return whether the environment tells TensorFlow to compute with oneDNN."""
    return os.environ.get(SWITCH) == "1"
