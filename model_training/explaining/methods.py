"""The methods of explanation by name, and the controls that they are measured against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from model_training.explaining.maps.controls import centred_blob, noise
from model_training.explaining.maps.finer_cam import finer_cam
from model_training.explaining.maps.grad_cam import grad_cam
from model_training.explaining.maps.integrated_gradients import integrated_gradients
from model_training.explaining.maps.layer_cam import layer_cam
from model_training.explaining.maps.occlusion import occlusion
from model_training.explaining.target import Heat, Pixels, Target
from model_training.judging.backend import Backend

Explain = Callable[[Backend, Pixels, Target], Heat]


@dataclass(frozen=True)
class Method:
    """A way to explain an answer.

    Args:
        title: the method's name as people write it.
        says: what its map shows, in a sentence for a visitor.
        explain: makes the map.
        quick: whether it takes one pass through the network or so, not tens of them.
    """

    title: str
    says: str
    explain: Explain
    quick: bool = True


GRAD_CAM, OCCLUSION = "grad-cam", "occlusion"
METHODS: Mapping[str, Method] = {
    GRAD_CAM: Method(
        "Grad-CAM", "Which of the network's last feature maps raise the class.", grad_cam
    ),
    "layer-cam": Method(
        "LayerCAM",
        "Which places of the network's feature maps, coarse and fine, raise the class.",
        layer_cam,
    ),
    "finer-cam": Method(
        "Finer-CAM", "What raises the class above the one most like it.", finer_cam
    ),
    "integrated-gradients": Method(
        "Integrated gradients",
        "Which pixels raise the class while the picture comes into focus.",
        integrated_gradients,
        quick=False,
    ),
    OCCLUSION: Method(
        "Occlusion",
        "What the class loses without each patch, and gains by the patch alone.",
        occlusion,
        quick=False,
    ),
}
BLOB, NOISE = "blob", "noise"
CONTROLS: Mapping[str, Method] = {
    BLOB: Method("Centred blob", "The middle of the picture.", centred_blob),
    NOISE: Method("Noise", "Places drawn by lot.", noise),
}
