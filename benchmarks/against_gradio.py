"""The site beside Gradio around the same network: `python -m benchmarks.against_gradio`

Both serve `custom-cnn`, a network of 32 pixels, to clients of this process over real sockets: the
site under gunicorn as `make serve` runs it, Gradio as its documentation has it, asked by its
HTTP interface (upload, call, result), which is less work than its own client does.  It stands there
twice: asking the network compiled, as the site does, and by `model.predict`, as its own example for
Keras does.  They take turns; what counts are the ratios of neighbouring turns.  Where others use
the machine too, a server that mostly sleeps loses less to them: the processor's time for a request
says what each costs (on Linux, all processes of a server together).  `make bench` installs Gradio.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.serving import photo_like
from tests import server

MODEL = "custom-cnn"
PROJECT = Path(__file__).resolve().parent.parent
BUNDLE = PROJECT / "instance" / "models" / MODEL
GRADIO = PROJECT / ".venv-bench" / "bin" / "python"
CLIENTS = (1, 4)
WAYS = {"Gradio, compiled": "compiled", "Gradio, model.predict": "predict"}
BARS = {"small": 30.0, "12 megapixels": 6.0}
"""How many times as many requests a second as Gradio the site is to answer."""
Ask = Callable[[http.client.HTTPConnection], None]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn")
    arguments = parser.parse_args()
    if not GRADIO.exists():
        raise SystemExit("Gradio is not installed: `make bench` does that (.venv-bench).")
    photos = {"small": small_photo(), "12 megapixels": large_photo()}
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        site = running.enter_context(_site(folder)), next(_children(os.getpid(), "gunicorn"))
        others = {name: running.enter_context(_gradio(way)) for name, way in WAYS.items()}
        for kind, photo in photos.items():
            print(f"\n{kind}: {len(photo):,} bytes, {MODEL}")
            ours = _Asked(*site, _ask_the_site(photo))
            theirs = {name: _Asked(*other, _ask_gradio(photo)) for name, other in others.items()}
            for clients in CLIENTS:
                _compare(ours, theirs, BARS[kind], clients, arguments)


class _Asked(NamedTuple):
    """A server: its address, its first process, and how it is asked."""

    address: str
    process: int
    ask: Ask


def _compare(
    ours: _Asked,
    others: Mapping[str, _Asked],
    bar: float,
    clients: int,
    arguments: argparse.Namespace,
) -> None:
    asked = {"": ours, **others}
    rates: dict[str, list[float]] = {name: [] for name in asked}
    spent: dict[str, list[float]] = {name: [] for name in asked}
    for number in range(arguments.rounds + 1):
        for name, one in asked.items():
            seconds = arguments.seconds if number else 1.0  # The first turn warms up.
            before = _processor_seconds(one.process)
            rate, count = _rate(one.address, one.ask, clients, seconds)
            if number:
                rates[name].append(rate)
                spent[name].append((_processor_seconds(one.process) - before) / count)
    print(f"  {clients} client{'s' if clients > 1 else ''}: {_each(rates[''], spent[''])}")
    for name in others:
        ratios = [mine / other for mine, other in zip(rates[""], rates[name], strict=True)]
        saved = [other / mine for mine, other in zip(spent[""], spent[name], strict=True)]
        enough = "yes" if statistics.median(ratios) >= bar else "NO"
        print(
            f"    {name}: {_each(rates[name], spent[name])}\n"
            f"      {_range(ratios)} times as many; at least {bar:g} wanted: {enough}\n"
            f"      {_range(saved)} times as much of a processor"
        )


def _each(rates: list[float], spent: list[float]) -> str:
    rate, cost = statistics.median(rates), 1000 * statistics.median(spent)
    return f"{rate:.1f} requests/s, {cost:.1f} ms of a processor each"


def _range(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"


def _children(process: int, word: str = "") -> Iterator[int]:
    """Give the processes that `process` started; only those with `word` in their command."""
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in (task / "children").read_text().split():
            if word.encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                yield int(child)


def _processor_seconds(process: int) -> float:
    """Return the seconds of a processor that `process` and all below it have used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(map(_processor_seconds, _children(process)))


def _rate(address: str, ask: Ask, clients: int, seconds: float) -> tuple[float, int]:
    """Return how many requests a second are answered, and how many were."""
    counts = [0] * clients
    finished = [0.0] * clients
    started = time.perf_counter()
    problems: list[BaseException] = []

    def work(number: int) -> None:
        connection = http.client.HTTPConnection(address, timeout=120)
        try:
            while time.perf_counter() - started < seconds:
                ask(connection)
                counts[number] += 1
        except BaseException as error:
            problems.append(error)
        finally:
            finished[number] = time.perf_counter() - started
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    rate = sum(count / took for count, took in zip(counts, finished, strict=True))
    return rate, sum(counts)


def _ask_the_site(photo: bytes) -> Ask:
    body, content_type = form("image", photo)

    def ask(connection: http.client.HTTPConnection) -> None:
        connection.request("POST", "/api/classify", body, {"Content-Type": content_type})
        answer = connection.getresponse()
        told = json.loads(answer.read())
        assert answer.status == 200 and told["label"], told

    return ask


def _ask_gradio(photo: bytes) -> Ask:
    body, content_type = form("files", photo)

    def post(connection: http.client.HTTPConnection, path: str, sent: bytes, kind: str) -> bytes:
        connection.request("POST", f"/gradio_api/{path}", sent, {"Content-Type": kind})
        answer = connection.getresponse()
        told = answer.read()
        assert answer.status == 200, told
        return told

    def ask(connection: http.client.HTTPConnection) -> None:
        (path,) = json.loads(post(connection, "upload", body, content_type))
        data = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
        sent = json.dumps(data).encode()
        event = json.loads(post(connection, "call/classify", sent, "application/json"))["event_id"]
        connection.request("GET", f"/gradio_api/call/classify/{event}")
        told = connection.getresponse().read().decode()
        assert "event: complete" in told and "confidences" in told, told

    return ask


def form(field: str, photo: bytes) -> tuple[bytes, str]:
    """Return a form with one file, and its Content-Type."""
    head = (
        f'--edge\r\nContent-Disposition: form-data; name="{field}"; filename="photo"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode() + photo + b"\r\n--edge--\r\n", "multipart/form-data; boundary=edge"


def small_photo() -> bytes:
    """Return a PNG of 32x32 pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    return _encoded(Image.fromarray(pixels), "PNG")


def large_photo() -> bytes:
    """Return a JPEG of 12 megapixels."""
    return _encoded(photo_like(3000, 4000), "JPEG")


def _encoded(image: Image.Image, kind: str) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, kind)
    return encoded.getvalue()


@contextmanager
def _site(folder: Path) -> Iterator[str]:
    (folder / "models").mkdir()
    (folder / "models" / MODEL).symlink_to(BUNDLE)
    models = folder / "models"
    with server.running(folder / "log", MODELS_FOLDER=models, DEFAULT_MODEL=MODEL) as address:
        yield address.removeprefix("http://")


@contextmanager
def _gradio(way: str) -> Iterator[tuple[str, int]]:
    """Give the address of a Gradio that asks the network in that `way`, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(GRADIO), "-m", "benchmarks.gradio_app", str(BUNDLE), str(port), way]
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"}
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, env=environment)
    try:
        _wait(f"http://127.0.0.1:{port}/config", process)
        yield f"127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(address, timeout=10).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise SystemExit("Gradio did not start.")


if __name__ == "__main__":
    main()
