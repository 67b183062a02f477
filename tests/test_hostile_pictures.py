"""Pictures that ask for far more work than their size: refused quickly, and the pages go on."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import ExifTags, Image

from model_training.datasets.pictures import opener as photos
from model_training.datasets.pictures import sanitizer
from tests import pictures
from tests.page_client import PageClient
from tests.test_api import ask, error_of
from tests.test_photos import assert_quarters
from tests.test_server import connect, upload
from webapp.limits.admission import DECODED_AT_ONCE

LIMIT = 64_000_000
LONGEST = 2.0  # seconds for any of them
PAGE = 20.0  # seconds for a page meanwhile; `benchmarks.hostile` measures it on a quiet machine
Make = Callable[[], bytes]


def outcome(data: bytes) -> str:
    """The code with which `data` is refused, or "opened"; never after a long time."""
    # The processor's time: what else this machine is doing is not the picture's fault.
    begun = time.process_time()
    try:
        photos.open_photo(data, max_pixels=LIMIT)
        code = "opened"
    except photos.PhotoError as error:
        code = error.code
    took = time.process_time() - begun
    assert took < LONGEST, f"{code} after {took:.1f} s"
    return code


HOSTILE: dict[str, tuple[Make, str]] = {
    "run lengths of 8 bits": (pictures.run_length_bmp, "not-an-image"),
    "run lengths of 4 bits": (lambda: pictures.run_length_bmp(2), "not-an-image"),
    "run lengths in a later header": (lambda: pictures.run_length_bmp(1, 124), "not-an-image"),
    "run lengths of OS/2": (lambda: pictures.run_length_bmp(4, 64), "not-an-image"),
    "scans": (lambda: pictures.many_scans(771, 2000, 2000), "too-much-work"),
    "scans of a small picture": (lambda: pictures.many_scans(101, 8, 8), "too-much-work"),
    "scans of a large picture": (lambda: pictures.many_scans(17), "too-much-work"),
    "the most scans of a large picture": (lambda: pictures.many_scans(16), "opened"),
    "the most scans": (lambda: pictures.many_scans(100, 3200, 3200), "opened"),
    "JPEG flooded with restarts": (
        lambda: pictures.flooded_jpeg(pictures.FLOODS["restarts"]),
        "opened",
    ),
    "JPEG flooded with fill bytes": (
        lambda: pictures.flooded_jpeg(pictures.FLOODS["fill bytes"]),
        "opened",
    ),
    "JPEG flooded with empty segments": (
        lambda: pictures.flooded_jpeg(pictures.FLOODS["empty segments"]),
        "too-much-work",
    ),
    "JPEG flooded with pieces of EXIF": (
        lambda: pictures.flooded_jpeg(pictures.FLOODS["pieces of EXIF"]),
        "too-much-work",
    ),
    "JPEG flooded with tables": (
        lambda: pictures.flooded_jpeg(pictures.FLOODS["tables"]),
        "too-much-work",
    ),
    "scan flooded with fill bytes": (
        lambda: pictures.flooded_jpeg(pictures.SCAN_FLOODS["fill bytes"], in_scan=True),
        "too-much-work",
    ),
    "scan flooded with restarts": (
        lambda: pictures.flooded_jpeg(pictures.SCAN_FLOODS["restarts"], in_scan=True),
        "opened",
    ),
    "scan flooded with zeros": (
        lambda: pictures.flooded_jpeg(pictures.SCAN_FLOODS["zeros"], in_scan=True),
        "opened",
    ),
    "PNG flooded with empty chunks": (
        lambda: pictures.flooded_png(b"aaAa", b""),
        "too-much-work",
    ),
    "PNG with profiles": (pictures.png_with_profiles, "opened"),
    "GIF flooded with comments": (pictures.flooded_gif, "too-much-work"),
    "GIF with a large canvas": (pictures.gif_with_a_large_canvas, "opened"),
    "TIFF of overlapping strips": (pictures.tiff_of_overlapping_strips, "too-much-work"),
    "TIFF of tiny tiles": (pictures.tiff_of_tiny_tiles, "too-much-work"),
    "TIFF of a huge tile": (pictures.tiff_of_a_huge_tile, "too-much-work"),
    "TIFF of the same bytes": (pictures.tiff_of_the_same_bytes, "too-much-work"),
    "TIFF of many scans": (pictures.tiff_of_many_scans, "too-much-work"),
    "TIFF flooded with tags": (pictures.flooded_tiff, "too-much-work"),
}


@pytest.mark.parametrize(("make", "code"), HOSTILE.values(), ids=HOSTILE)
def test_a_picture_that_asks_for_much_work_costs_little(make: Make, code: str) -> None:
    assert outcome(make()) == code


def test_who_sends_run_lengths_is_told_what_to_do() -> None:
    with pytest.raises(photos.NotAnImage, match="run-length encoded.*save it as PNG"):
        photos.open_photo(pictures.run_length_bmp(), max_pixels=LIMIT)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "JPEG"])
def test_a_side_over_the_limit_is_refused_with_the_limit(kind: str) -> None:
    for size in ((30_001, 1), (1, 30_001)):
        data = pictures.encode(Image.new("RGB", size), kind)
        with pytest.raises(photos.PhotoTooLarge, match="30,001 pixels.* limit is 30,000") as caught:
            photos.open_photo(data, max_pixels=LIMIT)
        assert caught.value.status == 413
    wide = pictures.encode(Image.new("RGB", (30_000, 1)), kind)
    assert photos.open_photo(wide, max_pixels=LIMIT).original_size == (30_000, 1)


# What is left out does not cost the picture


def saved(**options: object) -> bytes:
    return pictures.encode(pictures.quarters(), "TIFF", **options)


HONEST_TIFFS: dict[str, Make] = {
    **{
        str(packing): partial(saved, compression=packing)
        for packing in (None, "packbits", "tiff_lzw", "tiff_adobe_deflate", "zstd", "lzma")
    },
    "JPEG": lambda: saved(compression="jpeg", quality=95),
    "big": lambda: saved(big_tiff=True),
    "of many strips": lambda: saved(tiffinfo={278: 1}, compression="tiff_lzw"),
    "of raw strips": lambda: saved(strip_size=96 * 3),
    "of several pages": lambda: saved(save_all=True, append_images=[Image.new("RGB", (9, 9))]),
    "with a profile and tags": lambda: saved(
        icc_profile=b"rubbish", tiffinfo={270: "a cat", 34665: 0}
    ),
}


@pytest.mark.parametrize("make", HONEST_TIFFS.values(), ids=HONEST_TIFFS)
def test_honest_tiffs_open_as_before(make: Make) -> None:
    photo = photos.open_photo(make(), max_pixels=LIMIT)
    assert photo.original_size == (96, 64)
    assert_quarters(photo.image)


def test_a_tiff_of_the_other_byte_order_and_of_tiles_opens() -> None:
    pixels = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    tiles = [pixels[y : y + 16, x : x + 32].tobytes() for y in range(0, 64, 16) for x in (0, 32)]
    tags = {322: [32], 323: [16], 324: [512 * n for n in range(8)], 325: [512] * 8}
    opened = photos.open_photo(pictures.grey_tiff(64, 64, tags, b"".join(tiles)), max_pixels=LIMIT)
    np.testing.assert_array_equal(np.asarray(opened.image)[..., 0], pixels)
    order = pictures.sixteen_bit_grey("TIFF", [0, 0x8000], "I;16B")
    assert order.startswith(b"MM")
    assert photos.open_photo(order, max_pixels=LIMIT).image.getpixel((1, 0)) == (128, 128, 128)


def test_a_progressive_jpeg_with_all_its_metadata_opens() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    lying = pictures.quarters().transpose(Image.Transpose.ROTATE_90)
    data = pictures.encode(
        lying,
        "JPEG",
        quality=95,
        subsampling=0,
        progressive=True,
        exif=exif,
        comment=b"c" * 60_000,
        icc_profile=pictures.p3_profile() + bytes(100_000),
    )
    cleared = sanitizer.cleared(data, "JPEG", LIMIT)
    assert len(data) - len(cleared) > 60_000, "the comment is left out, the profile is not"
    assert b"Display P3" in cleared
    assert photos.open_photo(data, max_pixels=LIMIT).original_size == (96, 64)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_xmp_still_says_which_way_is_up(kind: str) -> None:
    lying = pictures.quarters().transpose(Image.Transpose.ROTATE_90)
    xmp = b'<x:xmpmeta tiff:Orientation="6"/>'
    if kind == "JPEG":
        data = pictures.encode(lying, kind, quality=95, subsampling=0, xmp=xmp)
    else:
        text = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
        data = pictures.with_chunks(pictures.encode(lying, kind), b"iTXt", text)
    assert_quarters(photos.open_photo(data, max_pixels=LIMIT).image)


def test_of_a_phones_two_pictures_only_the_first_reaches_the_decoder() -> None:
    data = pictures.mpo()
    second = data.index(b"\xff\xd8", 2)
    first = sanitizer.cleared(data, "JPEG", LIMIT)
    assert first.endswith(b"\xff\xd9")
    assert first.count(b"\xff\xda") == 1
    assert len(first) <= second
    # Whatever the others ask for, it is not done.
    assert outcome(data + pictures.many_scans(771)) == "opened"


# Waiting for a decoder


@pytest.fixture
def nothing_free(site: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All decoders are at work for others, and nobody waits for long."""
    admission = site.extensions["admission"]
    monkeypatch.setattr(admission, "seconds", 0.05)
    with ExitStack() as turns:
        for _ in range(DECODED_AT_ONCE):
            assert turns.enter_context(admission.decoders.turn("others", 0))
        yield


@pytest.mark.usefixtures("nothing_free")
def test_who_waits_in_vain_gets_the_form_again_and_when_to_retry(client: PageClient) -> None:
    for count in (1, 2):
        files = [(io.BytesIO(pictures.jpeg()), "a.jpg") for _ in range(count)]
        page = client.post("/", data={"image": files})
        assert page.status == 503
        assert int(page.headers["Retry-After"]) > 0
        assert "as many photos as it can" in page.text
        assert 'type="file"' in page.html


@pytest.mark.usefixtures("nothing_free")
def test_who_waits_in_vain_is_told_so_in_json(client: PageClient, api: FlaskClient) -> None:
    answer = ask(api, pictures.jpeg())
    error = error_of(answer)
    assert (error["status"], error["code"]) == (503, "busy")
    assert int(answer.headers["Retry-After"]) > 0
    assert "try again" in error["detail"]


@pytest.fixture
def api(client: PageClient) -> FlaskClient:
    return client.plain


@pytest.mark.usefixtures("nothing_free")
def test_of_several_photos_only_one_waits(
    site: Flask, client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.extensions["admission"], "seconds", 0.3)
    files = [(io.BytesIO(pictures.jpeg()), "a.jpg") for _ in range(16)]
    begun = time.perf_counter()
    assert client.post("/", data={"image": files}).status == 503
    assert time.perf_counter() - begun < 16 * 0.3


# A real server


SIXTEEN: dict[str, tuple[Make, set[int]]] = {
    "run lengths": (pictures.run_length_bmp, {415, 503}),
    "scans": (lambda: pictures.many_scans(771), {422, 503}),
    "the most scans": (lambda: pictures.many_scans(16), {200, 503}),
    "a large canvas": (pictures.gif_with_a_large_canvas, {200, 503}),
}


@pytest.mark.parametrize(("make", "statuses"), SIXTEEN.values(), ids=SIXTEEN)
def test_pages_are_answered_while_sixteen_are_sent(
    make: Make, statuses: set[int], address: str
) -> None:
    body, headers = upload(make())

    def send(_number: int) -> tuple[int, str | None]:
        connection = connect(address)
        connection.request("POST", "/api/classify", body, headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status, response.headers["Retry-After"]

    slowest = 0.0
    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(send, number) for number in range(16)]
        while True:
            begun = time.perf_counter()
            page = connect(address)
            page.request("GET", "/")
            assert page.getresponse().status == 200
            page.close()
            slowest = max(slowest, time.perf_counter() - begun)
            if all(answer.done() for answer in answers):
                break
            time.sleep(0.05)
    assert slowest < PAGE, f"a page took {slowest:.1f} s"
    for status, retry in (answer.result() for answer in answers):
        assert status in statuses
        assert (retry is not None) == (status == 503)
