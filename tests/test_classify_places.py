"""Where pictures lie that are classified elsewhere, and what keeps a cluster from being used."""

from __future__ import annotations

import builtins
import socket
import sys
import tarfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from model_training.bundles.bundle import Bundle, BundleError
from model_training.bundles.packing import pack, unpack
from model_training.classifying.addresses import Address, is_address
from model_training.classifying.cluster.joining import ClusterError, check, joined
from model_training.classifying.cluster.parts import Part, divide
from model_training.classifying.sources import Place, SourceError
from model_training.classifying.stores import Stored
from tests import pictures

ADDRESS = "127.0.0.1:{port}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven pictures, three of them in an archive, and what is hidden."""
    folder = tmp_path / "many"
    (folder / "b" / ".hidden").mkdir(parents=True)
    for name in ("a.png", "b/c.png", "b/d.png", "z.png", "b/.hidden/e.png", ".f.png"):
        (folder / name).write_bytes(pictures.png())
    with tarfile.open(folder / "m.tar", "w") as archive:
        for name in ("1.png", "2.png", "3.png"):
            archive.add(folder / "a.png", name)
    return folder


def read(parts: list[Part]) -> list[str]:
    return [one.name for part in parts for one in part.read(1_000_000)]


def test_every_picture_is_in_one_part_in_the_order_of_a_run_in_one_process(folder: Path) -> None:
    places: list[Place] = [folder / "b", folder, folder / "a.png"]
    parts = list(divide(places, (), most=1))
    inside = [f"{folder}/m.tar!/{name}.png" for name in (1, 2, 3)]
    expected = ["b/c.png", "b/d.png", "a.png", *inside, "z.png"]
    assert read(parts) == [str(folder / name) for name in expected]
    assert len(parts) == 5, "an archive is one"
    assert len(list(divide(places, ()))) == 3, "files before and after it are together"


def test_what_is_done_is_not_read_again(folder: Path) -> None:
    done = {f"{folder}/m.tar!/2.png", str(folder / "a.png")}
    names = [Path(name).name for name in read(list(divide([folder], done)))]
    assert names == ["c.png", "d.png", "1.png", "3.png", "z.png"]


def test_a_file_that_is_gone_when_it_is_read_is_told(folder: Path) -> None:
    (part,) = divide([folder / "a.png", folder / "z.png"], ())
    (folder / "a.png").unlink()
    gone, there = part.read(10)
    assert gone.data is None and "No such file" in str(gone.why)
    assert there.data == pictures.png()[:10]


def test_a_stored_file_that_cannot_be_read_is_told_while_its_store_answers(folder: Path) -> None:
    pytest.importorskip("pyarrow")
    (part,) = divide([Stored(f"file://{folder}/b")], ())
    (folder / "b" / "c.png").unlink()
    (folder / "b" / "d.png").unlink()
    (folder / "b" / "d.png").mkdir()
    gone, folder_now = part.read(10)
    assert gone.data is None and gone.why == "It cannot be read: it is not there any more."
    assert folder_now.data is None and "d.png" in str(folder_now.why)


def test_addresses_are_listed_and_read_as_folders_are(folder: Path) -> None:
    pytest.importorskip("pyarrow")
    address = f"file://{folder}"
    (part,) = divide([Stored(address)], {f"{address}/z.png"})
    assert part.stored
    # An archive is a file like others: a store has to be asked for all of it.
    names = ["a.png", "b/c.png", "b/d.png", "m.tar"]
    assert read([part]) == [f"{address}/{name}" for name in names]
    with pytest.raises(SourceError, match="There is nothing at"):
        list(divide([Stored(f"{address}/nowhere")], ()))
    with pytest.raises(SourceError, match="nonsense://bucket/a cannot be read .*nrecognized"):
        list(divide([Stored("nonsense://bucket/a")], ()))
    with pytest.raises(SourceError, match="names no bucket"):
        list(divide([Stored("s3:///photos")], ()))


@pytest.mark.parametrize("name", ["a b+c&d=é ü.png", "100%.png", "%41?#[1].png", "me@home:1.png"])
def test_the_name_of_a_stored_picture_is_an_address_that_leads_to_it(
    name: str, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(pictures.png())
    (part,) = divide([Stored(f"file://{tmp_path}")], ())
    (found,) = part.files
    assert str(found) == f"file://{tmp_path}/{name.replace('%', '%25').replace('?', '%3F')}"
    assert read(list(divide([Stored(str(found))], ()))) == [str(found)]


SECRET = "wJalr/XUtn+FEMI/K7MDENG%bPx=RfiCY"


@pytest.mark.parametrize(
    "address",
    [
        f"s3://AKIDEXAMPLE:{SECRET}@bucket/me@home.png?endpoint_override={{nobody}}&region=x",
        f"S3://AKIDEXAMPLE:{SECRET.replace('/', '%2F')}@bucket?nonsense={SECRET}",
        f"s3://AKIDEXAMPLE:{SECRET}@bucket/a b?nonsense={SECRET}",
        f"s3://AKIDEXAMPLE:{SECRET}@/",
        f"abfss://AKIDEXAMPLE:{SECRET}@bucket/a?nonsense={SECRET}",
    ],
)
def test_credentials_in_an_address_are_shown_to_nobody(address: str) -> None:
    pytest.importorskip("pyarrow")
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"127.0.0.1:{free.getsockname()[1]}&scheme=http"
    place = Stored(address.format(nobody=nobody))
    assert is_address(place.address)
    with pytest.raises(SourceError, match="cannot be read") as told:
        list(divide([place], ()))
    for text in (str(told.value), str(place), repr(place), repr(Part((place,)))):
        assert "AKIDEXAMPLE" not in text and "FEMI" not in text
    if nobody in place.address:
        assert "Could not connect" in str(told.value)


def test_a_secret_of_aws_may_stand_in_an_address_as_it_is() -> None:
    fs = pytest.importorskip("pyarrow.fs")
    for secret in (SECRET, SECRET.replace("/", "%2F").replace("+", "%2B")):
        address = Address.parse(f"s3://KEY:{secret}@bucket/a b/é.png?region=eu-west-1")
        store, path = fs.FileSystem.from_uri(address.whole)
        _make, (options,) = store.__reduce__()
        assert (options["access_key"], options["secret_key"]) == ("KEY", SECRET)
        assert path == "bucket/a b/é.png" and options["region"] == "eu-west-1"


def test_a_bundle_arrives_whole_or_not_at_all(tiny_bundle: Bundle, tmp_path: Path) -> None:
    files = pack(tiny_bundle)
    there = unpack(files, tmp_path / tiny_bundle.name)
    assert there.card == tiny_bundle.card and there.judge is not None
    files["model.keras"] = files["model.keras"][:-1]
    (tmp_path / "again").mkdir()
    with pytest.raises(BundleError, match="model.keras is damaged"):
        unpack(files, tmp_path / "again" / tiny_bundle.name)


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which somebody takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """What passes for an installed Ray, in which a test sets what it says."""
    module = types.ModuleType("ray")
    module.shutdown = lambda: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", module)
    return module


def test_without_ray_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, site: Flask, folder: Path, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    importing = builtins.__import__

    def without(name: str, *arguments: object) -> object:
        if name.partition(".")[0] == "ray":
            raise ModuleNotFoundError("No module named 'ray'", name="ray")
        return importing(name, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    output = tmp_path / "rows.csv"
    command = ["classify", str(folder), "--output", str(output), "--ray", "127.0.0.1:6379"]
    done = site.test_cli_runner().invoke(args=command)
    assert done.exit_code == 1 and "requirements-ray.txt" in done.output
    assert not list(tmp_path.glob("rows.csv*")), "nothing is begun"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ray://10.0.0.1:10001", "on a machine of the cluster"),
        ("10.0.0.1", "such as 10.0.0.1:6379"),
        ("127.0.0.1:99999", "no head node of a Ray cluster"),
    ],
)
def test_an_address_that_is_none_is_told(address: str, words: str, ray: types.ModuleType) -> None:
    with pytest.raises(ClusterError, match=words):
        check(address)


def test_a_head_node_that_nobody_is_at_is_told_at_once(ray: types.ModuleType, port: int) -> None:
    check(ADDRESS.format(port=port))
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = free.getsockname()[1]
    with pytest.raises(ClusterError, match="no head node.*refused.*firewall"):
        check(ADDRESS.format(port=nobody))


def refusing(error: Exception) -> Callable[..., None]:
    def init(*_arguments: object, **_settings: object) -> None:
        raise error

    return init


# As Ray 2.60 says it.
MISMATCH = (
    "Version mismatch: The cluster was started with:\n    Ray: 2.59.0\n    Python: 3.12.1\n"
    "This process on Ray Client was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError(MISMATCH), "Ray 2.59.0 and Python 3.12.1, .*Ray 2.60.0 and Python 3.11.7"),
        (ConnectionError("Failed to connect to Ray cluster at x"), "cannot join.*RAY_AUTH_TOKEN"),
    ],
)
def test_a_cluster_that_this_process_does_not_fit_into_is_told(
    error: Exception, words: str, ray: types.ModuleType, port: int
) -> None:
    ray.init = refusing(error)  # type: ignore[attr-defined]
    with pytest.raises(ClusterError, match=words), joined(ADDRESS.format(port=port), (), {}):
        pass


def test_a_cluster_without_a_processor_is_told(ray: types.ModuleType, port: int) -> None:
    ray.init = lambda *_arguments, **_settings: None  # type: ignore[attr-defined]
    ray.cluster_resources = lambda: {"memory": 1.0}  # type: ignore[attr-defined]
    with (
        pytest.raises(ClusterError, match="offers a processor"),
        joined(ADDRESS.format(port=port), (), {}),
    ):
        pass
