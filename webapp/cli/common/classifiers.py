"""The network that answers a command, loaded."""

from __future__ import annotations

import click
from flask import current_app

from model_training.bundles.bundle import Bundle, BundleError
from model_training.bundles.reading import Check, read_bundles
from model_training.bundles.signing import SigningError, Verifier
from webapp.cli.common.bundles import find_bundle, find_folder
from webapp.serving.classifier import Classifier, ClassifierError


def answering_bundle(name: str) -> Bundle:
    """Return the bundle called `name`, if the site may answer with it.

    Raises:
        click.ClickException: it is not here, or is damaged, or is not signed as the setting says.
    """
    if check := _check():
        try:
            check(find_folder(name, param_hint="--model"))
        except BundleError as error:
            raise click.ClickException(f"{name} cannot answer: {error}.") from error
    return find_bundle(name, param_hint="--model")


def named_classifier(name: str) -> Classifier:
    """Return the network called `name`.

    Raises:
        click.ClickException: it is not here, or cannot answer.
    """
    try:
        return Classifier(answering_bundle(name))
    except ClassifierError as error:
        raise click.ClickException(f"{name} cannot answer: {error}.") from error


def default_classifier() -> Classifier:
    """Return what answers on the site unless another is asked.

    Raises:
        click.ClickException: nothing can.
    """
    bundles, problems = read_bundles(current_app.config["MODELS_FOLDER"], _check())
    if chosen := current_app.config["MODELS"]:
        bundles = [bundle for bundle in bundles if bundle.name in chosen]
        problems = {name: problem for name, problem in problems.items() if name in chosen}
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


def _check() -> Check | None:
    """Return what refuses bundles that are not signed as the setting says; None if it says nothing.

    Raises:
        click.ClickException: nothing can be verified.
    """
    public_key = current_app.config["MODELS_PUBLIC_KEY"]
    try:
        return Verifier(public_key).check if public_key else None
    except SigningError as error:
        raise click.ClickException(f"MODELS_PUBLIC_KEY cannot be used: {error}.") from error
