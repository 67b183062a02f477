"""An answer as one picture to keep: the photo, the verdict, its bars and the heat map."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

from PIL import Image, ImageDraw, ImageFont

from webapp.answering import wording
from webapp.answering.answers import Verdict
from webapp.filters import a, percent

SIZE = (1200, 800)
MARGIN = 48
PHOTO = 544
"""The side of the square that the photo stands in, in pixels."""
COLUMN = 640
"""Where the words begin, in pixels from the left."""

PAPER, INK, SOFT, TRACK = "#f6f5f1", "#15171c", "#565b66", "#e2dfd5"
ACCENT, FRAME = "#2b4bd8", "#dad7ce"

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw(
    verdict: Verdict,
    photo: Image.Image,
    heat: tuple[Image.Image, str] | None,
    *,
    site: str,
) -> Image.Image:
    """Return the picture to keep, RGB of SIZE.

    Args:
        photo: as the page shows it.
        heat: the heat map over the photo, and where it looked, in words; None: there is none.
        site: who answered, for the last line.
    """
    card = Image.new("RGB", SIZE, PAPER)
    pen = ImageDraw.Draw(card)
    box = _put(card, photo, (MARGIN, MARGIN), PHOTO)
    below = _say(pen, verdict)
    _bars(pen, verdict, max(below + 28, 300))
    if heat is not None:
        # As large as the photo leaves room for: a wide photo leaves much.
        overlay, words = heat
        y = box[3] + 24
        side = min(SIZE[1] - MARGIN - y, 320)
        right = _put(card, overlay, (MARGIN, y), side)[2] + 20
        said = f"Looking for {a(verdict.label)}, it looked {words}."
        _lines(pen, (right, y), said, 20, SOFT, MARGIN + PHOTO - right, most=6)
    date = datetime.now(UTC).strftime("%-d %B %Y")
    last = SIZE[1] - MARGIN - 56
    _write(pen, (COLUMN, last), verdict.model_title, 22, INK, bold=True, fit=512)
    _write(pen, (COLUMN, last + 30), f"{site} · {date}", 22, SOFT, fit=512)
    return card


def _say(pen: ImageDraw.ImageDraw, verdict: Verdict) -> int:
    """Write the verdict; return where it ends."""
    words = wording.headline(verdict)
    says = words.says + ("" if words.adds else ".")
    width = SIZE[0] - COLUMN - MARGIN
    size = next((s for s in (84, 72, 60, 52) if _length(says, s, bold=True) <= width), 46)
    y = _lines(pen, (COLUMN, MARGIN - 8), says, size, INK, width, bold=True, most=3)
    if words.adds:
        y = _lines(pen, (COLUMN, y + 6), f"{words.adds}.", 32, INK, width, most=3)
    return _lines(pen, (COLUMN, y + 14), str(wording.sureness(verdict)), 26, SOFT, width, most=3)


def _bars(pen: ImageDraw.ImageDraw, verdict: Verdict, y: int) -> None:
    """Draw the first few bars, and say what is left over."""
    shares = verdict.stated_shares[: wording.FEW]
    if verdict.something_else is not None:
        shares = [*shares, ("something else", verdict.something_else)]
    right = SIZE[0] - MARGIN
    left, end = COLUMN + 200, right - 100
    for number, (name, share) in enumerate(shares):
        first = number == 0 and verdict.known
        colour = INK if first else SOFT
        _write(pen, (COLUMN, y), name, 24, colour, bold=first, fit=190)
        pen.rectangle((left, y + 4, end, y + 26), fill=TRACK)
        filled = round((end - left) * share)
        if filled:
            fill = ACCENT if first else SOFT
            pen.rectangle((left, y + 4, left + filled, y + 26), fill=fill)
        value = percent(share)
        _write(pen, (right - round(_length(value, 24)), y), value, 24, colour)
        y += 42
    if rest := wording.remainder(verdict.stated_shares):
        _write(pen, (COLUMN, y + 2), str(rest), 22, SOFT)


def _put(
    card: Image.Image, picture: Image.Image, place: tuple[int, int], side: int
) -> tuple[int, int, int, int]:
    """Put `picture` into a square of `side` pixels, in its shape; return its box."""
    scale = side / max(picture.size)
    tiny = max(picture.size) <= 64
    kind = Image.Resampling.NEAREST if tiny else Image.Resampling.BICUBIC
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    shown = picture.resize(size, kind)
    card.paste(shown, place)
    box = (place[0], place[1], place[0] + shown.width, place[1] + shown.height)
    ImageDraw.Draw(card).rectangle(box, outline=FRAME)
    return box


def _lines(
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    size: int,
    colour: str,
    width: int,
    *,
    bold: bool = False,
    most: int,
) -> int:
    """Write `text` in at most `most` lines of `width` pixels; return where they end."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _length(longer, size, bold=bold) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    x, y = place
    for line in lines[:most]:
        _write(pen, (x, y), line, size, colour, bold=bold, fit=width)
        y += round(size * 1.22)
    return y


def _write(
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    size: int,
    colour: str,
    *,
    bold: bool = False,
    fit: int | None = None,
) -> None:
    """Write one line; what is wider than `fit` pixels ends in dots."""
    text = _writable(text, _font(size, bold))
    if fit is not None and _length(text, size, bold=bold) > fit:
        while text and _length(f"{text}...", size, bold=bold) > fit:
            text = text[:-1]
        text += "..."
    font = _font(size, bold)
    # The font that Pillow brings along has no bold: a thin outline stands in for it.
    stroke = 1 if bold and not _is_bold(font) else 0
    pen.text(place, text, fill=colour, font=font, stroke_width=stroke)


def _length(text: str, size: int, *, bold: bool = False) -> float:
    font = _font(size, bold)
    return font.getlength(_writable(text, font))


def _font(size: int, bold: bool) -> Font:
    """Return DejaVu Sans where it is installed, else the font that Pillow brings along."""
    try:
        return ImageFont.truetype(f"DejaVuSans{'-Bold' if bold else ''}.ttf", size)
    except OSError:
        return ImageFont.load_default(size)


def _is_bold(font: Font) -> bool:
    return isinstance(font, ImageFont.FreeTypeFont) and "Bold" in (font.getname()[1] or "")


def _writable(text: str, font: Font) -> str:
    """Return `text` without accents for the font of Pillow, which has next to none."""
    if isinstance(font, ImageFont.FreeTypeFont) and font.getname()[0] == "DejaVu Sans":
        return text
    plain = unicodedata.normalize("NFKD", text.replace("“", '"').replace("”", '"'))
    return "".join(letter for letter in plain if not unicodedata.combining(letter))
