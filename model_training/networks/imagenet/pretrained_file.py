"""Pretrained weights of networks that Keras does not have: from the file they were published in, or
from a bundle that has the same layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from model_training.files import DamagedFile, read_arrays
from model_training.networks.imagenet.heads import ImageNetHead
from model_training.networks.loading import load_network
from model_training.networks.pretrained import WeightsError, describe_file

if TYPE_CHECKING:
    import keras

Arrays = Mapping[str, NDArray[Any]]

MOST_BYTES = 256 * 2**20
"""The most that the arrays of pretrained weights may take."""


@dataclass(frozen=True)
class PretrainedFile:
    """The source of all layers of a network but the last.

    Args:
        bundle: the bundle that ships with the project and has them, so that nothing need be
            downloaded.
        layers: returns the weights of each layer, by its name, from the arrays of an `.npz` file.
        head: returns from these arrays the head that the network came with.  Both raise ValueError
            where the arrays are those of another network.
    """

    bundle: str
    layers: Callable[[Arrays], dict[str, list[NDArray[Any]]]]
    head: Callable[[Arrays], ImageNetHead]

    def load(self, model: keras.Model, path: Path | None) -> str:
        """Put the weights in `path` into the layers of `model`.

        Args:
            path: an `.npz` file of the published arrays, or the `model.keras` of a bundle; None
                where neither is here.

        Returns:
            A description of what was loaded, for the card.

        Raises:
            WeightsError: there is no such file, or it does not hold them.
        """
        described = describe_file(self._given(path))
        assert path is not None
        try:
            if path.suffix == ".npz":
                found = self.layers(read_arrays(path, MOST_BYTES))
            else:
                found = {layer.name: layer.get_weights() for layer in load_network(path).layers}
            for layer in model.layers[:-1]:
                if layer.weights:
                    layer.set_weights(found[layer.name])
        except (DamagedFile, KeyError, ValueError) as error:
            raise self._other(path, error) from error
        return f"ImageNet weights of {self.bundle}: {described}"

    def read_head(self, path: Path) -> ImageNetHead:
        """Return the head in `path`, an `.npz` file of the published arrays.

        Raises:
            WeightsError: it does not hold one.
        """
        try:
            return self.head(read_arrays(path, MOST_BYTES))
        except (DamagedFile, ValueError) as error:
            raise self._other(path, error) from error

    def _given(self, path: Path | None) -> Path:
        if path is None:
            raise WeightsError(
                f"The pretrained weights come from the bundle {self.bundle}, which is not here. "
                "Give --weights a file of them."
            )
        return path

    def _other(self, path: Path, error: Exception) -> WeightsError:
        return WeightsError(
            f"{path} does not hold the weights of {self.bundle} ({error}). Give --weights the file "
            "that they were published in, or the model.keras of that bundle."
        )
