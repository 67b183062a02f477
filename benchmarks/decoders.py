"""Opening a picture in a process of its own beside in this one: `python -m benchmarks.decoders`

Also what such a process takes of memory, and what a picture that is too much work costs.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.timing import alternate, print_table
from model_training.datasets.pictures import decoders, opener
from tests import pictures

MOST_PIXELS = 64_000_000
ROUNDS = 15


def main() -> None:
    """Measure and print."""
    noise = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    large = Image.fromarray(noise).resize((4000, 3000), Image.Resampling.BICUBIC)
    apart = decoders.Decoder()
    for name, data in {
        "a JPEG of 96x64 pixels": pictures.jpeg(),
        "a JPEG of 12 megapixels": pictures.encode(large, "JPEG"),
    }.items():
        print(f"\n{name}, {len(data):,} bytes")
        candidates = {
            "in this process": lambda data=data: opener.open_photo(data, max_pixels=MOST_PIXELS),
            "in one of its own": lambda data=data: opener.open_photo(
                data, max_pixels=MOST_PIXELS, decode=apart.open
            ),
        }
        print_table(alternate(candidates, ROUNDS), 1, "picture")
    assert apart.process_id is not None
    rollup = Path(f"/proc/{apart.process_id}/smaps_rollup")
    if rollup.exists():
        (private,) = re.findall(r"^Anonymous:\s+(\d+) kB", rollup.read_text(), re.M)
        print(f"\nprivate memory of the process: {int(private) / 1000:.0f} MB")
    apart.close()


if __name__ == "__main__":
    main()
