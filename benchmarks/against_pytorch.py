"""The training speed of `fast-cnn` beside airbench94's network in PyTorch.

    pip install torch==2.13.0     # any CPU build will do
    python -m benchmarks.against_pytorch

Both take the same batches, precision (bfloat16) and number of images, in turns within one process.
The PyTorch network is that of K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024:
GELU where ours has what its recipe says, otherwise layer by layer the same.  PyTorch is used for
nothing else in this project.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
import torch
from torch import nn

from benchmarks.timing import alternate, print_table
from model_training.networks.precision import dtype_policy
from model_training.recipes import find_recipe
from model_training.training.learning.learner import compile_network, one_hot

WIDTHS = (64, 256, 256)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, help="images a step; by default the recipe's")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()

    recipe = find_recipe("fast-cnn")
    batch = arguments.batch or recipe.phases[-1].batch_size
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch, 32, 32, 3), np.uint8)
    labels = rng.integers(0, 10, batch).astype(np.uint8)

    ours = _ours(images, labels)
    candidates = {
        "airbench94's network, PyTorch": _repeat(_theirs(images, labels), arguments.steps),
        "fast-cnn, Keras on TensorFlow": _repeat(ours, arguments.steps),
    }
    print(f"batch {batch}, {arguments.rounds} rounds of {arguments.steps} steps; ", end="")
    print(f"PyTorch {torch.__version__}, Keras {keras.__version__}, TensorFlow {tf.__version__}\n")
    print_table(alternate(candidates, arguments.rounds), arguments.steps, "step")


def _repeat(step: Callable[[], object], count: int) -> Callable[[], None]:
    def steps() -> None:
        for _ in range(count):
            step()

    return steps


def _ours(images: np.ndarray, labels: np.ndarray) -> Callable[[], object]:
    recipe = find_recipe("fast-cnn")
    with dtype_policy(recipe.precision):
        model = recipe.build()
    assert recipe.prepare
    recipe.prepare(model, images)
    compile_network(model, recipe.phases[-1], 10_000)
    targets = one_hot(labels, 10)
    return lambda: model.train_on_batch(images, targets)


def _theirs(images: np.ndarray, labels: np.ndarray) -> Callable[[], object]:
    network = _Airbench94().to(memory_format=torch.channels_last)
    network.train()
    optimizer = torch.optim.SGD(
        [one for one in network.parameters() if one.requires_grad],
        lr=1e-3,
        momentum=0.85,
        nesterov=True,
    )
    loss = nn.CrossEntropyLoss(label_smoothing=0.2)
    batch = torch.tensor(images).permute(0, 3, 1, 2).float().div(255)
    inputs = batch.contiguous(memory_format=torch.channels_last).bfloat16()
    targets = torch.tensor(labels.astype(np.int64))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = network(inputs)
        loss(outputs.float(), targets).backward()
        optimizer.step()

    return step


class _Group(nn.Module):  # type: ignore[misc]
    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.norm1 = _norm(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = _norm(channels)
        self.activation = nn.GELU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.activation(self.norm1(self.pool(self.first(x))))
        return self.activation(self.norm2(self.second(x)))


class _Airbench94(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2, bias=True)
        self.whiten.weight.requires_grad = False
        self.activation = nn.GELU()
        widths = (24, *WIDTHS)
        self.groups = nn.Sequential(*(_Group(*pair) for pair in zip(widths, WIDTHS, strict=False)))
        self.pool = nn.MaxPool2d(3)
        self.head = nn.Linear(WIDTHS[-1], 10, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.groups(self.activation(self.whiten(x))))
        return self.head(x.flatten(1)) / 9


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, momentum=0.4)
    norm.weight.requires_grad = False
    return norm


if __name__ == "__main__":
    main()
