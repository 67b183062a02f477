"""Mixed traffic for a while: `python -m benchmarks.traffic --minutes 30 --clients 32`

Of 32 clients half read pages, a quarter send photos by the form and look again at the answer, an
eighth ask as programs do (`/api/classify`, `/v2`, `/v1`), and an eighth send hostile and damaged
pictures.  A real gunicorn answers, as `make serve` starts it.  The bars: no 5xx but the 503 that
says when to come again, no request without an answer, and memory that does not grow: that of the
workers in the last quarter of the time (the median) no more than a tenth, and 20 MB, above what it
was in the second, and every decoder that rests at 64 MB at most.  One at work has a picture.
"""

from __future__ import annotations

import argparse
import base64
import html
import json
import random
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.crowd import photo
from benchmarks.load.clients import Reply, Visitor, Waits, form, together
from benchmarks.load.hostile_pictures import hostile_pictures
from benchmarks.load.memory import Memory, memory_below
from tests import pictures, server
from tests.mutations import mutated

PAGES = (
    "/",
    "/?example=17",
    "/models/",
    "/models/?show=cost",
    "/gallery/",
    "/gallery/?page=3",
    "/gallery/123",
    "/dataset/",
    "/dataset/cifar10",
    "/about",
    "/api/",
    "/openapi.json",
    "/gallery.json",
    "/models.csv",
    "/livez",
    "/readyz",
    "/nowhere",
)
GROWTH, SLACK = 1.1, 20.0  # of the private memory of all workers; MB
RESTING = 64.0  # the most MB of a decoder that has nothing to do
REST_SECONDS = 15.0
Going = Callable[[], bool]


@dataclass(frozen=True)
class Sample:
    """The memory of all processes of the server, `minutes` after the traffic began."""

    minutes: float
    memory: Memory


def main() -> None:
    """Measure, print, and fail where a bar is missed."""
    parser = argparse.ArgumentParser(description="Mixed traffic.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=32)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with server.running(log) as address:
            samples: list[Sample] = []
            waits = traffic(address, given.clients, given.minutes, samples)
        faults = waits.faults()
        tracebacks = log.read_text().count("Traceback")
    print(f"{given.clients} clients for {given.minutes:g} minutes\n")
    waits.print_table()
    print("\nmegabytes of private (anonymous) memory, of each process, and in all")
    print("| minute | server | workers | decoders | all | resident |")
    print("| --- | --- | --- | --- | --- | --- |")
    for sample in samples:
        memory = sample.memory
        each = " | ".join(memory.of(kind) for kind in ("server", "worker", "decoder"))
        print(f"| {sample.minutes:.1f} | {each} | {memory.private:,.0f} | {memory.resident:,.0f} |")
    workers = [sum(one.memory.kinds.get("worker", [])) for one in samples]
    quarter = max(1, len(workers) // 4)
    settled = statistics.median(workers[quarter : 2 * quarter])
    grown = statistics.median(workers[-quarter:])
    resting = max(samples[-1].memory.kinds.get("decoder", [0.0]))
    print(
        f"\n{faults} faults, {waits.without_retry} refusals without Retry-After, {tracebacks} "
        f"tracebacks; workers {settled:,.0f} MB in the second quarter, {grown:,.0f} MB in the "
        f"last; at rest the largest decoder {resting:,.0f} MB"
    )
    has_grown = grown > settled * GROWTH + SLACK or resting > RESTING
    if faults or waits.without_retry or tracebacks or has_grown:
        raise SystemExit("missed")


def traffic(address: str, clients: int, minutes: float, samples: list[Sample]) -> Waits:
    """Let `clients` ask the site at `address`, and add what it takes of memory to `samples`."""
    waits = Waits()
    kinds = (_reads, _sends, _reads, _asks, _reads, _sends, _reads, _attacks)
    tasks = [kinds[number % len(kinds)](address, waits, number) for number in range(clients)]
    begun, ended = time.monotonic(), threading.Event()

    def look() -> None:
        while True:
            samples.append(Sample((time.monotonic() - begun) / 60, memory_below()))
            if ended.wait(min(60.0, minutes * 60 / 8)):
                break

    looking = threading.Thread(target=look)
    looking.start()
    try:
        together(tasks, minutes * 60)
    finally:
        ended.set()
        looking.join()
    time.sleep(REST_SECONDS)
    samples.append(Sample((time.monotonic() - begun) / 60, memory_below()))
    return waits


def _rest(reply: Reply, chance: random.Random) -> None:
    """Wait as people do, and as long as a refusal says."""
    time.sleep(chance.uniform(0.05, 0.5))
    if reply.status == 503:
        time.sleep(min(5.0, float(reply.headers.get("Retry-After", "1"))))


def _reads(address: str, waits: Waits, number: int) -> Callable[[Going], None]:
    def run(going: Going) -> None:
        chance, visitor = random.Random(number), Visitor(address)
        while going():
            path = chance.choice(PAGES)
            reply = visitor.get(path)
            waits.add("a page" if path not in ("/livez", "/readyz") else path, reply)
            _rest(reply, chance)

    return run


def _sends(address: str, waits: Waits, number: int) -> Callable[[Going], None]:
    def run(going: Going) -> None:
        chance, visitor, sent = random.Random(number), Visitor(address), photo()
        while going():
            reply = visitor.upload(sent)
            waits.add("a photo by the form", reply)
            _rest(reply, chance)
            carried = _carried(reply.body.decode("utf-8", "replace"))
            if reply.status == 200 and carried:
                path = chance.choice(("/again", "/card"))
                body, headers = _fields(carried | ({"all": "1"} if path == "/again" else {}))
                reply = visitor.post(path, body, headers)
                waits.add(f"the answer once more, {path}", reply)
                _rest(reply, chance)

    return run


def _asks(address: str, waits: Waits, number: int) -> Callable[[Going], None]:
    def run(going: Going) -> None:
        chance, visitor, sent = random.Random(number), Visitor(address), photo(800, 600)
        encoded = base64.b64encode(sent).decode()
        model = json.loads(visitor.get("/readyz").body)["default_model"]
        tensor = {"name": "pictures", "datatype": "BYTES", "shape": [1], "data": [encoded]}
        asked: dict[str, tuple[bytes, dict[str, str]]] = {
            "/api/classify": form(sent),
            f"/v2/models/{model}/infer": (json.dumps({"inputs": [tensor]}).encode(), {}),
            f"/v1/models/{model}:predict": (
                json.dumps({"instances": [{"b64": encoded}]}).encode(),
                {},
            ),
        }
        while going():
            path = chance.choice(list(asked))
            reply = visitor.post(path, *asked[path])
            waits.add(path.replace(model, "M"), reply)
            _rest(reply, chance)

    return run


def _attacks(address: str, waits: Waits, number: int) -> Callable[[Going], None]:
    def run(going: Going) -> None:
        chance, visitor = random.Random(number), Visitor(address)
        hostile = [*hostile_pictures().values(), pictures.not_an_image(), b""]
        while going():
            data = chance.choice(hostile)
            if chance.random() < 0.6:
                data = mutated(number, chance.randrange(1_000_000))[1]
            send = visitor.upload if chance.random() < 0.5 else None
            reply = send(data) if send else visitor.post("/api/classify", *form(data))
            waits.add("a hostile picture", reply)
            _rest(reply, chance)

    return run


def _carried(page: str) -> dict[str, str]:
    """Return the fields by which an answer's page asks about its photo again."""
    found = re.search(r'<form[^>]* action="/again".*?</form>', page, re.S)
    fields = re.findall(r'name="(photo|seal)"[^>]*? value="([^"]*)"', found[0]) if found else []
    return {name: html.unescape(value) for name, value in fields}


def _fields(fields: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    parts = [
        f'--limit\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    body = "".join([*parts, "--limit--\r\n"]).encode()
    return body, {"Content-Type": "multipart/form-data; boundary=limit"}


if __name__ == "__main__":
    main()
