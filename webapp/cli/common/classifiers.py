"""The network that answers a command, loaded."""

from __future__ import annotations

import click
from flask import current_app

from model_training.bundles.reading import read_bundles
from webapp.cli.common.bundles import find_bundle
from webapp.serving.classifier import Classifier, ClassifierError


def named_classifier(name: str) -> Classifier:
    """Return the network called `name`.

    Raises:
        click.ClickException: it is not here, or cannot answer.
    """
    try:
        return Classifier(find_bundle(name, param_hint="--model"))
    except ClassifierError as error:
        raise click.ClickException(f"{name} cannot answer: {error}.") from error


def default_classifier() -> Classifier:
    """Return what answers on the site unless another is asked.

    Raises:
        click.ClickException: nothing can.
    """
    bundles, problems = read_bundles(current_app.config["MODELS_FOLDER"])
    wanted: str = current_app.config["DEFAULT_MODEL"]
    for bundle in sorted(bundles, key=lambda one: one.name != wanted):
        try:
            classifier = Classifier(bundle)
        except ClassifierError as error:
            problems[bundle.name] = str(error)
            continue
        if bundle.name != wanted:
            why = problems.get(wanted, "it is not here")
            click.echo(
                f"The default model {wanted} cannot answer ({why}): {bundle.name} does.", err=True
            )
        return classifier
    named = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
    raise click.ClickException(
        f"No model can answer ({named or 'none is here'}). `flask train custom-cnn` trains one."
    )
