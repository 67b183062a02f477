"""Asking a running site to take its models up anew, and what its workers say to that.

A request is a file in which each worker answers with a line of JSON.  Signals and ports would need
to know which processes serve, under which server, in which container; a file needs only the
instance folder, which they share.  Each worker looks twice a second whether there is a new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model_training.files import whole_file

REQUEST = "reload.jsonl"
"""In the instance folder: what `flask models reload` writes."""
SECONDS_TO_NOTICE = 5.0
"""In which a worker that looks twice a second has begun, be the machine ever so busy."""
BY_SERVER = "MODELS_RELOAD_FILE"
"""In the environment: the file that gunicorn.conf.py writes when the server gets SIGHUP."""


def request_files(instance: Path) -> list[Path]:
    """Return the files in which a request may appear to the process that serves `instance`."""
    named = os.environ.get(BY_SERVER)
    return [instance / REQUEST, *([Path(named)] if named else [])]


def ask(path: Path) -> str:
    """Write a request and return its number.

    Raises:
        OSError: it cannot be written.
    """
    number = uuid.uuid4().hex
    with whole_file(path) as temporary:
        line = {"request": number, "asked": datetime.now(UTC).isoformat(timespec="seconds")}
        temporary.write_text(json.dumps(line) + "\n", encoding="utf-8")
        if os.geteuid() == 0:
            # The site may run as another user, who must be able to answer in it.
            folder = path.parent.stat()
            os.chown(temporary, folder.st_uid, folder.st_gid)
    return number


def number_of(path: Path) -> str | None:
    """Return the number of the request in the file `path`; None where there is none."""
    return next((str(line["request"]) for line in _lines(path) if "request" in line), None)


def answer(path: Path, number: str, **said: Any) -> None:
    """Add what a worker says to request `number`, unless another has been made since.

    A worker that may not write there does the same work in silence.
    """
    with contextlib.suppress(OSError):
        if number_of(path) == number:
            # A line so short is written in one piece, also by several workers at a time.
            line = json.dumps({"worker": f"{os.uname().nodename}:{os.getpid()}"} | said) + "\n"
            handle = os.open(path, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(handle, line.encode())
            finally:
                os.close(handle)


def answers(path: Path, number: str) -> list[dict[str, Any]]:
    """Return what workers have said to request `number` so far."""
    lines = _lines(path)
    asked = bool(lines) and lines[0].get("request") == number
    return [line for line in lines if "worker" in line] if asked else []


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait until no other worker is busy with the request in the file `path`.

    So one after another loads its models, and all others answer at their usual speed.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            file = held.enter_context(path.open("rb"))
            fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed, or the process has ended
        yield


def follow(path: Path, number: str, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield what workers say to request `number`, until all that have begun are done.

    Where a later request takes its place, what they say to that follows, after a line of the state
    `replaced`: they say no more to this one.

    Raises:
        TimeoutError: no worker has begun within `SECONDS_TO_NOTICE`.
    """
    begun = asked = time.monotonic()
    told: list[dict[str, Any]] = []
    busy = False
    while (now := time.monotonic()) - begun < seconds:
        new = answers(path, number)[len(told) :]
        yield from new
        told += new
        working = sum(1 if line["state"] == "begun" else -1 for line in told)
        if (later := number_of(path)) not in (number, None):
            yield {"state": "replaced"}
            # Who is at work on this one comes to the later one when that is done.
            number, asked, told, busy = str(later), now, [], busy or working > 0
            continue
        if now - asked >= SECONDS_TO_NOTICE and not working and (told or not busy):
            if not told:
                raise TimeoutError
            return
        time.sleep(0.1)


def _lines(path: Path) -> list[dict[str, Any]]:
    found = []
    with contextlib.suppress(OSError, ValueError):
        for text in path.read_text("utf-8").splitlines():
            with contextlib.suppress(ValueError):
                line = json.loads(text)
                if isinstance(line, dict):
                    found.append(line)
    return found
