"""Opening pictures in processes of their own, which can be killed: for a site that strangers use.

The sanitizer refuses the work that it knows to be out of proportion.  What it does not know costs
one picture and a process, and not the site: a process has a limit of processor time for each
picture and one of memory, and knows nothing but Pillow and NumPy.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import struct
import subprocess
import sys
import threading
from typing import Any, BinaryIO

from PIL import Image

from model_training.datasets.pictures import opener
from model_training.datasets.pictures.opener import (
    Busy,
    DamagedPhoto,
    Photo,
    PhotoError,
    TooMuchWork,
)

PROCESSOR_SECONDS = 6.0
"""The most of a processor's time for one picture.  Of what is taken, interlaced PNGs with 16 bits
and TIFFs of floating numbers take the most: under three seconds for 64 megapixels."""
WALL_SECONDS = 30.0
"""The most time for one picture, where the machine has other work too."""
NICE = 5
"""How much a decoder gives way to all other work: a page is quick, and a picture can wait."""
MOST_MEMORY = 3 * 1024**3
"""The most bytes of address space: 23 for each of 64 million pixels, and the libraries."""
PROCESS = "model_training.datasets.pictures.decoder_process"
LENGTHS = struct.Struct(">II")  # of the JSON, and of what follows it

_ERRORS = {kind.__name__: kind for kind in PhotoError.__subclasses__()}
_log = logging.getLogger(__name__)


class Decoder:
    """One process that opens one picture at a time; it is started when it is first needed.

    Args:
        seconds: of a processor, the most for one picture.
        memory: the most bytes of address space.
    """

    def __init__(self, seconds: float = PROCESSOR_SECONDS, memory: int = MOST_MEMORY) -> None:
        self._limits = (str(seconds), str(memory))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> int | None:
        """Return the number of the process, if it runs."""
        return self._process.pid if self._process else None

    def open(self, data: bytes, kind: str, max_pixels: int, working_side: int) -> Photo:
        """Open a picture as `opener.open_here` does, and raise what it raises."""
        asked = {"kind": kind, "max_pixels": max_pixels, "working_side": working_side}
        for fresh in (False, True):
            process = self._running()
            try:
                _write(process.stdin, asked, data)
            except OSError:
                # It ended since the last picture: what stopped it is not this one's fault.
                self.close()
                if fresh:
                    raise
                continue
            return self._answer(process)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", PROCESS, *self._limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # libtiff writes there what it thinks of each picture
                env=_environment(),
            )
        return self._process

    def _answer(self, process: subprocess.Popen[bytes]) -> Photo:
        assert process.stdout is not None
        waiting = select.poll()
        waiting.register(process.stdout, select.POLLIN)
        if not waiting.poll(WALL_SECONDS * 1000):
            self.close()
            _log.warning("a decoder was stopped after %.0f s", WALL_SECONDS)
            raise Busy  # other work took the processor: the picture had not had its time yet
        try:
            found = _read(process.stdout)
        except BaseException:
            self.close()  # The rest of this answer would be taken for the next one's.
            raise
        if found is None:
            self.close()
            stopped = -(process.returncode or 0)
            _log.warning("a decoder was stopped by %s", _named(stopped))
            if stopped in (signal.SIGPROF, signal.SIGKILL):
                raise TooMuchWork
            raise DamagedPhoto
        told, pixels = found
        if "error" in told:
            raise _ERRORS[told["error"]](told["message"])
        image = Image.frombytes("RGB", tuple(told["size"]), pixels)
        width, height = told["original_size"]
        return Photo(image, (width, height), told["format"])


class Decoders:
    """As many processes as are needed at a time; the opener says how many pictures that is."""

    def __init__(self) -> None:
        self._idle: list[Decoder] = []
        self._lock = threading.Lock()

    def open(self, data: bytes, kind: str, max_pixels: int, working_side: int) -> Photo:
        """Open a picture as `opener.open_here` does, and raise what it raises."""
        with self._lock:
            decoder = self._idle.pop() if self._idle else Decoder()
        try:
            return decoder.open(data, kind, max_pixels, working_side)
        finally:
            with self._lock:
                self._idle.append(decoder)

    def close(self) -> None:
        """End the processes that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.close()


def serve(source: BinaryIO, sink: BinaryIO, seconds: float) -> None:
    """Open the pictures that come from `source`, until it ends: the work of the process."""
    while (found := _read(source)) is not None:
        # Past it the process is killed, wherever it is: decoders do not look at the time.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        answer = _opened(*found)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _write(sink, *answer)
        del found, answer  # the next picture may be long in coming


def _opened(asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        photo = opener.open_here(data, **asked)
    except PhotoError as error:
        return {"error": type(error).__name__, "message": error.message}, b""
    told = {
        "size": photo.image.size,
        "original_size": photo.original_size,
        "format": photo.format,
    }
    return told, photo.image.tobytes()


def _write(stream: Any, told: dict[str, Any], data: bytes) -> None:
    header = json.dumps(told).encode()
    stream.write(LENGTHS.pack(len(header), len(data)) + header)
    stream.write(data)
    stream.flush()


def _read(stream: Any) -> tuple[dict[str, Any], bytes] | None:
    """Return the next message, or None if the stream ends before it does."""
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    header, data = LENGTHS.unpack(lengths)
    told, content = stream.read(header), stream.read(data)
    if len(told) < header or len(content) < data:
        return None
    return json.loads(told), content


def _environment() -> dict[str, str]:
    """Return the environment of a decoder: none of the site's secrets, and the path to this code.

    NumPy's library for linear algebra is told to make no threads, each of which takes memory.
    """
    passed = ("LANG", "LD_LIBRARY_PATH", "PATH")
    kept = {name: os.environ[name] for name in passed if name in os.environ}
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return kept | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}


def _named(stopped: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(stopped).name
    return f"its exit with {-stopped}"
