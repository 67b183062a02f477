"""Damaged pictures are opened, or refused by an error with a name.

`benchmarks.mutated_pictures` does the same with a hundred thousand, in the site's own processes.
"""

from __future__ import annotations

from collections import Counter

import pytest

from model_training.datasets.pictures import opener
from tests.mutations import mutated, sound_pictures

LIMIT = 64_000_000
COUNT, PARTS = 2400, 8


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in sound_pictures()}))
def test_what_is_damaged_here_was_sound(kind: str) -> None:
    for of, data in sound_pictures():
        if of == kind:
            assert opener.open_photo(data, max_pixels=LIMIT).format == kind


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:PIL")
def test_a_damaged_picture_is_opened_or_refused_by_name(part: int) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(part, COUNT, PARTS):
        _kind, data = mutated(1, number)
        try:
            photo = opener.open_photo(data, max_pixels=LIMIT)
        except opener.PhotoError as error:
            assert type(error) is not opener.PhotoError
            outcomes[error.code] += 1
        else:
            assert photo.image.mode == "RGB" and max(photo.image.size) <= opener.WORKING_SIDE
            outcomes["opened"] += 1
    assert outcomes["opened"] > 20 and outcomes["damaged-photo"] > 100, "both kinds are tried"
