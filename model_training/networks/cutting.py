"""Cut a network in two at a layer, or expose what its layers put out.

All parts share their layers, and so their weights, with the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def as_functional(model: keras.Model) -> keras.Model:
    """Return `model`, functional or sequential, as a functional network of the same layers.

    Raises:
        ValueError: it is neither, or has several inputs or outputs, or no input yet.
    """
    import keras

    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs or len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            "it must be made of layers with keras.Model(inputs, outputs), or with keras.Sequential "
            "and a keras.Input in front, and have one input and one output"
        )
    if isinstance(model, keras.Sequential) or isinstance(model.input, list):
        return keras.Model(inputs[0], outputs[0], name=model.name)
    return model


def cut(model: keras.Model, first: str) -> tuple[keras.Model, keras.Model]:
    """Cut `model` before the layer `first`: the part below it, and the part from it on.

    Args:
        model: functional or sequential.
        first: the name of a layer, which may itself be a network.

    Raises:
        ValueError: the network has no such layer, uses it several times, or gives it several
            inputs, or a connection skips over the cut.
    """
    model = as_functional(model)
    try:
        return _parts(model, model.get_layer(first).input)
    except ValueError:
        # `input` is what a layer was given first, perhaps in another network; and a layer that is
        # itself a network returns its own input.  When the network is rebuilt from the same layers,
        # each is called anew, and what it is given can be recorded.
        try:
            return _parts(*_put_together_again(model, first))
        except ValueError as error:
            raise ValueError(f"the network cannot be cut before {first!r}: {error}") from error


def split_network(model: keras.Model) -> tuple[keras.Model, keras.Model, str]:
    """Cut `model` before its last dense layer.

    Returns:
        The part from images to features, the part from features to probabilities, and the name of
        the layer.

    Raises:
        ValueError: it has no such layer.
    """
    import keras

    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    if not dense:
        raise ValueError("the network has no dense layer, so it has no features to take")
    return (*cut(model, dense[-1].name), dense[-1].name)


def exposing(model: keras.Model, names: Sequence[str]) -> keras.Model:
    """Return `model` with the outputs of its layers `names`, in their order, before its own output.

    Args:
        model: functional.

    Raises:
        ValueError: it has no such layer.
    """
    import keras

    try:
        outputs = [model.get_layer(name).output for name in names]
        return keras.Model(model.input, [*outputs, model.output])
    except ValueError:
        # As in `cut`: a layer's own output may be in another network.
        made: dict[str, Any] = {}

        def use(layer: Any, *arguments: Any, **options: Any) -> Any:
            made[layer.name] = layer(*arguments, **options)
            return made[layer.name]

        again = keras.models.clone_model(
            model, clone_function=lambda layer: layer, call_function=use
        )
        if missing := [name for name in names if name not in made]:
            raise ValueError(f"the network has no layer {missing[0]!r}") from None
        return keras.Model(again.input, [*(made[name] for name in names), again.output])


def _parts(model: keras.Model, boundary: Any) -> tuple[keras.Model, keras.Model]:
    import keras

    if not isinstance(boundary, keras.KerasTensor):
        raise ValueError("a layer with several inputs is no place to cut")
    return keras.Model(model.input, boundary), keras.Model(boundary, model.output)


def _put_together_again(model: keras.Model, first: str) -> tuple[keras.Model, Any]:
    """Return `model`, rebuilt from its layers on a new input, and the input of layer `first`."""
    import keras

    given: list[Any] = []

    def use(layer: Any, *arguments: Any, **options: Any) -> Any:
        if layer.name == first:
            given.append(arguments)
        return layer(*arguments, **options)

    again = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=use)
    if len(given) != 1:
        raise ValueError(f"it is used {len(given)} times")
    return again, given[0][0]
