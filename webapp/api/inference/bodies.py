"""The body of a request, within limits, and the JSON in it.

A body waits in a temporary file and is read into memory when it is its turn, so that many large
ones at a time take no memory.
"""

from __future__ import annotations

import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Request
from pydantic_core import from_json
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from webapp.errors import Refusal
from webapp.limits.admission import TooLate, seconds_left, waiting_fairly
from webapp.limits.by_client import client
from webapp.limits.fair import FairTurns
from webapp.operating.metrics import stage

IN_MEMORY = 512 * 1024  # bytes; a longer body waits in a file
AT_ONCE = 2  # bodies in memory
MOST_JSON_VALUES = 4_000_000
"""The most values in JSON: each takes up to 32 bytes of memory, whatever it is."""


class BadBody(Refusal):
    """A body that cannot be read."""

    code = "bad-body"


class WrongEncoding(Refusal):
    """A body in a Content-Encoding that is not known here."""

    status = 415
    code = "unknown-encoding"


class TooLong(Refusal):
    """A body with more in it than is taken."""

    status = 413
    code = "body-too-large"


_AT_WORK = FairTurns(AT_ONCE)


@contextmanager
def body_of(request: Request, most: int) -> Iterator[bytes]:
    """Receive the body, wait for a turn, and give the body's bytes while it lasts.

    Args:
        most: the most bytes of it, also when it is unpacked.

    Raises:
        RequestEntityTooLarge: it is longer.
        TooLong: it is longer when it is unpacked.
        BadBody: it ends early, or cannot be unpacked.
        WrongEncoding: it is packed in a way that is not known here.
        TooLate: it has waited too long for its turn.
    """
    # Where no length precedes it, Werkzeug asks beyond the last byte before it knows the end.
    request.max_content_length = most + 1
    packing = request.headers.get("Content-Encoding", "identity").strip().lower()
    if packing not in ("identity", "gzip", "deflate"):
        raise WrongEncoding(
            f"The Content-Encoding “{packing[:64]}” is not known here: send the body unpacked, or "
            "packed by gzip or deflate."
        )
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as kept:
        try:
            with stage("receive"):
                shutil.copyfileobj(request.stream, kept, 64 * 1024)
        except (ClientDisconnected, OSError) as error:
            raise BadBody("The body arrived incomplete. Please send it again.") from error
        if kept.tell() > most:
            raise RequestEntityTooLarge
        with waiting_fairly(_AT_WORK, TooLate):
            kept.seek(0)
            data = kept.read()
            yield data if packing == "identity" else _unpacked(data, most)


def give_way() -> None:
    """End a request that has had its time, where one of another client waits for its place.

    Raises:
        TooLate: so it is.
    """
    if not seconds_left() and _AT_WORK.is_wanted_beside(client()):
        raise TooLate


def _unpacked(data: bytes, most: int) -> bytes:
    # 47 takes gzip and zlib; a few clients send deflate without zlib's header.
    for kind in (47, -zlib.MAX_WBITS):
        unpacker = zlib.decompressobj(kind)
        try:
            found = unpacker.decompress(data, most + 1)
        except zlib.error:
            continue
        if len(found) > most:
            raise TooLong(f"Unpacked, the body is longer than the {most:,} bytes that are taken.")
        if unpacker.unused_data:
            raise BadBody("The body has something behind its end: send it packed as one piece.")
        if unpacker.eof:
            return found
    raise BadBody("The body cannot be unpacked: it is not what its Content-Encoding says.")


def parse_json(data: bytes) -> Any:
    """Return what the JSON text `data` says.

    Raises:
        BadBody: it is not JSON, or nested too deeply.
        TooLong: it has more values than are taken.
    """
    if sum(data.count(sign) for sign in (b",", b"[", b"{", b":")) > MOST_JSON_VALUES:
        raise TooLong(
            f"The JSON has more than {MOST_JSON_VALUES:,} values. Send fewer images at a time, "
            "encoded ones (JPEG, PNG ...), or, to /v2, pixels as binary data."
        )
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise BadBody(f"The body is not JSON as it should be: {error}.") from error
