"""What one run changes of any recipe: what its network does to images first, and how they vary.

Each returns another recipe; what it was is told in `Recipe.change`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from model_training.datasets.augmentation import Augmentation, Transform, at_least
from model_training.networks.cutting import as_functional
from model_training.networks.initialization import reaching, sampled_patches, whitening_of
from model_training.networks.pretrained import WHITENING
from model_training.recipes.phase import Phase
from model_training.recipes.recipe import Recipe

if TYPE_CHECKING:
    import keras

InputChange = Literal["centred", "standardised", "pca", "zca"]
INPUT_CHANGES: dict[InputChange, str] = {
    "centred": "zero-centred input",
    "standardised": "input of deviation 1 in each channel",
    "pca": "PCA-whitened input",
    "zca": "ZCA-whitened input",
}
"""`pca` turns the three channels of each pixel into its whitened principal components.  `zca`
whitens squares of `PATCH` pixels and gives the pixel in their middle, so that what its neighbours
tell already is taken away (A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images",
2009, does so with whole images)."""
PATCH = 5
NOISE = 0.01
"""The share of the mean variance that is added to each before a root is taken of it."""
LOOKED_AT = 500
"""Images from which means and covariances are computed."""

AugmentationChange = Literal["none", "strong"]
STRONG_SIDE = 32
"""The side of the images to which the pixels of `STRONG` and `STRONG_VIEWS` refer."""
STRONG = Augmentation(shift=4, flip="alternating", cutout=8, rotation=10, zoom=0.1, light=0.2)
STRONG_VIEWS = tuple(
    Transform(flip=flip, down=down, right=right)
    for down, right in ((0, 0), (2, -2), (-2, 2))
    for flip in (False, True)
)


def with_input(recipe: Recipe, how: InputChange, images: NDArray[np.uint8]) -> Recipe:
    """Return `recipe` with a network that changes its input before its first weights.

    What the network itself does to pixels stays, so that the change is computed of what reaches
    those weights without it.

    Args:
        images: those that it will learn from, uint8 (count, height, width, 3).
    """
    extra = {"pca": 9, "zca": 9 * PATCH**2}.get(how, 0)
    known: list[_Statistics] = []

    def build(classes: int = 10) -> keras.Model:
        model = as_functional(recipe.build(classes=classes))
        first = _first_with_weights(model)
        if not known:  # A run builds its network more than once.
            known.append(_Statistics(model, first, images[:LOOKED_AT], how))
        return _inserted(model, first, known[0].layers())

    parameters = None if recipe.parameters is None else recipe.parameters + extra
    return _changed(recipe, INPUT_CHANGES[how], build=build, parameters=parameters)


def with_input_size(recipe: Recipe, size: int) -> Recipe:
    """Return `recipe` with a network that is shown its images enlarged, or reduced, to `size`.

    They are interpolated in the network, between its input and its first layer.  Phases that have a
    size of their own keep its proportion to the network's.
    """
    import keras

    def build(classes: int = 10) -> keras.Model:
        try:
            return resized(classes)
        except ValueError as error:  # Poolings leave nothing of what is too small.
            raise ValueError(
                f"The network of {recipe.name} cannot be built for {size} pixels. Give a larger "
                "--input-size."
            ) from error

    def resized(classes: int) -> keras.Model:
        model = as_functional(recipe.build(classes=classes))

        def fresh(layer: keras.Operation) -> keras.Operation:
            if not isinstance(layer, keras.layers.Layer):
                return layer  # An operation such as `keras.ops.sqrt` has no weights to be fresh.
            told = layer.get_config()
            if isinstance(layer, keras.layers.Resizing):
                told |= {"height": size, "width": size}
            again = type(layer).from_config(told)
            again.trainable = layer.trainable
            return again

        if any(isinstance(layer, keras.layers.Resizing) for layer in model.layers):
            return keras.models.clone_model(model, clone_function=fresh)
        inputs = keras.Input((None, None, 3), name="image")
        larger = keras.layers.Resizing(size, size, dtype="float32", name="resize")(inputs)

        def use(layer: Any, *arguments: Any, **options: Any) -> Any:
            if arguments and arguments[0] is inputs:
                arguments = (larger, *arguments[1:])
            return layer(*arguments, **options)

        return keras.models.clone_model(
            model, input_tensors=inputs, clone_function=fresh, call_function=use
        )

    def in_proportion(phase: Phase) -> Phase:
        own = phase.input_size
        return replace(phase, input_size=own and max(1, round(own * size / recipe.input_size)))

    # Where a dense layer follows flattened places there are more of its weights.
    fields: dict[str, Any] = {"build": build, "parameters": None, "input_size": size}
    phases = tuple(in_proportion(phase) for phase in recipe.phases)
    return _changed(recipe, f"input of {size} pixels", phases=phases, **fields)


def with_augmentation(recipe: Recipe, how: AugmentationChange, side: int) -> Recipe:
    """Return `recipe` with images that do not vary, or vary more, in every phase.

    Those that vary more do so at least as much as in `recipe` itself, in every way.

    Args:
        side: of the images that it learns from, in pixels, to which its own pixels refer.
    """
    times = side / STRONG_SIDE
    views = tuple(view.on_larger(times) for view in STRONG_VIEWS)

    def varied_more(phase: Phase) -> Phase:
        if phase.learns_from is not None:
            return replace(phase, views=tuple(dict.fromkeys((*phase.views, *views))))
        return replace(phase, augmentation=at_least(phase.augmentation, STRONG.on_larger(times)))

    def as_they_are(phase: Phase) -> Phase:
        if phase.learns_from is not None:
            return replace(phase, views=(Transform(),))
        return replace(phase, augmentation=Augmentation())

    changed = varied_more if how == "strong" else as_they_are
    phases = tuple(changed(phase) for phase in recipe.phases)
    change = "stronger augmentation" if how == "strong" else "no augmentation"
    return _changed(recipe, change, phases=phases)


def _changed(recipe: Recipe, change: str, **fields: Any) -> Recipe:
    told = ", ".join(one for one in (recipe.change, change) if one)
    return replace(recipe, change=told, **fields)


class _Statistics:
    """What is subtracted from pixels, and what they are multiplied by."""

    def __init__(
        self, model: keras.Model, first: str, images: NDArray[np.uint8], how: InputChange
    ) -> None:
        self._mean, variance = _moments(reaching(model, first, images))
        self._scale = np.ones(3)
        self._kernel: NDArray[np.float32] | None = None
        if how == "standardised":
            self._scale = 1 / np.maximum(np.sqrt(variance), 1e-6)
        elif how != "centred":
            side = 1 if how == "pca" else PATCH
            patches = sampled_patches(model, first, images, side)
            self._kernel = whitening_of(patches, side, NOISE * float(variance.mean()))
            if how == "zca":
                self._kernel = _middle_of_zca(self._kernel)

    def layers(self) -> list[Callable[[Any], Any]]:
        """Return fresh layers, to be called one after the other."""
        from keras import layers

        offset = (-self._mean * self._scale).tolist()
        shift = layers.Rescaling(
            self._scale.tolist(), offset, dtype="float32", name="input_centring"
        )
        if self._kernel is None:
            return [shift]
        kernel = self._kernel
        whiten = layers.Conv2D(
            3,
            kernel.shape[0],
            padding="same",
            use_bias=False,
            trainable=False,
            dtype="float32",
            name=WHITENING,
        )

        def whitened(x: Any) -> Any:
            y = whiten(x)
            whiten.kernel.assign(kernel)
            return y

        return [shift, whitened]


def _moments(
    parts: Iterator[NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the variance of each channel of all `parts`, (channels,) each."""
    count, total, squares = 0, np.zeros(3), np.zeros(3)
    for pixels in parts:
        flat = pixels.reshape(-1, pixels.shape[-1])
        count, total = count + len(flat), total + flat.sum(axis=0)
        squares = squares + np.square(flat).sum(axis=0)
    mean = total / count
    return mean, np.maximum(squares / count - mean**2, 0)


def _middle_of_zca(filters: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the filters (side, side, 3, 3) of the middle pixel, from those of whitened principal
    components (side, side, 3, count): these turned back into the space of pixels."""
    side = filters.shape[0]
    flat = filters.reshape(-1, filters.shape[-1])
    axes = flat / np.linalg.norm(flat, axis=0)
    middle = 3 * (side * side // 2)
    zca = (flat @ axes.T)[:, middle : middle + 3]
    return np.asarray(zca.reshape(side, side, 3, 3), np.float32)


def _first_with_weights(model: keras.Model) -> str:
    for layer in model.layers:
        # Weights with one axis belong to a normalisation.
        if any(len(weight.shape) > 1 for weight in layer.weights):
            return str(layer.name)
    raise ValueError(f"The network {model.name} has no layer with a kernel.")


def _inserted(model: keras.Model, first: str, between: list[Callable[[Any], Any]]) -> keras.Model:
    import keras

    def use(layer: Any, *arguments: Any, **options: Any) -> Any:
        if layer.name == first:
            x, *others = arguments
            for one in between:
                x = one(x)
            arguments = (x, *others)
        return layer(*arguments, **options)

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=use)
