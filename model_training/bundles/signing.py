"""Signatures of bundles, by OpenSSF's model-signing with a key of an elliptic curve.

`model.sig` names the SHA-256 of every other file of the bundle, and the key's signature of that
list.  Whoever has the public key sees that nothing was changed, added or left out since.  It is
what `model_signing sign key` writes, and what `model_signing verify key` takes.
"""

from __future__ import annotations

import importlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from model_training.bundles.bundle import SIGNATURE, BundleError
from model_training.files import whole_file

MOST_BYTES = 2**20
NOT_INSTALLED = "model-signing is not installed: `pip install -r requirements-signing.txt`"
_KINDS = "a PEM file of the elliptic curve P-256, P-384 or P-521"


class SigningError(Exception):
    """Nothing can be signed or verified; the message says why."""


class PassphraseNeeded(SigningError):
    """The private key is encrypted."""


def sign(path: Path, private_key: Path, passphrase: str | None = None) -> None:
    """Sign the bundle in the folder `path`; an earlier signature is replaced.

    Raises:
        SigningError: the key cannot be used, or model-signing is not installed.
        OSError: a file cannot be read or written.
    """
    signing, hashing = _library("signing"), _library("hashing")
    if not private_key.is_file():
        raise SigningError(f"there is no file {private_key}")
    try:
        # It says that it takes text, and hands it to what takes bytes.
        signer = signing.Config().use_elliptic_key_signer(
            private_key=private_key, password=passphrase.encode() if passphrase else None
        )
    except Exception as error:  # Of each kind of wrong file another.
        if "encrypted" in str(error) and passphrase is None:
            raise PassphraseNeeded(f"{private_key} is encrypted") from error
        if "password" in str(error).lower():
            raise SigningError(f"that is not the passphrase of {private_key}") from error
        raise SigningError(f"{private_key} is no private key that can sign: {_KINDS}") from error
    signer.set_hashing_config(hashing.Config().set_ignored_paths(paths=[SIGNATURE]))
    # Not beside the files, all of which are signed.
    with tempfile.TemporaryDirectory() as aside:
        made = Path(aside) / SIGNATURE
        try:
            signer.sign(path, made)
        except ValueError as error:
            raise SigningError(str(error)) from error
        with whole_file(path / SIGNATURE) as temporary:
            shutil.copyfile(made, temporary)


class Verifier:
    """Tells by the public key in the file `public_key` whether a bundle is what was signed.

    Raises:
        SigningError: the key cannot be used, or model-signing is not installed.
    """

    def __init__(self, public_key: Path) -> None:
        self._verifying = _library("verifying")
        self._public_key = public_key
        if not public_key.is_file():
            raise SigningError(f"there is no file {public_key}")
        self._config()

    def check(self, path: Path) -> None:
        """Check the bundle in the folder `path`, before anything of it is believed.

        Raises:
            BundleError: it is not signed, not with this key, or not what was signed.
        """
        signature = path / SIGNATURE
        if not signature.is_file():
            raise BundleError(f"it is not signed: it has no {SIGNATURE}")
        if signature.stat().st_size > MOST_BYTES:
            raise BundleError(f"{SIGNATURE} is larger than {MOST_BYTES // 2**20} MB")
        from cryptography.exceptions import InvalidSignature

        try:
            self._config().verify(path, signature)
        except InvalidSignature as error:
            raise BundleError(
                f"{SIGNATURE} is forged or damaged: its signature is not of the key that is asked "
                "for"
            ) from error
        except Exception as error:  # A damaged file makes parsers raise nearly anything.
            raise BundleError(_why(str(error))) from error

    def _config(self) -> Any:
        try:
            # One keeps what it learned of the first signature that it saw.
            return self._verifying.Config().use_elliptic_key_verifier(public_key=self._public_key)
        except Exception as error:  # Of each kind of wrong file another.
            raise SigningError(
                f"{self._public_key} is no public key that can verify: {_KINDS}"
            ) from error


def _why(said: str) -> str:
    """Return in our words why a signature was not accepted."""
    if said.startswith("Key mismatch"):
        return "it is signed with another key than the one that is asked for"
    if said.startswith("Signature mismatch"):
        # It holds Python's form of texts, which escapes quotes where a digest happens to have one.
        said = said.replace("\\'", "'")
        changed = re.findall(r"Hash mismatch for '([^']+)'", said)
        added = re.findall(r"Extra files found in model '[^']*': ([^'\"]+)", said)
        missing = re.findall(r"Missing files in model '[^']*': ([^'\"]+)", said)
        parts = [
            f"{', '.join(names)} {what}"
            for names, what in (
                (changed, "changed"),
                (added, "added"),
                (missing, "missing"),
            )
            if names
        ]
        return f"it is not what was signed ({'; '.join(parts) or 'its files differ'})"
    return f"{SIGNATURE} cannot be read ({said.strip() or 'it ends too soon'})"


def _library(module: str) -> Any:
    # Not at the top: importing it takes seconds, and most sites do without.
    try:
        return importlib.import_module(f"model_signing.{module}")
    except ImportError as error:
        raise SigningError(NOT_INSTALLED) from error
