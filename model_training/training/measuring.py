"""The end of a run: the trained network is measured, its judge is fitted, its bundle written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from model_training.bundles.bundle import Bundle, BundleError, Predictions, is_bundle
from model_training.bundles.card import (
    Calibration,
    Card,
    Layer,
    Metrics,
    ReportedFigures,
    TrainingFacts,
    TunedSettings,
)
from model_training.bundles.reading import read_bundle
from model_training.bundles.writing import write_bundle
from model_training.datasets.augmentation import Transform
from model_training.datasets.dataset import DataSet
from model_training.datasets.pictures.views import default_plan
from model_training.judging import metrics as evaluation
from model_training.judging.calibration import Calibrator, fit_calibrator
from model_training.judging.fitting import fit_judge
from model_training.judging.judge import Judge
from model_training.judging.out_of_distribution import REMEMBERED
from model_training.judging.prediction import FURTHER_TRANSFORMS, predict, predict_averaged
from model_training.networks.backend import KerasBackend
from model_training.networks.cutting import cut
from model_training.networks.frozen.features import extract
from model_training.networks.memory import batch_within_memory
from model_training.recipes import Phase, Recipe
from model_training.training.beginning import check_output
from model_training.training.environment import Environment
from model_training.training.learning.freezing import divide
from model_training.training.learning.optimizers import describe
from model_training.training.learning.outcome import Interrupted, Trained
from model_training.training.learning.watcher import Watcher
from model_training.training.loop import Place
from model_training.training.options import Options, Parts
from model_training.training.pretrained_heads import kept_head
from model_training.training.why import Reached, why


@dataclass(frozen=True)
class Finished:
    """A training that is over: what it was asked, and what came of it.

    `earlier` is the bundle of the run that calibrates this one, where that learned from all data.
    """

    recipe: Recipe
    data: DataSet
    phases: tuple[Phase, ...]
    options: Options
    trained: Trained
    parts: Parts
    earlier: Bundle | None
    here: Environment

    @property
    def calibrated_by(self) -> str | None:
        """Return the command of the run that the figures on validation are from, if another."""
        if self.earlier is None:
            return None
        # That may have been on all data itself, and calibrated by one before it.
        facts = self.earlier.card.training
        return facts.calibrated_by or facts.command

    @property
    def title(self) -> str:
        """Return the title of its bundle."""
        on = f" on {self.data.title}" if self.data.name != self.recipe.data_set else ""
        change = f", {self.recipe.change}" if self.recipe.change else ""
        return (
            self.recipe.title
            + on
            + change
            + (", a quick try" if self.options.limit is not None else "")
        )


class MeasuringInterrupted(Interrupted):
    """The training was asked to stop after its last step: its network is on disk, whole."""


class Stages:
    """Shows the progress of the measuring, stage by stage, and ends it when asked to."""

    def __init__(self, watcher: Watcher, stop: Callable[[], bool]) -> None:
        self._watcher, self._stop = watcher, stop

    def begin(self, stage: str, total: int) -> Callable[[int], None]:
        """Begin `stage`; return a function that is told how many more of `total` images are done.

        It raises MeasuringInterrupted when somebody asks to stop.
        """
        done = 0

        def more(count: int) -> None:
            nonlocal done
            done += count
            self._watcher.on_stage(stage, done, total)
            if self._stop():
                raise MeasuringInterrupted

        more(0)
        return more


def measure_and_write(
    run: Finished, output: Path, place: Place, *, replace: bool, stages: Stages
) -> Bundle:
    """Measure what `run` has trained, fit its judge, and write the bundle `output`.

    Args:
        place: where the run keeps what frozen layers make of its images.

    Raises:
        MeasuringInterrupted: somebody asked to stop.
        BundleExists: a bundle was put at `output` meanwhile, and may not be replaced.
    """
    model, parts, earlier = run.trained.model, run.parts, run.earlier
    fitted, test, limited = parts.fitted, parts.test, run.options.limit is not None
    without_averages = limited or not run.recipe.averaged
    # A bundle without its network has none that must agree with its figures to the last digit.
    report_only = run.options.report_only
    # Where the last phase learned from what frozen layers make of them, that is on disk already.
    ask = partial(_probabilities, run, place, stages)
    on_fitted = ask("measuring training images", fitted.images, kept=fitted is parts.fit)
    metrics = {"train": measure(on_fitted, fitted.labels)}
    averaged = {}
    if earlier is not None:
        labels = earlier.predictions.validation_labels
        on_validation = earlier.predictions.validation
        metrics["validation"] = earlier.card.metrics["validation"]
    else:
        assert parts.validation is not None  # Only `all_data` does without, and has an earlier run.
        images, labels = parts.validation.images, parts.validation.labels
        on_validation = ask("measuring validation images", images, kept=report_only)
        metrics["validation"] = measure(on_validation, labels)
        if not without_averages:
            told = stages.begin("averaging validation images", len(labels) * FURTHER_TRANSFORMS)
            on_views = predict_averaged(model, images, on_validation, told)
            averaged["validation"] = measure(on_views, labels)
    command = run.calibrated_by or run.trained.command
    set_on = f"the validation images of the run `{command}`"
    calibrator = fit_calibrator(on_validation, labels, set_on)
    judge = None if report_only else _judge(run, calibrator, place, stages)

    # Nothing is left to choose: from here on the test images are looked at.
    on_test = ask("measuring test images", test.images, kept=report_only)
    metrics["test"] = measure(on_test, test.labels)
    if not without_averages:
        told = stages.begin("averaging test images", len(test) * FURTHER_TRANSFORMS)
        averaged["test"] = measure(predict_averaged(model, test.images, on_test, told), test.labels)
    facts, epochs = _training_facts(run), run.trained.history
    reached = Reached.of(facts, metrics, [epoch.validation_accuracy for epoch in epochs])
    card = Card(
        name=output.name,
        recipe=run.recipe.name,
        title=run.title,
        summary=run.recipe.summary,
        input_size=run.recipe.input_size,
        classes=list(run.data.classes),
        parameters=model.count_params(),
        trainable_parameters=run.trained.trainable_parameters,
        layers=layer_table(model),
        reported=_reported(run.recipe, run.data),
        why=why(run.recipe, reached),
        training=facts,
        metrics=metrics,
        averaged=averaged,
        calibration=Calibration.of(calibrator, on_test, test.labels),
        test_reads=_test_reads(run, output),
    )
    predictions = Predictions(on_test, test.labels, on_validation, labels)
    # Hours have gone by: somebody may have put one there.
    check_output(run.recipe, run.options, output, replace)
    network = None if report_only else model
    return write_bundle(output, card, run.trained.history, predictions, network, judge)


def _probabilities(
    run: Finished,
    place: Place,
    stages: Stages,
    stage: str,
    images: NDArray[np.uint8],
    *,
    kept: bool,
) -> NDArray[np.float32]:
    """Return the probabilities for `images`, shown as `stage`.

    Args:
        kept: whether what frozen layers make of them is taken from `place`, and kept there: hours
            for large images, which then are spent once for all networks with these layers.
    """
    model, phase = run.trained.model, run.phases[-1]
    if phase.learns_from is None or not kept:
        return predict(model, images, stages.begin(stage, len(images)))
    # As it was when they were kept: its layers' configuration tells, and their precision.
    frozen, _above = divide(run.trained.learned, phase)
    told = stages.begin(f"{stage}, frozen layers", len(images) * len(frozen))
    found = extract(frozen, images, (Transform(),), place.features, on_images=told)
    _below, upper = cut(model, phase.learns_from)
    # Layers above may be most of a network: minutes of them want a bar of their own.
    return predict(upper, found.views[0], stages.begin(stage, len(images)))


def _judge(run: Finished, calibrator: Calibrator, place: Place, stages: Stages) -> Judge | None:
    before = run.earlier.judge if run.earlier is not None else None
    validation, fitted = run.parts.validation, run.parts.fitted
    if validation is None and before is None:
        return None  # A run of a version before was not refused for it at its beginning.
    count = min(len(fitted), REMEMBERED) + len(validation or ())
    head = kept_head(run.data, place.state)
    told = stages.begin("out-of-distribution fit", count)
    done = 0

    def on_images(now: int, _total: int) -> None:
        nonlocal done
        told(now - done)
        done = now

    return fit_judge(
        KerasBackend(run.trained.model),
        run.data.classes,
        default_plan(run.recipe.input_size, run.data.side, coarse=head is None),
        fitted,
        validation,
        calibrator,
        calibrator.set_on,
        before,
        head,
        batch_size=batch_within_memory(run.trained.model),
        on_images=on_images,
    )


def _test_reads(run: Finished, output: Path) -> int | None:
    """Return how often the test images were read for the recipe, this time included."""
    if run.earlier is None and not is_bundle(output):
        return 1
    try:
        before = (run.earlier or read_bundle(output)).card
    except BundleError:
        return None  # Nobody can tell any more.
    if (before.recipe, before.training.data_digest) != (run.recipe.name, run.data.digest):
        return 1
    return None if before.test_reads is None else before.test_reads + 1


def _reported(recipe: Recipe, data: DataSet) -> ReportedFigures | None:
    # What its source reports is of the data set that the recipe is made for.
    if recipe.reported is None or recipe.data_set != data.name:
        return None
    told = recipe.reported
    return ReportedFigures(
        source=told.source,
        test_accuracy=told.test_accuracy,
        test_loss=told.test_loss,
        class_f1=dict(told.class_f1),
        task=told.task,
    )


def _training_facts(run: Finished) -> TrainingFacts:
    recipe, trained, parts = run.recipe, run.trained, run.parts
    could_end = trained.best_epoch is not None or trained.minutes is not None
    return TrainingFacts(
        command=trained.command,
        changes=run.options.changes,
        augmentation=recipe.augmentation,
        optimizer="; then ".join(describe(phase) for phase in run.phases),
        precision=recipe.precision,
        epochs=len(trained.history),
        planned_epochs=sum(phase.epochs for phase in run.phases) if could_end else None,
        best_epoch=trained.best_epoch,
        minutes=trained.minutes,
        batch_size=run.phases[-1].batch_size,
        seed=run.options.seed,
        images=len(parts.fit),
        validation_images=len(parts.validation or ()),
        all_data=run.options.all_data,
        calibrated_by=run.calibrated_by,
        pretrained=trained.pretrained,
        seconds=round(trained.seconds, 1),
        started=trained.started,
        machine=run.here.machine,
        versions=run.here.versions,
        data_set=run.data.title,
        data_digest=run.data.digest,
        tuned=TunedSettings(**asdict(recipe.tuned)) if recipe.tuned is not None else None,
    )


def measure(probabilities: evaluation.Floats, labels: evaluation.Labels) -> Metrics:
    """Return the card's figures for one part of the data."""
    return Metrics(
        images=len(labels),
        accuracy=evaluation.accuracy(probabilities, labels),
        loss=evaluation.cross_entropy(probabilities, labels),
        calibration_error=evaluation.calibration_error(probabilities, labels),
    )


def layer_table(model: keras.Model) -> list[Layer]:
    """Return one row per layer of `model`, in order."""
    return [
        Layer(
            name=layer.name,
            type=type(layer).__name__,
            output_shape=list(layer.output.shape),
            parameters=layer.count_params(),
        )
        for layer in model.layers
    ]
