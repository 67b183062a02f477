"""What happens to the file a visitor sends, before any network sees it."""

import base64
import io
import random
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageFile, JpegImagePlugin

from model_training.datasets.pictures import opener as photos
from model_training.datasets.pictures.opener import (
    DamagedPhoto,
    EmptyFile,
    NoPhoto,
    NotAnImage,
    Photo,
    PhotoError,
    PhotoTooLarge,
)
from model_training.datasets.pictures.views import default_plan, middle_square, reduced
from tests import pictures
from webapp.answering import data_uris

LIMIT = 40_000_000
WHITE = (255, 255, 255)


def cut(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """The middle square of `image`, as a network is shown it."""
    return reduced(middle_square(image), side)


def opened(data: bytes, **options: Any) -> Photo:
    photo = photos.open_photo(data, **{"max_pixels": LIMIT, **options})
    assert photo.image.mode == "RGB"
    return photo


def at(image: Image.Image, across: float, down: float) -> np.ndarray:
    """The colour at a place given as shares of the width and the height."""
    place = (int(image.width * across), int(image.height * down))
    return np.array(image.getpixel(place), dtype=int)


def assert_quarters(image: Image.Image, tolerance: int = 6) -> None:
    places = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]
    for place, colour in zip(places, pictures.QUARTERS, strict=True):
        assert np.abs(at(image, *place) - colour).max() <= tolerance, place


def row(photo: Photo) -> list[int]:
    """The greys of the first row; fails on a colour."""
    pixels = np.asarray(photo.image)[0]
    assert (pixels == pixels[:, :1]).all()
    return [int(level) for level in pixels[:, 0]]


def unpacked(uri: str) -> Image.Image:
    head, _, data = uri.partition(";base64,")
    image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
    assert head == f"data:{image.get_format_mimetype()}"
    image.load()
    return image


# Pictures that open


@pytest.mark.parametrize("kind", pictures.ALL_KINDS)
def test_every_accepted_kind_opens_with_its_colours(kind: str) -> None:
    photo = opened(pictures.ALL_KINDS[kind]())
    assert photo.format == kind
    assert photo.original_size == photo.image.size == (96, 64)
    assert_quarters(photo.image)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_lossless_kinds_keep_every_pixel(kind: str) -> None:
    photo = opened(pictures.ALL_KINDS[kind]())
    np.testing.assert_array_equal(np.asarray(photo.image), np.asarray(pictures.quarters()))


def test_a_phone_file_with_two_pictures_gives_the_first() -> None:
    photo = opened(pictures.mpo())
    assert photo.format == "JPEG"
    assert photo.original_size == (96, 64)
    assert_quarters(photo.image)


def test_an_avif_is_told_from_a_heic_by_all_its_brands() -> None:
    assert opened(pictures.avif_that_says_mif1_first()).format == "AVIF"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_picture(kind: str) -> None:
    assert_quarters(opened(pictures.animated(kind)).image)


def test_a_palette_png_keeps_its_colours() -> None:
    assert_quarters(opened(pictures.palette_png()).image)


def test_a_one_bit_png_is_white_where_it_was_white() -> None:
    assert row(opened(pictures.one_bit_png())) == [255] * 64


def test_a_grey_jpeg_keeps_its_grey() -> None:
    assert set(row(opened(pictures.grey_jpeg()))) == {100}


def test_a_lab_tiff_keeps_its_colours() -> None:
    # Eight bits hold fewer LAB colours than RGB ones.
    assert_quarters(opened(pictures.lab_tiff()).image, tolerance=12)


@pytest.mark.parametrize("size", [(96, 64), (2400, 1600)])
def test_a_cmyk_jpeg_is_not_turned_into_its_negative(size: tuple[int, int]) -> None:
    photo = opened(pictures.cmyk_jpeg(*size), working_side=300)
    assert photo.original_size == size
    assert_quarters(photo.image)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_a_sixteen_bit_picture_keeps_its_greys(kind: str, mode: str) -> None:
    data = pictures.sixteen_bit_grey(kind, [0, 0x40FF, 0x8000, 0xFFFF], mode)
    assert row(opened(data)) == [0, 64, 128, 255]


def test_a_clear_level_in_a_sixteen_bit_png_becomes_white() -> None:
    data = pictures.sixteen_bit_png_with_a_clear_level([0, 0x4000, 0x4001, 0xFFFF], clear=0x4000)
    assert row(opened(data)) == [0, 255, 64, 255]


def test_a_picture_of_large_numbers_runs_from_black_to_white() -> None:
    assert row(opened(pictures.number_tiff([-500, 500, 1500], whole=True))) == [0, 128, 255]
    assert row(opened(pictures.number_tiff([0.0, 0.25, 1.0], whole=False))) == [0, 64, 255]
    assert row(opened(pictures.number_tiff([7.0, 7.0], whole=False))) == [0, 0]


def test_a_picture_of_numbers_with_holes_keeps_the_rest() -> None:
    values = [0.0, float("nan"), 0.5, float("inf"), 1.0, float("-inf")]
    assert row(opened(pictures.number_tiff(values, whole=False))) == [0, 0, 128, 255, 255, 0]


def test_clear_parts_lie_on_white() -> None:
    image = opened(pictures.half_clear_png()).image
    assert image.getpixel((0, 0)) == (200, 0, 0)
    assert image.getpixel((2, 0)) == (227, 127, 127)  # half red, half white
    assert image.getpixel((4, 0)) == WHITE
    assert opened(pictures.clear_grey_png()).image.getpixel((0, 0)) == WHITE


@pytest.mark.parametrize("make", [pictures.clear_palette_png, pictures.clear_colour_png])
def test_a_colour_declared_clear_becomes_white(make: Any) -> None:
    image = opened(make()).image
    assert image.getpixel((0, 0)) == (0, 0, 255)
    assert image.getpixel((3, 3)) == WHITE


# Upright, and of a size to work with


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(96, 64), (1200, 800)])
def test_a_photo_taken_sideways_is_shown_upright(orientation: int, size: tuple[int, int]) -> None:
    photo = opened(pictures.turned_jpeg(orientation, *size), working_side=300)
    assert photo.original_size == size
    assert photo.image.size == ((96, 64) if size == (96, 64) else (300, 200))
    assert_quarters(photo.image)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_other_kinds_are_shown_upright_too(kind: str) -> None:
    photo = opened(pictures.turned(kind))
    assert photo.original_size == photo.image.size == (96, 64)
    assert_quarters(photo.image, tolerance=15)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0rubbish", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"]
)
def test_a_mistake_in_the_metadata_does_not_cost_the_photo(exif: bytes) -> None:
    assert_quarters(opened(pictures.jpeg(exif=exif)).image)


def test_an_unknown_orientation_is_no_orientation() -> None:
    assert_quarters(opened(pictures.turned_jpeg(77)).image)


def test_a_single_pixel_is_a_photo() -> None:
    photo = opened(pictures.one_pixel())
    assert photo.original_size == (1, 1)
    assert photo.image.getpixel((0, 0)) == pictures.RED
    assert (cut(photo.image, 32) == pictures.RED).all()
    assert data_uris.as_data_uri(photo.image, long_side=320).startswith("data:image/png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_very_wide_picture_keeps_at_least_one_row(kind: str) -> None:
    photo = opened(pictures.very_wide(kind))
    assert photo.original_size == (20000, 10)
    assert photo.image.size == (1024, 1)
    assert np.abs(cut(photo.image, 32).astype(int) - pictures.BLUE).max() <= 4
    assert unpacked(data_uris.as_data_uri(photo.image, long_side=100)).size == (100, 1)


def test_a_large_photo_is_reduced_and_a_small_one_never_enlarged() -> None:
    assert opened(pictures.png(900, 600), working_side=300).image.size == (300, 200)
    assert opened(pictures.png(300, 200), working_side=300).image.size == (300, 200)
    assert opened(pictures.png(30, 20), working_side=300).image.size == (30, 20)


@pytest.mark.parametrize(
    "size, decoded",
    [
        ((4000, 3000), (1000, 750)),  # a sixteenth of the pixels: what is there is near enough
        ((4096, 100), (1024, 25)),  # a panorama profits too
        ((3900, 64), (1950, 32)),  # never much below the working side
        ((1500, 1000), (1500, 1000)),
    ],
)
def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size(
    size: tuple[int, int], decoded: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    prepare = JpegImagePlugin.JpegImageFile.load_prepare

    def spy(self: JpegImagePlugin.JpegImageFile) -> None:
        prepare(self)
        sizes.append(self.im.size)  # of the memory the decoder is about to fill

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load_prepare", spy)
    photo = opened(pictures.jpeg(*size))
    assert sizes == [decoded]
    assert photo.original_size == size
    assert 992 <= max(photo.image.size) <= 1024
    assert_quarters(photo.image)


# Colour profiles


def test_a_wide_gamut_photo_shows_the_colours_the_phone_saw() -> None:
    colour = (200, 100, 100)
    light = pictures.P3_TO_XYZ @ (np.array(colour) / 255) ** pictures.P3_GAMMA
    srgb_to_xyz = [
        [0.43607, 0.38515, 0.14307],
        [0.22249, 0.71687, 0.06061],
        [0.0139, 0.0971, 0.7141],
    ]
    linear = np.linalg.solve(srgb_to_xyz, light)
    expected = 255 * (1.055 * linear ** (1 / 2.4) - 0.055)
    assert expected[0] > 212  # more red than the number 200 means without the profile
    for kind in ("PNG", "JPEG", "TIFF"):
        shown = at(opened(pictures.p3(colour, kind)).image, 0.5, 0.5)
        assert np.abs(shown - expected).max() <= 2, kind


def test_white_stays_white_under_a_profile() -> None:
    assert opened(pictures.p3(WHITE)).image.getpixel((0, 0)) == WHITE


def test_an_srgb_profile_changes_no_pixel() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    noise = np.random.default_rng(3).integers(0, 256, (32, 32, 3), np.uint8)
    data = pictures.encode(Image.fromarray(noise), "PNG", icc_profile=profile)
    np.testing.assert_array_equal(np.asarray(opened(data).image), noise)


def test_a_profile_that_is_broken_or_for_other_colours_is_left_out() -> None:
    profiles = [b"rubbish", pictures.p3_profile()[:200]]
    for profile in profiles:
        assert_quarters(opened(pictures.jpeg(icc_profile=profile)).image)
    grey = pictures.encode(Image.new("L", (4, 4), 100), "PNG", icc_profile=pictures.p3_profile())
    assert row(opened(grey)) == [100] * 4


def test_nothing_but_the_pixels_is_kept() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera of Jane Doe"
    data = pictures.jpeg(exif=exif, comment=b"at home", icc_profile=pictures.p3_profile())
    image = opened(data).image
    assert image.info == {}
    assert not image.getexif()
    for pixelated in (False, True):
        uri = data_uris.as_data_uri(image, long_side=96, pixelated=pixelated)
        raw = base64.b64decode(uri.partition(",")[2])
        assert not any(word in raw for word in (b"Jane", b"at home", b"Display P3"))


# Files that do not open


def test_no_bytes_is_an_empty_file() -> None:
    with pytest.raises(EmptyFile) as caught:
        opened(pictures.nothing())
    assert isinstance(caught.value, NoPhoto)
    assert (caught.value.status, caught.value.code) == (400, "empty-file")


@pytest.mark.parametrize(
    "make, help_given",
    [
        (pictures.not_an_image, "Please choose a JPEG, PNG, WebP"),
        (pictures.heic, "save or export it as JPEG"),
        (pictures.svg, "save or export it as PNG"),
        (pictures.pdf, "PDF document"),
        (pictures.video, "video"),
    ],
)
def test_what_is_not_a_picture_is_refused_with_help(make: Any, help_given: str) -> None:
    with pytest.raises(NotAnImage, match=help_given) as caught:
        opened(make())
    assert caught.value.status == 415


def test_a_letter_that_begins_like_a_bitmap_is_not_called_damaged() -> None:
    with pytest.raises(NotAnImage):
        opened(b"BMW is a make of automobile.")


@pytest.mark.parametrize("kind", pictures.ALL_KINDS)
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_half_a_file_is_damaged(kind: str, share: float) -> None:
    with pytest.raises(DamagedPhoto) as caught:
        opened(pictures.truncated(pictures.ALL_KINDS[kind](), share))
    assert caught.value.status == 422


def test_half_a_jpeg_of_the_usual_size_is_damaged() -> None:
    with pytest.raises(DamagedPhoto, match="damaged or incomplete"):
        opened(pictures.truncated_jpeg())


@pytest.mark.parametrize(
    "make, megapixels",
    [(pictures.png_bomb, "169.0"), (pictures.gif_bomb, "4294.9"), (pictures.webp_bomb, "268.5")],
)
def test_a_bomb_is_refused_by_its_header_alone(
    make: Any, megapixels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(self: ImageFile.ImageFile) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    with pytest.raises(PhotoTooLarge) as caught:
        opened(make())
    assert caught.value.status == 413
    assert f"{megapixels} megapixels, and the limit is 40." in caught.value.message


def test_the_limit_itself_is_allowed_and_one_row_more_is_not() -> None:
    assert opened(pictures.png(100, 100), max_pixels=10_000).original_size == (100, 100)
    with pytest.raises(PhotoTooLarge):
        opened(pictures.png(100, 101), max_pixels=10_000)


def test_the_number_in_the_refusal_is_never_the_limit_itself() -> None:
    assert "has 40.1 megapixels" in PhotoTooLarge.for_pixels(LIMIT + 1, LIMIT).message


def test_too_many_bytes_are_told_in_megabytes() -> None:
    error = PhotoTooLarge.for_bytes(16 * 2**20)
    assert "16 MB" in error.message
    assert (error.status, error.code) == (413, "photo-too-large")


def test_every_error_has_a_sentence_a_status_and_a_code() -> None:
    kinds = [PhotoError, NoPhoto, EmptyFile, NotAnImage, DamagedPhoto, PhotoTooLarge]
    for kind in kinds:
        error = kind()
        assert str(error) == error.message and error.message.endswith(".")
        assert 400 <= error.status < 500
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", error.code)
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_any_bytes_at_all_give_a_photo_or_a_photo_error() -> None:
    chance = random.Random(20)
    kinds = [make() for make in pictures.ALL_KINDS.values()]
    kinds += [pictures.mpo(), pictures.animated("GIF"), pictures.animated("WEBP")]
    kinds += [pictures.cmyk_jpeg(), pictures.turned_jpeg(6), pictures.clear_palette_png()]
    kinds += [pictures.p3(pictures.RED), pictures.number_tiff([1, 2, 3], whole=False)]
    outcomes: list[type] = []
    for turn in range(450):
        data = bytearray(kinds[turn % len(kinds)])
        match chance.choice(["change", "change the beginning", "cut out", "repeat", "random"]):
            case "change":
                for _ in range(chance.randint(1, 8)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
            case "change the beginning":
                for _ in range(chance.randint(1, 4)):
                    data[chance.randrange(8, min(64, len(data)))] = chance.randrange(256)
            case "cut out":
                start = chance.randrange(8, len(data))
                del data[start : start + chance.randint(1, 40)]
            case "repeat":
                start = chance.randrange(len(data))
                data[start:start] = data[start : start + 40]
            case "random":
                data[12:] = chance.randbytes(chance.randint(0, 300))
        try:
            outcomes.append(type(photos.open_photo(bytes(data), max_pixels=4_000_000)))
        except PhotoError as error:
            outcomes.append(type(error))
    assert {Photo, DamagedPhoto, PhotoTooLarge} <= set(outcomes)


# What the network sees, and what the page shows


def test_a_picture_of_the_networks_own_size_reaches_it_unchanged() -> None:
    noise = np.random.default_rng(4).integers(0, 256, (32, 32, 3), np.uint8)
    photo = opened(pictures.encode(Image.fromarray(noise), "PNG"))
    seen = cut(photo.image, 32)
    assert seen.dtype == np.uint8
    np.testing.assert_array_equal(seen, noise)


def test_the_centre_square_is_what_is_seen() -> None:
    image = Image.new("RGB", (96, 32), pictures.RED)
    noise = np.random.default_rng(5).integers(0, 256, (32, 32, 3), np.uint8)
    image.paste(Image.fromarray(noise), (32, 0))
    np.testing.assert_array_equal(cut(image, 32), noise)
    upright = image.transpose(Image.Transpose.ROTATE_270)
    np.testing.assert_array_equal(cut(upright, 32), np.rot90(noise, -1))


def test_fine_patterns_are_averaged_not_picked() -> None:
    board = np.indices((640, 640)).sum(axis=0) % 2 * np.uint8(255)
    image = Image.fromarray(board.astype(np.uint8)).convert("RGB")
    seen = cut(image, 32)
    assert seen.shape == (32, 32, 3)
    assert np.abs(seen.astype(int) - 127).max() <= 3


def test_a_small_picture_is_enlarged_for_the_network() -> None:
    seen = cut(pictures.quarters(12, 8), 32)
    assert seen.shape == (32, 32, 3)
    assert_quarters(Image.fromarray(seen), tolerance=20)


def test_a_large_network_sees_the_whole_the_mirrored_middle_and_a_coarse_version() -> None:
    image = pictures.quarters(300, 200)
    whole, middle, small = default_plan(161, 32).cut(image)
    assert {view.pixels.shape for view in (whole, middle, small)} == {(161, 161, 3)}
    assert_quarters(Image.fromarray(whole.pixels), tolerance=20)
    np.testing.assert_array_equal(middle.pixels, cut(image, 161)[:, ::-1])
    coarse = Image.fromarray(small.pixels).resize((32, 32), Image.Resampling.BOX)
    assert_quarters(coarse, tolerance=20)
    # No detail finer than 32 pixels is left in it, though the photo has some.
    board = np.indices((320, 320)).sum(axis=0) // 2 % 2 * np.uint8(255)
    fine = Image.fromarray(board.astype(np.uint8)).convert("RGB")
    assert default_plan(161, 32).cut(fine)[2].pixels.std() < 5


def test_a_small_network_sees_the_whole_and_the_middle_from_both_sides() -> None:
    whole, middle, *mirrored = default_plan(32, 32).cut(pictures.quarters(300, 200))
    for view, turned in zip((whole, middle), mirrored, strict=True):
        np.testing.assert_array_equal(view.pixels[:, ::-1], turned.pixels)


@pytest.mark.parametrize("size", [32, 161])
def test_a_picture_like_those_of_the_data_set_is_seen_once_and_as_it_is(size: int) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (32, 32, 3), np.uint8)
    (view,) = default_plan(size, 32).cut(Image.fromarray(noise))
    np.testing.assert_array_equal(view.pixels, noise)


def test_the_cut_is_shown_pixel_for_pixel() -> None:
    noise = np.random.default_rng(6).integers(0, 256, (32, 32, 3), np.uint8)
    for uri in (
        data_uris.cut_as_data_uri(noise),
        data_uris.as_data_uri(Image.fromarray(noise), long_side=320),
    ):
        assert uri.startswith("data:image/png;base64,")
        np.testing.assert_array_equal(np.asarray(unpacked(uri)), noise)


def test_a_photo_is_shown_as_a_jpeg_of_its_own_shape() -> None:
    image = pictures.quarters(600, 400)
    shown = unpacked(data_uris.as_data_uri(image, long_side=300))
    assert (shown.format, shown.size) == ("JPEG", (300, 200))
    assert_quarters(shown, tolerance=12)
    assert image.size == (600, 400)  # the one handed in is not touched
    assert unpacked(data_uris.as_data_uri(image, long_side=5000)).size == (600, 400)
    assert unpacked(data_uris.as_data_uri(image, long_side=300, pixelated=True)).format == "PNG"
