"""The site beside Gradio around the same network: `python -m benchmarks.against_gradio`

Both serve `custom-cnn`, a network of 32 pixels, to clients of this process over real sockets: the
site under gunicorn as `make serve` runs it, Gradio as its documentation has it, asked by its
HTTP interface (upload, call, result), which is less work than its own client does.  They take
turns; what counts are the ratios of neighbouring turns.  `make bench` installs Gradio.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.serving import photo_like
from tests import server

MODEL = "custom-cnn"
PROJECT = Path(__file__).resolve().parent.parent
BUNDLE = PROJECT / "instance" / "models" / MODEL
GRADIO = PROJECT / ".venv-bench" / "bin" / "python"
CLIENTS = (1, 4)
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
    with tempfile.TemporaryDirectory() as folder, _site(Path(folder)) as ours, _gradio() as theirs:
        for kind, photo in photos.items():
            print(f"\n{kind}: {len(photo):,} bytes, {MODEL}")
            for clients in CLIENTS:
                _compare(kind, photo, clients, ours, theirs, arguments)


def _compare(
    kind: str, photo: bytes, clients: int, ours: str, theirs: str, arguments: argparse.Namespace
) -> None:
    asks: dict[str, tuple[str, Ask]] = {
        "the site": (ours, _ask_the_site(photo)),
        "Gradio": (theirs, _ask_gradio(photo)),
    }
    rates: dict[str, list[float]] = {name: [] for name in asks}
    for number in range(arguments.rounds + 1):
        for name, (address, ask) in asks.items():
            seconds = arguments.seconds if number else 1.0  # The first turn warms up.
            rate = _rate(address, ask, clients, seconds)
            if number:
                rates[name].append(rate)
    ratios = [mine / other for mine, other in zip(*rates.values(), strict=True)]
    rate, theirs_rate = (statistics.median(one) for one in rates.values())
    ratio, bar = statistics.median(ratios), BARS[kind]
    print(
        f"  {clients} client{'s' if clients > 1 else ' '}: {rate:7.1f} requests/s, Gradio "
        f"{theirs_rate:6.1f}: {ratio:5.1f} times as many ({min(ratios):.1f} to {max(ratios):.1f}); "
        f"at least {bar:g} wanted: {'yes' if ratio >= bar else 'NO'}"
    )


def _rate(address: str, ask: Ask, clients: int, seconds: float) -> float:
    """Return how many requests a second are answered."""
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
    return sum(count / took for count, took in zip(counts, finished, strict=True))


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
def _gradio() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(GRADIO), "-m", "benchmarks.gradio_app", str(BUNDLE), str(port)]
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"}
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, env=environment)
    try:
        _wait(f"http://127.0.0.1:{port}/config", process)
        yield f"127.0.0.1:{port}"
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
