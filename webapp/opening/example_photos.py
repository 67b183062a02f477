"""The photographs that the site brings along, for visitors who have none at hand.

They lie in `static/examples/`, where a list says what each shows, who took it and under which
licence.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from flask import current_app
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from model_training.datasets.pictures import opener as photos
from webapp.errors import Refusal

FOLDER = "examples"


class NoSuchExample(Refusal):
    """A request for an example photo that is not here."""

    status = 404
    code = "no-such-example"


@dataclass(frozen=True)
class ExamplePhoto:
    """A photograph with its credits.

    `shows` is the class that it shows, or None for a stranger: a thing that no model here is
    expected to know.
    """

    name: str
    title: str
    shows: str | None
    author: str
    licence: str
    source: str
    address: str

    @property
    def file(self) -> str:
        """Return the path of the photo, relative to the static folder."""
        return f"{FOLDER}/{self.name}.jpg"

    @property
    def thumbnail(self) -> str:
        """Return the path of a small square of it, relative to the static folder."""
        return f"{FOLDER}/{self.name}-small.jpg"


def example_photos() -> tuple[ExamplePhoto, ...]:
    """Return every example photo, in the order in which a page shows them."""
    return _read(_static_folder() / FOLDER / "examples.json")


def suited_to(classes: Sequence[str]) -> list[ExamplePhoto]:
    """Return the example photos for a model that knows `classes`.

    These are the photos of its classes and the strangers; without a photo of its classes there is
    nothing to compare a stranger with, and so none.
    """
    if not any(photo.shows in classes for photo in example_photos()):
        return []
    return [photo for photo in example_photos() if photo.shows is None or photo.shows in classes]


def open_example(name: str) -> photos.Photo:
    """Open the example photo called `name` as an uploaded one is opened.

    Raises:
        NoSuchExample: there is none of that name.
    """
    found = next((photo for photo in example_photos() if photo.name == name), None)
    if found is None:
        names = ", ".join(photo.name for photo in example_photos()) or "none"
        raise NoSuchExample(
            f"There is no example photo called “{name[:64]}” here. Available: {names}."
        )
    data = (_static_folder() / found.file).read_bytes()
    return photos.open_photo(data, max_pixels=current_app.config["MAX_PHOTO_PIXELS"])


def _static_folder() -> Path:
    return Path(current_app.static_folder or "")


@cache
def _read(path: Path) -> tuple[ExamplePhoto, ...]:
    if not path.is_file():
        return ()
    return TypeAdapter(tuple[ExamplePhoto, ...]).validate_json(path.read_bytes())
