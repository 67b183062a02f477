"""A whole run: data and a recipe in, a bundle on disk out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import keras

from model_training.bundles.bundle import Bundle, Predictions, is_bundle, read_bundle, write_bundle
from model_training.bundles.card import (
    Calibration,
    Card,
    Layer,
    Metrics,
    ReportedFigures,
    TrainingFacts,
)
from model_training.datasets.dataset import DataSet
from model_training.files import remove_leftovers
from model_training.judging import metrics as evaluation
from model_training.judging import out_of_distribution as novelty
from model_training.judging.metrics import FURTHER_VIEWS
from model_training.recipes import Phase, Recipe
from model_training.training import checkpoint
from model_training.training.beginning import check_beginning, check_output
from model_training.training.environment import (
    machine,
    make_deterministic,
    usable_precision,
    versions,
)
from model_training.training.loop import Interrupted, Place, Trained, Watcher, train
from model_training.training.optimizers import describe
from model_training.training.options import (
    Options,
    Parts,
    command,
    for_other_images,
    with_options,
)
from model_training.training.signals import stop_signals


def run(
    recipe: Recipe,
    data: DataSet,
    options: Options,
    output: Path,
    place: Place,
    *,
    resume: bool = False,
    restart: bool = False,
    replace: bool = False,
    calibrated: Path | None = None,
    watcher: Watcher | None = None,
) -> Bundle:
    """Train `recipe` on `data`, measure it, and write the bundle `output`.

    The training images are divided into nine tenths to fit and one to validate (45,000 and 5,000
    of CIFAR-10); the test images are read once, when nothing is left to choose.  With `all_data`
    all training images are fitted, and what validation tells (its figures, the temperature) is that
    of an earlier run: the bundle that `output` replaces or, where there is none, `calibrated`.  An
    unfinished run of the same output is never thrown away unasked: `resume` goes on with it,
    `restart` discards it.  Nor is a bundle replaced unasked: with `replace`, or when a run that had
    it is resumed, or a quick try by another of the same recipe.

    SIGINT and SIGTERM stop it.  A run that is stopped while it is measured keeps its trained
    network, and only the measuring is repeated.

    A recipe is made for CIFAR-10.  Other images are as large as its network sees them; shifts are
    scaled to that, and batches made smaller where there would be few in an epoch.

    Raises:
        Interrupted: stopped by a signal; `resume` goes on.  `MeasuringInterrupted` where only the
            measuring was left.
        BundleExists: `output` is a bundle that may not be replaced.
        CheckpointError: there is an unfinished run and neither `resume` nor `restart` is given,
            the state cannot be resumed, or another training holds it.
        WeightsError: the recipe's pretrained weights cannot be had.
        BundleError: with `all_data`, the bundle of the earlier run is damaged.
        ValueError: the options do not fit the data, or `all_data` has no earlier run.
    """
    parts = Parts.of(data, options)
    if data.name != recipe.data_set:
        recipe = for_other_images(recipe, data.side, len(parts.fit))
    recipe = dataclasses.replace(recipe, precision=usable_precision(recipe.precision))
    phases = with_options(recipe.phases, options)
    earlier = _earlier(output, calibrated, recipe, data) if options.all_data else None
    if options.deterministic:
        make_deterministic()
    with checkpoint.claim(place.state), stop_signals() as asked_to_stop:
        for path in (output, place.state / checkpoint.STATE_NAME):
            remove_leftovers(path)
        replace = check_beginning(
            recipe, options, output, place.state, resume=resume, restart=restart, replace=replace
        )
        if not resume:
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
            replace=replace,
            resume=resume,
            watcher=watcher,
            stop=asked_to_stop.is_set,
        )
        stages = _Stages(watcher or Watcher(), asked_to_stop.is_set)
        bundle = _measure_and_write(
            recipe, data, phases, options, trained, parts, earlier, output, stages, replace
        )
        checkpoint.discard(place.state)
    return bundle


class MeasuringInterrupted(Interrupted):
    """The training was asked to stop after its last step: its network is on disk, whole."""


class _Stages:
    """Tells how far the measuring is, stage by stage, and ends it when somebody asks for that."""

    def __init__(self, watcher: Watcher, stop: Callable[[], bool]) -> None:
        self._watcher, self._stop = watcher, stop

    def begin(self, stage: str, total: int) -> Callable[[int], None]:
        """Begin `stage`: the function is to be told how many more of `total` images are done."""
        done = 0

        def more(count: int) -> None:
            nonlocal done
            done += count
            self._watcher.on_stage(stage, done, total)
            if self._stop():
                raise MeasuringInterrupted

        more(0)
        return more


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
    output: Path,
    stages: _Stages,
    replace: bool,
) -> Bundle:
    model, fitted, test = trained.model, parts.fitted, parts.test
    told = stages.begin("measuring training images", len(fitted))
    metrics = {"train": measure(evaluation.predict(model, fitted.images, told), fitted.labels)}
    averaged = {}
    if earlier is not None:
        labels = earlier.predictions.validation_labels
        on_validation = earlier.predictions.validation
        metrics["validation"] = earlier.card.metrics["validation"]
    else:
        assert parts.validation is not None  # Only `all_data` does without, and has an earlier run.
        images, labels = parts.validation.images, parts.validation.labels
        told = stages.begin("measuring validation images", len(labels))
        on_validation = evaluation.predict(model, images, told)
        metrics["validation"] = measure(on_validation, labels)
        if options.limit is None:
            told = stages.begin("averaging validation images", len(labels) * FURTHER_VIEWS)
            averaged["validation"] = measure(
                evaluation.predict_averaged(model, images, on_validation, told), labels
            )
    temperature = evaluation.fit_temperature(on_validation, labels)
    strangers = _novelty(model, parts, earlier, stages)

    # Nothing is left to choose: from here on the test images are looked at.
    told = stages.begin("measuring test images", len(test))
    on_test = evaluation.predict(model, test.images, told)
    metrics["test"] = measure(on_test, test.labels)
    if options.limit is None:
        told = stages.begin("averaging test images", len(test) * FURTHER_VIEWS)
        on_views = evaluation.predict_averaged(model, test.images, on_test, told)
        averaged["test"] = measure(on_views, test.labels)
    calibrated = evaluation.scale_by_temperature(on_test, temperature)
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
        training=_training_facts(recipe, data, phases, options, trained, parts, earlier),
        metrics=metrics,
        averaged=averaged,
        calibration=Calibration(
            temperature=temperature,
            test_error=evaluation.calibration_error(calibrated, test.labels),
        ),
        rejection_threshold=None,
        model_sha256=None,
    )
    predictions = Predictions(on_test, test.labels, on_validation, labels)
    # Hours have gone by: somebody may have put one there.
    check_output(recipe, options, output, replace)
    return write_bundle(output, card, trained.history, predictions, model, strangers)


def _title(recipe: Recipe, data: DataSet, options: Options) -> str:
    on = f" on {data.name}" if data.name != recipe.data_set else ""
    return recipe.title + on + (", a quick try" if options.limit is not None else "")


def _novelty(
    model: keras.Model, parts: Parts, earlier: Bundle | None, stages: _Stages
) -> novelty.Novelty | None:
    known_before = earlier.novelty if earlier is not None else None
    if parts.validation is None and known_before is None:
        return None  # The bundle that is replaced was made before there was such a thing.
    count = min(len(parts.fitted), novelty.REMEMBERED) + len(parts.validation or ())
    told = stages.begin("out-of-distribution fit", count)
    return novelty.fit(
        model, parts.fitted, parts.validation, known_before, lambda count, _total: told(count)
    )


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
        machine=machine(),
        versions=versions(),
        data_set=data.name,
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
