"""The head that a network came with, kept beside the state of a run until its judge is fitted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from model_training.bundles.bundle import BundleError
from model_training.bundles.reading import read_bundle
from model_training.datasets.dataset import DataSet
from model_training.files import DamagedFile, read_arrays, whole_file
from model_training.judging.parts.pretrained_head import PretrainedHead
from model_training.networks.imagenet.heads import ImageNetHead, imagenet_classes
from model_training.networks.imagenet.pretrained_file import PretrainedFile
from model_training.recipes import Recipe

FILE = "pretrained_head.npz"


@contextmanager
def keeping_head(head: ImageNetHead | None, folder: Path) -> Iterator[None]:
    """Keep `head` in `folder`, in place of what is kept there, once what is done inside has
    succeeded: a resumed run is not told where it is.

    Raises:
        OSError: it cannot be written; nothing has been done inside, and what was kept stays.
    """
    if head is None:
        yield
        discard_head(folder)
        return
    with whole_file(folder / FILE) as temporary:
        with temporary.open("wb") as file:
            np.savez(file, kernel=head.kernel, bias=head.bias)
        yield


def kept_head(data: DataSet, folder: Path) -> PretrainedHead | None:
    """Return the head that is kept in `folder`, if `data` says what of ImageNet is of its classes.

    Its share in the answer is not fitted yet.
    """
    if not data.imagenet:
        return None
    try:
        arrays = read_arrays(folder / FILE)
    except (FileNotFoundError, DamagedFile):
        return None
    return PretrainedHead.of(
        arrays["kernel"], arrays["bias"], imagenet_classes(), data.imagenet, data.classes
    )


def discard_head(folder: Path) -> None:
    """Remove what is kept in `folder`."""
    (folder / FILE).unlink(missing_ok=True)


def head_of(recipe: Recipe, weights: Path | None) -> ImageNetHead | None:
    """Return the head that comes with `weights`, if any.

    Raises:
        WeightsError: an `.npz` file holds none.
    """
    if not isinstance(recipe.pretrained, PretrainedFile) or weights is None:
        return None
    if weights.suffix == ".npz":
        return recipe.pretrained.read_head(weights)
    try:
        judge = read_bundle(weights.parent).judge
    except BundleError:
        return None  # Its layers alone were given.
    if judge is None or judge.pretrained is None:
        return None
    return ImageNetHead(judge.pretrained.kernel.astype(np.float32), judge.pretrained.bias)
