"""Signed bundles: made with openssl's keys, and tampered with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click import ClickException
from flask.testing import FlaskCliRunner

from model_training.bundles import signing
from model_training.bundles.bundle import MODEL, SIGNATURE, Bundle, BundleError
from model_training.bundles.signing import SigningError, Verifier, sign
from tests import pictures
from tests.conftest import PROJECT, make_site
from tests.test_live_models import change, change_card, shelf_of
from webapp.cli.classifying.work import on_cluster
from webapp.library import load_library, open_library
from webapp.library.inventory import Inventory
from webapp.settings import SettingError

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="needs openssl")
SENT: dict[str, Any] = {"method": "POST", "data": pictures.jpeg(), "content_type": "image/jpeg"}


def openssl(*arguments: str | Path) -> None:
    subprocess.run([OPENSSL or "openssl", *map(str, arguments)], check=True, capture_output=True)


def make_key(folder: Path, name: str) -> tuple[Path, Path]:
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    openssl("genpkey", *curve, "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    return private, public


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private key, and its public half."""
    return make_key(tmp_path_factory.mktemp("keys"), "models")


@pytest.fixture
def instance(tiny_bundle: Bundle, keys: tuple[Path, Path], tmp_path: Path) -> Path:
    """An instance folder with the model "tiny", signed, and the public key."""
    path = shutil.copytree(tiny_bundle.path, tmp_path / "models" / "tiny")
    sign(path, keys[0])
    shutil.copy(keys[1], tmp_path / "models.pub")
    return tmp_path


def invoke(runner: FlaskCliRunner, *arguments: str | Path, code: int = 0, answer: str = "") -> str:
    result = runner.invoke(args=["models", *map(str, arguments)], input=answer)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def tamper_with_the_network(path: Path) -> None:
    network = path / MODEL
    content = bytearray(network.read_bytes())
    content[len(content) // 2] ^= 1
    network.write_bytes(content)


def tamper_with_the_card(path: Path) -> None:
    change_card(path)


def add_a_file(path: Path) -> None:
    (path / "run.py").write_text("print('hello')")


def take_a_file(path: Path) -> None:
    (path / "judge.npz").unlink()


def cut_the_signature(path: Path) -> None:
    signature = path / SIGNATURE
    signature.write_bytes(signature.read_bytes()[:200])


def take_the_signature(path: Path) -> None:
    (path / SIGNATURE).unlink()


def forge_the_signature(path: Path) -> None:
    signature = path / SIGNATURE
    text = signature.read_text("utf-8")
    change_card(path)
    other, _public = make_key(path.parent, "forger")
    ours = re.search(r'"hint":\s*"(\w+)"', text)
    sign(path, other)
    theirs = re.search(r'"hint":\s*"(\w+)"', signature.read_text("utf-8"))
    assert ours and theirs
    forged = signature.read_text("utf-8").replace(theirs[1], ours[1])
    signature.write_text(forged, "utf-8")


def sign_with_another_key(path: Path) -> None:
    other, _public = make_key(path.parent, "other")
    sign(path, other)


TAMPERED = [
    (tamper_with_the_network, "it is not what was signed (model.keras changed)"),
    (tamper_with_the_card, "it is not what was signed (card.json changed)"),
    (add_a_file, "it is not what was signed (run.py added)"),
    (take_a_file, "it is not what was signed (judge.npz missing)"),
    (take_the_signature, "it is not signed: it has no model.sig"),
    (cut_the_signature, "model.sig cannot be read"),
    (forge_the_signature, "model.sig is forged or damaged"),
    (sign_with_another_key, "it is signed with another key"),
]


@pytest.mark.parametrize(("tamper", "words"), TAMPERED, ids=[one.__name__ for one, _ in TAMPERED])
def test_what_is_not_as_it_was_signed_is_refused(tamper: Any, words: str, instance: Path) -> None:
    verifier, path = Verifier(instance / "models.pub"), instance / "models" / "tiny"
    verifier.check(path)
    tamper(path)
    with pytest.raises(BundleError) as refused:
        verifier.check(path)
    assert str(refused.value).startswith(words)


@pytest.mark.parametrize("digest", [b"plain", b"a ' in it", b'a " in it', b"both ' and \""])
def test_what_changed_is_named_whatever_its_digest_looks_like(digest: bytes) -> None:
    # As model-signing says it: a list of texts with the digests' bytes in them.
    said = [f"Extra files found in model 'tiny': run.py, {SIGNATURE}2"]
    said += [f"Hash mismatch for '{MODEL}': Expected '{digest!r}', Actual '{digest!r}'"]
    told = signing._why(f"Signature mismatch: {said}")
    assert told == f"it is not what was signed ({MODEL} changed; run.py, {SIGNATURE}2 added)"


def test_a_site_with_a_key_answers_with_what_was_signed_alone(
    instance: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(instance / "models" / "tiny", instance / "models" / "other")
    (instance / "models" / "other" / SIGNATURE).unlink()
    app = make_site(instance, MODELS_PUBLIC_KEY="models.pub")
    client = app.test_client()
    assert client.open("/api/classify", **SENT).status_code == 200
    states = client.get("/readyz").get_json()["models"]
    assert states["tiny"]["state"] == "loaded"
    assert states["other"] == {
        "state": "failed",
        "problem": "it is not signed: it has no model.sig",
    }
    assert "model other is left out: it is not signed: it has no model.sig" in caplog.text
    assert "it is not signed" in client.get("/models/").get_data(as_text=True)
    assert set(load_library(app).results) == {"tiny"}, "nor are its results shown"


def test_a_version_that_was_tampered_with_is_not_taken_up(
    instance: Path, keys: tuple[Path, Path]
) -> None:
    app = make_site(instance, MODELS_PUBLIC_KEY="models.pub")
    client, path = app.test_client(), instance / "models" / "tiny"
    assert client.get("/readyz").status_code == 200
    change(path, 5.0)
    assert not (path / SIGNATURE).exists(), "what changes a bundle leaves out its signature"
    taken = shelf_of(app).take_up()
    assert taken.failed == {"tiny": "it is not signed: it has no model.sig"}
    answer = client.open("/api/classify", **SENT)
    assert answer.status_code == 200 and answer.get_json()["threshold"] == 1e6, "the one before"
    state = client.get("/readyz").get_json()["models"]["tiny"]
    assert state["state"] == "loaded" and state["problem"].startswith("it is not signed")
    sign(path, keys[0])
    assert shelf_of(app).take_up().loaded == ["tiny"]
    assert client.open("/api/classify", **SENT).get_json()["threshold"] == 5.0


def test_a_network_that_is_replaced_before_it_is_loaded_does_not_answer(instance: Path) -> None:
    app = make_site(instance, MODELS_PUBLIC_KEY="models.pub")
    inventory = Inventory(app)
    assert inventory.look() == ["tiny"], "what was read is what was signed"
    with zipfile.ZipFile(instance / "models" / "tiny" / MODEL, "a") as network:
        network.comment = b"still a network, and another one"
    assert not inventory.load("tiny")
    assert inventory.problems == {"tiny": f"it is not what was signed ({MODEL} changed)"}
    assert not inventory.library().classifiers


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no file"),
        ("no key", "is no public key that can verify: a PEM file of the elliptic curve"),
    ],
)
def test_a_key_that_is_none_stops_the_start(
    content: str | None, words: str, instance: Path
) -> None:
    if content is not None:
        (instance / "wrong.pub").write_text(content)
    app = make_site(instance, MODELS_PUBLIC_KEY="wrong.pub")
    with pytest.raises(SettingError, match=f"MODELS_PUBLIC_KEY cannot be used: .*{words}"):
        open_library(app)


def test_where_nothing_can_be_verified_nothing_is_used(
    instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    monkeypatch.delitem(sys.modules, "model_signing.verifying", raising=False)
    app = make_site(instance, MODELS_PUBLIC_KEY="models.pub")
    with pytest.raises(SettingError, match="model-signing is not installed"):
        open_library(app)
    library = load_library(app)
    assert not library.results and "model-signing is not installed" in library.problems["tiny"]
    refused = app.test_cli_runner().invoke(args=["predict", "nothing.jpg"])
    assert refused.exit_code and "model-signing is not installed" in refused.output


def test_no_cluster_is_given_a_model_that_the_site_would_refuse(
    instance: Path, keys: tuple[Path, Path]
) -> None:
    app = make_site(instance, MODELS_PUBLIC_KEY="models.pub")
    with app.app_context():
        (instance / "models" / "tiny" / SIGNATURE).unlink(missing_ok=True)
        with pytest.raises(ClickException, match="tiny cannot answer: it is not signed"):
            on_cluster("127.0.0.1:6379", "tiny", None, 1)
        sign(instance / "models" / "tiny", keys[0])
        assert on_cluster("127.0.0.1:6379", "tiny", None, 1).identity["model"] == "tiny"


def test_the_commands_sign_verify_and_say_what_is_to_be_signed_again(
    instance: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    runner = make_site(instance, MODELS_PUBLIC_KEY="models.pub").test_cli_runner()
    assert invoke(runner, "verify") == "tiny: it is what was signed\n"
    told = invoke(runner, "rename", "tiny", "mine")
    assert "Its signature is gone" in told and "flask models sign mine --key FILE" in told
    assert invoke(runner, "verify", code=1) == "mine: it is not signed: it has no model.sig\n"
    other, public = make_key(tmp_path, "another")
    told = invoke(runner, "sign", "mine", "--key", other)
    assert "The site would refuse it by its MODELS_PUBLIC_KEY: it is signed with another" in told
    assert invoke(runner, "verify", "mine", "--key", public) == "mine: it is what was signed\n"
    assert "The site would" not in invoke(runner, "sign", "mine", "--key", keys[0])
    assert "Its signature is gone" in invoke(runner, "report-only", "mine", "--yes")
    refused = invoke(runner, "sign", "mine", "--key", keys[1], code=1)
    assert "mine is not signed" in refused and "is no private key that can sign" in refused


def test_a_key_with_a_passphrase_asks_for_it(instance: Path, keys: tuple[Path, Path]) -> None:
    locked = instance / "locked.key"
    openssl("pkey", "-in", keys[0], "-aes256", "-passout", "pass:open sesame", "-out", locked)
    runner = make_site(instance).test_cli_runner()
    refused = invoke(runner, "sign", "tiny", "--key", locked, answer="wrong\n", code=1)
    assert "that is not the passphrase" in refused
    invoke(runner, "sign", "tiny", "--key", locked, answer="open sesame\n")
    assert invoke(runner, "verify", "--key", keys[1]) == "tiny: it is what was signed\n"
    assert "Name the public key with --key" in invoke(runner, "verify", code=2)


def test_a_key_of_another_kind_cannot_sign(instance: Path) -> None:
    for name, kind in (("rsa", ("RSA",)), ("ed", ("ED25519",))):
        openssl("genpkey", "-algorithm", *kind, "-out", instance / name)
        with pytest.raises(SigningError, match="is no private key that can sign"):
            sign(instance / "models" / "tiny", instance / name)


def test_the_commands_of_the_guide_run_as_they_stand(instance: Path, tmp_path: Path) -> None:
    guide = (PROJECT / "docs" / "deploy.md").read_text("utf-8")
    section = guide.split("### Signed models", 1)[1].split("\n### ", 1)[0]
    (commands,) = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    here = tmp_path / "here"
    here.mkdir()
    (here / "instance").symlink_to(instance)
    (here / ".venv").symlink_to(sys.prefix)
    done = subprocess.run(
        # The model is another one: that which ships is not to be signed by a test.
        ["sh", "-ec", commands.replace("efficientnet-lite0", "tiny")],
        cwd=here,
        env=os.environ
        | {
            "FLASK_APP": str(PROJECT / "wsgi.py"),
            "TENCLASSES_MODELS_FOLDER": str(instance / "models"),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    signed, verified, by_model_signing = done.stdout.splitlines()
    assert signed.startswith("tiny is signed") and verified == "tiny: it is what was signed"
    assert by_model_signing == "Verification succeeded"
