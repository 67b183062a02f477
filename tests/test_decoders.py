"""Pictures are opened in processes that can be killed, with the same result as in this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from flask import Flask
from PIL import Image

from model_training.datasets.pictures import decoders, opener
from model_training.datasets.pictures.decoders import Decoder
from tests import pictures
from tests.server import PROJECT

LIMIT = 64_000_000


@pytest.fixture
def start() -> Iterator[Callable[..., Decoder]]:
    """Starts decoders, and ends them after the test."""
    started: list[Decoder] = []

    def make(**limits: float) -> Decoder:
        started.append(Decoder(**limits))  # type: ignore[arg-type]
        return started[-1]

    yield make
    for one in started:
        one.close()


def open_in(decoder: Decoder, data: bytes) -> opener.Photo:
    return opener.open_photo(data, max_pixels=LIMIT, decode=decoder.open)


def test_the_result_is_the_same(start: Callable[..., Decoder]) -> None:
    decoder = start()
    for data in (
        pictures.jpeg(1500, 1000),
        pictures.turned_jpeg(6),
        pictures.half_clear_png(),
        pictures.one_pixel(),
        pictures.avif(),
    ):
        here, there = opener.open_photo(data, max_pixels=LIMIT), open_in(decoder, data)
        assert np.array_equal(np.asarray(here.image), np.asarray(there.image))
        assert (here.original_size, here.format) == (there.original_size, there.format)


def test_so_are_the_refusals(start: Callable[..., Decoder]) -> None:
    decoder = start()
    for data in (
        pictures.truncated_jpeg(),
        pictures.png_bomb(),
        pictures.many_scans(771),
        pictures.heic(),
        b"",
    ):
        with pytest.raises(opener.PhotoError) as here:
            opener.open_photo(data, max_pixels=LIMIT)
        with pytest.raises(opener.PhotoError) as there:
            open_in(decoder, data)
        assert type(here.value) is type(there.value)
        assert here.value.message == there.value.message


def test_who_takes_too_long_is_stopped_and_the_next_is_opened(
    start: Callable[..., Decoder], caplog: pytest.LogCaptureFixture
) -> None:
    decoder = start(seconds=0.02)
    with pytest.raises(opener.TooMuchWork):
        open_in(decoder, pictures.png_bomb(7900, 7900))
    assert "stopped by SIGPROF" in caplog.text
    assert open_in(decoder, pictures.one_pixel()).original_size == (1, 1)


def test_who_takes_too_much_memory_is_refused_and_the_next_is_opened(
    start: Callable[..., Decoder],
) -> None:
    decoder = start(memory=400 * 1024**2)
    large = pictures.encode(Image.new("RGBA", (8000, 8000), (0, 0, 0, 9)), "PNG")
    with pytest.raises(opener.TooMuchWork):
        open_in(decoder, large)
    assert open_in(decoder, pictures.jpeg()).original_size == (96, 64)


def test_a_decoder_that_was_killed_is_replaced(start: Callable[..., Decoder]) -> None:
    decoder = start()
    open_in(decoder, pictures.jpeg())
    assert decoder.process_id is not None
    os.kill(decoder.process_id, signal.SIGKILL)
    os.waitpid(decoder.process_id, 0)
    assert open_in(decoder, pictures.jpeg()).original_size == (96, 64)


def test_a_decoder_ends_with_its_server(start: Callable[..., Decoder]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", decoders.PROCESS, "6", str(decoders.MOST_MEMORY)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_decoder_knows_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENCLASSES_SECRET_KEY", "a secret of the site")
    assert "a secret of the site" not in str(decoders._environment())
    code = f"import sys, {decoders.PROCESS}; print(*sys.modules)"
    imported = subprocess.check_output([sys.executable, "-c", code], cwd=PROJECT, text=True)
    heavy = {"tensorflow", "keras", "scipy", "sklearn", "pydantic", "flask", "sqlalchemy"}
    assert heavy & set(imported.split()) == set()


@pytest.mark.parametrize("apart", [True, False])
def test_the_site_opens_photos_there(
    apart: bool, tiny_site: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = Decoder.open

    def noted(self: Decoder, data: bytes, kind: str, *more: int) -> opener.Photo:
        opened.append(kind)
        return real(self, data, kind, *more)

    monkeypatch.setattr(Decoder, "open", noted)
    client = tiny_site(DECODE_APART=apart).test_client()
    for address in ("/api/classify", "/api/classify"):
        answer = client.post(address, data=pictures.jpeg(), content_type="image/jpeg")
        assert answer.status_code == 200
    assert opened == (["JPEG", "JPEG"] if apart else [])
