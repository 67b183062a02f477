"""A whole run: data and a recipe in, a bundle on disk out."""

from __future__ import annotations

import dataclasses
import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from model_training import checkpoint, evaluation
from model_training.bundle import Bundle, Predictions, write_bundle
from model_training.card import Calibration, Card, Layer, Metrics, ReportedFigures, TrainingFacts
from model_training.data import CLASSES, DIGEST, Cifar10, ImageSet, split
from model_training.recipes import Recipe, Training
from model_training.training import Trained, Watcher, train

_PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "pillow")


@dataclass(frozen=True)
class Options:
    """What one run changes of its recipe; None keeps the recipe's own."""

    epochs: int | None = None
    batch_size: int | None = None
    seed: int = 0
    limit: int | None = None


def run(
    recipe: Recipe,
    data: Cifar10,
    options: Options,
    output: Path,
    state_folder: Path,
    *,
    resume: bool = False,
    restart: bool = False,
    watcher: Watcher | None = None,
) -> Bundle:
    """Train `recipe` on `data`, measure it, and write the bundle `output`.

    The 50,000 training images are divided into 45,000 to fit and 5,000 to validate; the 10,000
    test images are read once, when nothing is left to choose.  An unfinished run of the same
    output is never thrown away unasked: `resume` goes on with it, `restart` discards it.

    Raises:
        Interrupted: stopped by a signal; `resume` goes on.
        CheckpointError: there is an unfinished run and neither `resume` nor `restart` is given,
            the state cannot be resumed, or another training holds it.
        ValueError: the options do not fit the data.
    """
    training = _with_options(recipe.training, options)
    fit, validation = divide(data.train, options.limit)
    with checkpoint.claim(state_folder):
        if checkpoint.exists(state_folder) and not resume:
            if not restart:
                raise checkpoint.CheckpointError(
                    f"There is an unfinished training of {output.name}. Continue it with --resume, "
                    "or throw it away with --restart."
                )
            checkpoint.discard(state_folder)
        trained = train(
            recipe,
            training,
            options.seed,
            fit,
            validation,
            state_folder,
            resume=resume,
            watcher=watcher,
        )
        bundle = _measure_and_write(
            recipe, training, options, trained, fit, validation, data.test, output
        )
        checkpoint.discard(state_folder)
    return bundle


def divide(train_set: ImageSet, limit: int | None) -> tuple[ImageSet, ImageSet]:
    """Divide `train_set` into images to fit and images to validate on.

    With `limit` only the first so many images are used, a tenth of them to validate.

    Raises:
        ValueError: `limit` is not between 100 and the number of images.
    """
    if limit is not None:
        if not 100 <= limit <= len(train_set):
            raise ValueError(f"--limit takes a number from 100 to {len(train_set)}, not {limit}.")
        train_set = train_set.take(np.arange(limit))
    fit_indices, validation_indices = split(train_set.labels)
    return train_set.take(fit_indices), train_set.take(validation_indices)


def _measure_and_write(
    recipe: Recipe,
    training: Training,
    options: Options,
    trained: Trained,
    fit: ImageSet,
    validation: ImageSet,
    test: ImageSet,
    output: Path,
) -> Bundle:
    model = trained.model
    probabilities = {
        "train": evaluation.predict(model, fit.images),
        "validation": evaluation.predict(model, validation.images),
    }
    temperature = evaluation.fit_temperature(probabilities["validation"], validation.labels)
    probabilities["test"] = evaluation.predict(model, test.images)
    labels = {"train": fit.labels, "validation": validation.labels, "test": test.labels}
    calibrated = evaluation.scale_by_temperature(probabilities["test"], temperature)
    card = Card(
        name=output.name,
        recipe=recipe.name,
        title=recipe.title if options.limit is None else f"{recipe.title}, a quick try",
        summary=recipe.summary,
        input_size=recipe.input_size,
        classes=list(CLASSES),
        parameters=model.count_params(),
        trainable_parameters=_count(model.trainable_variables),
        layers=layer_table(model),
        reported=ReportedFigures(**dataclasses.asdict(recipe.reported)),
        training=TrainingFacts(
            command=command(recipe, options),
            augmentation=recipe.augmentation,
            optimizer=trained.optimizer,
            precision=training.precision,
            epochs=len(trained.history),
            batch_size=training.batch_size,
            seed=options.seed,
            images=len(fit),
            validation_images=len(validation),
            all_data=False,
            seconds=round(trained.seconds, 1),
            started=trained.started,
            machine=machine(),
            versions=versions(),
            data_set="CIFAR-10",
            data_digest=DIGEST,
        ),
        metrics={part: measure(probabilities[part], labels[part]) for part in probabilities},
        calibration=Calibration(
            temperature=temperature,
            test_error=evaluation.calibration_error(calibrated, test.labels),
        ),
        rejection_threshold=None,
        model_sha256=None,
    )
    predictions = Predictions(
        test=probabilities["test"],
        test_labels=test.labels,
        validation=probabilities["validation"],
        validation_labels=validation.labels,
    )
    return write_bundle(output, card, trained.history, predictions, model)


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


def command(recipe: Recipe, options: Options) -> str:
    """The command that repeats a run."""
    words = ["flask train", recipe.name]
    for name, value in dataclasses.asdict(options).items():
        if value is not None:
            words.append(f"--{name.replace('_', '-')} {value}")
    return " ".join(words)


def machine() -> str:
    """The processor, its cores as this process sees them, and the operating system."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    return f"{processor}, {len(os.sched_getaffinity(0))} cores, {platform.system()}"


def versions() -> dict[str, str]:
    """Python's version and those of the packages that could change a result."""
    found = {"python": platform.python_version(), "backend": keras.backend.backend()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except ModuleNotFoundError:  # PackageNotFoundError is one of these.
            continue
    return found


def _with_options(training: Training, options: Options) -> Training:
    return dataclasses.replace(
        training,
        epochs=options.epochs or training.epochs,
        batch_size=options.batch_size or training.batch_size,
    )


def _count(variables: list[keras.Variable]) -> int:
    return sum(int(np.prod(variable.shape)) for variable in variables)
