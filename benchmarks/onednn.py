"""What oneDNN is worth to training: `python -m benchmarks.onednn [RECIPE ...]`

Times training steps of recipes on TensorFlow's own kernels and on those of oneDNN, in turns.
TensorFlow chooses when it is loaded, so each turn is a process of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

from model_training.networks.importing import ONEDNN_SWITCH

RECIPES = ("fast-cnn", "custom-cnn", "cnn-mish", "cnn-deep", "cnn-four-block", "animals-deep")


def main() -> None:
    """Measure and print, or be one of the processes that measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--measure", action="store_true", help="internal: one turn")
    asked = parser.parse_args()
    if asked.measure:
        # Imported with the switch already set.
        from benchmarks.determinism import seconds_per_step

        print(seconds_per_step(asked.recipes[0], asked.steps))
        return
    print(f"{'milliseconds per step':24} {'TensorFlow':>12} {'oneDNN':>12}  times as quick")
    for name in asked.recipes:
        seconds: dict[str, list[float]] = {"0": [], "1": []}
        for _ in range(asked.rounds):
            for switch, values in seconds.items():
                command = [sys.executable, "-m", "benchmarks.onednn", "--measure", name]
                command += ["--steps", str(asked.steps)]
                environment = os.environ | {ONEDNN_SWITCH: switch}
                said = subprocess.run(
                    command, env=environment, check=True, capture_output=True, text=True
                )
                values.append(float(said.stdout))
        own, quick = (statistics.median(values) * 1000 for values in seconds.values())
        ratios = [one / two for one, two in zip(seconds["0"], seconds["1"], strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{name:24} {own:12.0f} {quick:12.0f}  {spread}", flush=True)


if __name__ == "__main__":
    main()
