"""`flask models sign` and `verify`: signatures of bundles."""

from __future__ import annotations

from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from model_training.bundles.bundle import SIGNATURE, BundleError
from model_training.bundles.signing import PassphraseNeeded, SigningError, Verifier, sign
from webapp.cli.common.bundles import TAKE_UP, find_bundle, find_folder, folders

KEY = click.Path(exists=True, dir_okay=False, path_type=Path)
SETTING = "MODELS_PUBLIC_KEY"


@click.command("sign")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--key",
    type=KEY,
    required=True,
    metavar="FILE",
    help="The private key: PEM, of the elliptic curve P-256, P-384 or P-521.",
)
@with_appcontext
def sign_command(names: tuple[str, ...], key: Path) -> None:
    """Sign the models NAME with the private key FILE, by OpenSSF's model-signing.

    The signature is the file model.sig in the bundle, and stands for all its other files. Where the
    setting MODELS_PUBLIC_KEY names the public key, the site uses no bundle without one.
    """
    bundles = [find_bundle(name) for name in dict.fromkeys(names)]
    passphrase: str | None = None
    for bundle in bundles:
        try:
            try:
                sign(bundle.path, key, passphrase)
            except PassphraseNeeded:
                passphrase = click.prompt(f"Passphrase of {key}", hide_input=True, err=True)
                sign(bundle.path, key, passphrase)
        except SigningError as error:
            raise click.ClickException(f"{bundle.name} is not signed: {error}.") from error
        except OSError as error:
            raise click.ClickException(
                f"{bundle.name} is not signed: {error.filename or bundle.path} cannot be read or "
                f"written ({error.strerror})."
            ) from error
        click.echo(f"{bundle.name} is signed: {bundle.path / SIGNATURE}. {TAKE_UP}")
    if public_key := current_app.config[SETTING]:
        _say_if_refused(public_key, bundles[0].path)


@click.command("verify")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--key", type=KEY, metavar="FILE", help=f"The public key: PEM. By default that of {SETTING}."
)
@with_appcontext
def verify_command(names: tuple[str, ...], key: Path | None) -> None:
    """Verify the signatures of the models NAME, or of all models.

    The exit status is 1 if one cannot be verified.
    """
    public_key = key or current_app.config[SETTING]
    if public_key is None:
        raise click.UsageError(f"Name the public key with --key, or set {SETTING}.")
    chosen = [find_folder(name) for name in dict.fromkeys(names)] or list(folders().values())
    try:
        verifier = Verifier(public_key)
    except SigningError as error:
        raise click.ClickException(f"Nothing can be verified: {error}.") from error
    refused = False
    for path in chosen:
        try:
            verifier.check(path)
        except BundleError as error:
            refused = True
            click.echo(f"{path.name}: {error}")
        else:
            click.echo(f"{path.name}: it is what was signed")
    if refused:
        raise click.exceptions.Exit(1)


def _say_if_refused(public_key: Path, path: Path) -> None:
    try:
        Verifier(public_key).check(path)
    except (BundleError, SigningError) as error:
        click.echo(f"The site would refuse it by its {SETTING}: {error}.", err=True)
