"""A whole run: data and a recipe in, a bundle on disk out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from model_training.bundles.bundle import Bundle, BundleError, Predictions, is_bundle
from model_training.bundles.card import (
    Calibration,
    Card,
    Layer,
    Metrics,
    ReportedFigures,
    TrainingFacts,
)
from model_training.bundles.reading import read_bundle
from model_training.bundles.writing import write_bundle
from model_training.datasets.dataset import DataSet, ImageSet, split
from model_training.datasets.pictures.views import default_plan
from model_training.files import remove_leftovers
from model_training.judging import metrics as evaluation
from model_training.judging.calibration import fit_temperature, scale_by_temperature
from model_training.judging.fitting import fit_judge
from model_training.judging.judge import Judge, TemperatureScaling
from model_training.judging.prediction import predict, predict_averaged
from model_training.networks.backend import KerasBackend
from model_training.networks.memory import batch_within_memory
from model_training.recipes import Phase, Recipe
from model_training.training import checkpoint
from model_training.training.environment import Environment, environment, make_deterministic
from model_training.training.loop import Place, Trained, Watcher, train
from model_training.training.optimizers import describe
from model_training.training.options import (
    Options,
    command,
    for_data_set,
    for_other_images,
    with_grey_of,
    with_options,
)


def run(
    recipe: Recipe,
    data: DataSet,
    options: Options,
    output: Path,
    place: Place,
    *,
    resume: bool = False,
    restart: bool = False,
    calibrated: Path | None = None,
    watcher: Watcher | None = None,
) -> Bundle:
    """Train `recipe` on `data`, measure it, and write the bundle `output`.

    The training images are divided into nine tenths to fit and one to validate; the test images are
    read once, when nothing is left to choose.  With `all_data` all training images are fitted, and
    what validation tells (its figures, the temperature) is that of an earlier run: the bundle that
    `output` replaces or, where there is none, `calibrated`.  An unfinished run of the same output
    is never thrown away unasked: `resume` goes on with it, `restart` discards it.

    A recipe is made for one data set.  Other images are brought to the size that its network takes;
    shifts are scaled to that, and batches made smaller where there would be few in an epoch.

    Raises:
        Interrupted: stopped by a signal; `resume` goes on.
        CheckpointError: there is an unfinished run and neither `resume` nor `restart` is given,
            the state cannot be resumed, or another training holds it.
        WeightsError: the recipe's pretrained weights cannot be had.
        BundleError: with `all_data`, the bundle of the earlier run is damaged.
        DataError: the recipe's own data set is not in the catalogue.
        ValueError: the options do not fit the data, or `all_data` has no earlier run.
    """
    data = for_data_set(recipe, data)
    parts = Parts.of(data, options)
    if data.name != recipe.data_set:
        recipe = for_other_images(recipe, data.side, len(parts.fit))
    phases = with_grey_of(data, with_options(recipe.phases, options))
    earlier = _earlier(output, calibrated, recipe, data) if options.all_data else None
    if options.deterministic:
        make_deterministic()
    here = environment()
    with checkpoint.claim(place.state):
        for path in (output, place.state / checkpoint.STATE_NAME):
            remove_leftovers(path)
        if checkpoint.exists(place.state) and not resume:
            if not restart:
                raise checkpoint.CheckpointError(
                    f"There is an unfinished training of {output.name}. Continue it with --resume, "
                    "or throw it away with --restart."
                )
            checkpoint.discard(place.state)
        trained = train(
            recipe,
            phases,
            options.seed,
            parts.fit,
            parts.validation,
            place,
            classes=len(data.classes),
            data_digest=data.digest,
            command=command(recipe, options),
            weights=options.weights,
            resume=resume,
            watcher=watcher,
        )
        bundle = _measure_and_write(
            recipe, data, phases, options, trained, parts, earlier, here, output
        )
        checkpoint.discard(place.state)
    return bundle


@dataclass(frozen=True)
class Parts:
    """The images of one run: to fit, to validate on if any, and to test on once."""

    fit: ImageSet
    validation: ImageSet | None
    test: ImageSet

    @classmethod
    def of(cls, data: DataSet, options: Options) -> Parts:
        """Divide `data`: with `limit` only the first so many training images are used.

        Raises:
            ValueError: `limit` is not between 100 and the number of images, or a class has none
                among the first so many.
        """
        train_set, limit = data.train, options.limit
        if limit is not None:
            if not 100 <= limit <= len(train_set):
                takes = (
                    f"takes a number from 100 to {len(train_set)}, not {limit}"
                    if len(train_set) > 100
                    else f"is for more than the {len(train_set)} images that there are"
                )
                raise ValueError(f"--limit {takes}.")
            train_set = train_set.take(np.arange(limit))
            missing = len(data.classes) - len(np.unique(train_set.labels))
            if missing:
                raise ValueError(
                    f"--limit {limit}: of {missing} of the {len(data.classes)} classes there is no "
                    f"image among the first {limit}. Take more."
                )
        if options.all_data:
            return cls(train_set, None, data.test)
        fit_indices, validation_indices = split(train_set.labels)
        return cls(train_set.take(fit_indices), train_set.take(validation_indices), data.test)


def _calibrated_by(earlier: Bundle | None) -> str | None:
    if earlier is None:
        return None
    # That may have been on all data itself, and calibrated by one before it.
    return earlier.card.training.calibrated_by or earlier.card.training.command


def _earlier(output: Path, calibrated: Path | None, recipe: Recipe, data: DataSet) -> Bundle:
    for path in (output, calibrated):
        if path is not None and is_bundle(path):
            earlier = read_bundle(path)
            card = earlier.card
            if (card.recipe, card.training.data_digest) == (recipe.name, data.digest):
                return earlier
    raise ValueError(
        "--all-data leaves no images to calibrate on, so it takes the calibration of an earlier "
        f"run: first train {recipe.name} without it, on the same images and without --output or "
        "into the same."
    )


def _measure_and_write(
    recipe: Recipe,
    data: DataSet,
    phases: tuple[Phase, ...],
    options: Options,
    trained: Trained,
    parts: Parts,
    earlier: Bundle | None,
    here: Environment,
    output: Path,
) -> Bundle:
    model, test = trained.model, parts.test
    metrics = {"train": measure(predict(model, parts.fit.images), parts.fit.labels)}
    averaged = {}
    if earlier is not None:
        labels = earlier.predictions.validation_labels
        on_validation = earlier.predictions.validation
        metrics["validation"] = earlier.card.metrics["validation"]
    else:
        assert parts.validation is not None  # Only `all_data` does without, and has an earlier run.
        labels = parts.validation.labels
        on_validation = predict(model, parts.validation.images)
        metrics["validation"] = measure(on_validation, labels)
        averaged["validation"] = measure(
            predict_averaged(model, parts.validation.images, on_validation), labels
        )
    temperature = fit_temperature(on_validation, labels)
    judge = _judge(recipe, data, model, parts, trained, temperature, earlier)

    # Nothing is left to choose: from here on the test images are looked at.
    on_test = predict(model, test.images)
    metrics["test"] = measure(on_test, test.labels)
    on_views = predict_averaged(model, test.images, on_test)
    averaged["test"] = measure(on_views, test.labels)
    calibrated = scale_by_temperature(on_test, temperature)
    card = Card(
        name=output.name,
        recipe=recipe.name,
        title=_title(recipe, data, options),
        summary=recipe.summary,
        input_size=recipe.input_size,
        classes=list(data.classes),
        parameters=model.count_params(),
        trainable_parameters=trained.trainable_parameters,
        layers=layer_table(model),
        reported=_reported(recipe),
        training=_training_facts(recipe, data, phases, options, trained, parts, earlier, here),
        metrics=metrics,
        averaged=averaged,
        calibration=Calibration(
            temperature=temperature,
            test_error=evaluation.calibration_error(calibrated, test.labels),
        ),
        test_reads=_test_reads(output, recipe, data, earlier),
    )
    predictions = Predictions(on_test, test.labels, on_validation, labels)
    return write_bundle(output, card, trained.history, predictions, model, judge)


def _title(recipe: Recipe, data: DataSet, options: Options) -> str:
    on = f" on {data.title}" if data.name != recipe.data_set else ""
    return recipe.title + on + (", a quick try" if options.limit is not None else "")


def _judge(
    recipe: Recipe,
    data: DataSet,
    model: keras.Model,
    parts: Parts,
    trained: Trained,
    temperature: float,
    earlier: Bundle | None,
) -> Judge | None:
    before = earlier.judge if earlier is not None else None
    if parts.validation is None and before is None:
        return None  # The bundle that is replaced was made before there was such a thing.
    by = trained.command if earlier is None else _calibrated_by(earlier)
    set_on = f"the validation images of the run `{by}`"
    return fit_judge(
        KerasBackend(model),
        data.classes,
        default_plan(recipe.input_size, data.side),
        parts.fit,
        parts.validation,
        TemperatureScaling(temperature=temperature, set_on=set_on),
        set_on,
        before,
        batch_size=batch_within_memory(model),
    )


def _test_reads(output: Path, recipe: Recipe, data: DataSet, earlier: Bundle | None) -> int | None:
    """Return how often the test images were read for `recipe`, this time included."""
    if earlier is None and not is_bundle(output):
        return 1
    try:
        before = (earlier or read_bundle(output)).card
    except BundleError:
        return None  # Nobody can tell any more.
    if (before.recipe, before.training.data_digest) != (recipe.name, data.digest):
        return 1
    return None if before.test_reads is None else before.test_reads + 1


def _reported(recipe: Recipe) -> ReportedFigures | None:
    if recipe.reported is None:
        return None
    return ReportedFigures(**dataclasses.asdict(recipe.reported))


def _training_facts(
    recipe: Recipe,
    data: DataSet,
    phases: tuple[Phase, ...],
    options: Options,
    trained: Trained,
    parts: Parts,
    earlier: Bundle | None,
    here: Environment,
) -> TrainingFacts:
    return TrainingFacts(
        command=trained.command,
        augmentation=recipe.augmentation,
        optimizer="; then ".join(describe(phase) for phase in phases),
        precision=recipe.precision,
        epochs=len(trained.history),
        batch_size=phases[-1].batch_size,
        seed=options.seed,
        images=len(parts.fit),
        validation_images=len(parts.validation or ()),
        all_data=options.all_data,
        calibrated_by=_calibrated_by(earlier),
        pretrained=trained.pretrained,
        seconds=round(trained.seconds, 1),
        started=trained.started,
        machine=here.machine,
        versions=here.versions,
        data_set=data.title,
        data_digest=data.digest,
    )


def measure(probabilities: evaluation.Floats, labels: evaluation.Labels) -> Metrics:
    """The card's figures for one part of the data."""
    return Metrics(
        images=len(labels),
        accuracy=evaluation.accuracy(probabilities, labels),
        loss=evaluation.cross_entropy(probabilities, labels),
        calibration_error=evaluation.calibration_error(probabilities, labels),
    )


def layer_table(model: keras.Model) -> list[Layer]:
    """One row per layer of `model`, in order."""
    return [
        Layer(
            name=layer.name,
            type=type(layer).__name__,
            output_shape=list(layer.output.shape),
            parameters=layer.count_params(),
        )
        for layer in model.layers
    ]
