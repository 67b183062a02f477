"""The description of a data set: small enough to ship, and all that a page needs to know."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from model_training.naming import Sha256, Slug


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Note(_Part):
    """A paragraph of the page about a data set, under a heading of its own."""

    title: str
    text: str


class About(_Part):
    """Sentences about a data set, as its page shows them.

    `lead` stands first, `notes` further down.  `means` says what the mean images show, and
    `examples` what the examples on the first page are.  Each may be empty.
    """

    lead: str = ""
    notes: tuple[Note, ...] = ()
    means: str = ""
    examples: str = ""


class Description(_Part):
    """All that is known about a data set where its images are not at hand, version 1.

    `digest` names the data set; `test_digest` is `ImageSet.digest` of the test images as they are
    kept, `image_size` the side of the images that networks learn from and `kept_size` that of the
    kept test images, in pixels.  `test_names` are the files that the test images are from, if any.
    """

    schema_version: Literal[1] = 1
    name: Slug
    title: Annotated[str, Field(min_length=1, max_length=80)]
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=256)]
    image_size: Annotated[int, Field(gt=0, le=4096)]
    kept_size: Annotated[int, Field(gt=0, le=512)]
    digest: Sha256
    test_digest: Sha256
    about: About = About()
    test_names: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _classes_differ(self) -> Description:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("two classes have one name")
        return self
