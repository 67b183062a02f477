"""A network made ready for one phase of its training."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from model_training.datasets.augmentation import Augmenter, Transform
from model_training.datasets.dataset import ImageSet
from model_training.networks.frozen.features import FeatureViews, extract
from model_training.networks.memory import batch_within_memory
from model_training.recipes import Phase
from model_training.training.learning.callbacks import Between
from model_training.training.learning.freezing import make_ready
from model_training.training.learning.normalization import normalize_at_once
from model_training.training.learning.optimizers import Lookahead, build_optimizer
from model_training.training.together.alone import by_itself, own_copy
from model_training.training.together.team import ALONE, Team, lost_processes_named


class Inputs(Protocol):
    """A source of batches: images or, above frozen layers, their features."""

    def batch(self, chosen: NDArray[np.int64], epoch: int, number: int, own: slice) -> NDArray[Any]:
        """Return the inputs `chosen`, as batch `number` of `epoch`, of which only `own`."""


class Learner:
    """The part of a network that learns in one phase, compiled, with what it learns from.

    Args:
        model: the whole network; its layers are frozen and unfrozen as `phase` says.
        always_frozen: names of layers that stay frozen whatever the phase.
        input_size: the size in pixels to which a network that resizes does so, but where `phase`
            has its own.
        steps: of the whole phase.
        features_folder: where the output of frozen layers is kept.
        on_features: told how many more images have gone through frozen layers.
        stop: asked now and then whether to stop.
        on_wait: called where another training has frozen layers say the same, and is waited for.
        first: how many epochs of the run came before the phase.
        logs: the folder for logs, or None.
        resumed: whether an earlier session has written to them.
        team: the processes that learn together.

    `features_seconds` is what the frozen layers took, by the file that keeps what they said;
    `between` is what happens between epochs.

    Raises:
        features.Stopped: `stop` said so.
    """

    def __init__(
        self,
        model: keras.Model,
        always_frozen: set[str],
        input_size: int,
        phase: Phase,
        steps: int,
        fit: ImageSet,
        validation: ImageSet | None,
        seed: int,
        features_folder: Path,
        on_features: Callable[[int], None],
        stop: Callable[[], bool],
        *,
        on_wait: Callable[[], None] = lambda: None,
        first: int = 0,
        logs: Path | None = None,
        resumed: bool = False,
        team: Team = ALONE,
    ) -> None:
        self._team = team
        frozen, self.network = make_ready(model, always_frozen, input_size, phase)
        self.features_seconds: dict[str, float] = {}
        self._inputs: Inputs
        validation_inputs: NDArray[Any] | None = None if validation is None else validation.images
        if not frozen:
            self._inputs = Augmenter(fit.images, phase.augmentation, seed)
        else:
            if team.processes > 1:
                frozen = [own_copy(part) for part in frozen]
            told: dict[str, Any] = {"on_images": on_features, "on_wait": on_wait}
            told |= {"stop": stop, "team": team}
            # Frozen layers learn nothing, so no process has to wait for another's numbers.
            with by_itself(), lost_processes_named():
                found = extract(frozen, fit.images, phase.views, features_folder, **told)
                if validation is not None:
                    plain = (Transform(),)
                    of_validation = extract(
                        frozen, validation.images, plain, features_folder, **told
                    )
                    validation_inputs = of_validation.views[0]
                    self.features_seconds |= of_validation.seconds
            self._inputs = FeatureViews(found.views, seed)
            self.features_seconds |= found.seconds
        self._validation = validation_inputs
        classes = model.output.shape[-1]
        self._validation_targets = one_hot(validation.labels, classes) if validation else None
        self._targets = one_hot(fit.labels, classes)
        compile_network(self.network, phase, steps)
        self._lookahead = (
            Lookahead(phase.lookahead, self.network, steps) if phase.lookahead else None
        )
        self.between = Between(
            self.network,
            phase,
            first,
            has_validation=validation is not None,
            logs=logs,
            resumed=resumed,
        )

    @property
    def learning_rate(self) -> float:
        """Return the learning rate of the next step."""
        return float(self.network.optimizer.learning_rate)

    def step(
        self, chosen: NDArray[np.int64], epoch: int, batch: int, step: int
    ) -> tuple[float, float]:
        """Learn from the inputs `chosen`: batch number `batch` of `epoch`, both from 0.

        Args:
            step: of the whole phase, counted from 1.

        Returns:
            The loss and the accuracy of this batch.
        """
        own = self._team.share(len(chosen))
        inputs = self._inputs.batch(chosen, epoch, batch, own)
        with lost_processes_named():
            logs = self.network.train_on_batch(inputs, self._targets[chosen[own]], return_dict=True)
        if self._lookahead is not None:
            self._lookahead.after_step(step)
        # `train_on_batch` tells of its own batch only.
        return float(logs["loss"]), float(logs["accuracy"])

    def validate(self) -> tuple[float, float] | None:
        """Return loss and accuracy on the validation images, if any, without augmentation."""
        if self._validation is None:
            return None
        assert self._validation_targets is not None
        if self._team.processes == 1:
            return _evaluate(self.network, self._validation, self._validation_targets)
        # Each its share, which need not be as large as the others'.
        team = self._team
        mine = slice(team.rank, None, team.processes)
        inputs, targets = self._validation[mine], self._validation_targets[mine]
        loss = accuracy = 0.0
        if len(inputs):  # There may be more processes than images.
            with by_itself():
                self._own.set_weights(self.network.get_weights())
                loss, accuracy = _evaluate(self._own, inputs, targets)
        found = team.gather(np.array([loss * len(inputs), accuracy * len(inputs), len(inputs)]))
        loss, accuracy, count = found.sum(axis=0)
        return float(loss / count), float(accuracy / count)

    @cached_property
    def _own(self) -> keras.Model:
        copied = own_copy(self.network)
        with by_itself():
            copied.compile(loss=self.network.loss, metrics=["accuracy"])
        return copied

    def state(self) -> list[NDArray[Any]]:
        """Return all that is needed to go on beside the network's own variables and
        `between.memory()`: the optimizer's variables, the slow and the best weights."""
        return [*self._moving(), *self.between.best_weights()]

    def restore(self, state: list[NDArray[Any]], memory: dict[str, Any]) -> bool:
        """Go on from an earlier `state()`; False if it is that of another network or phase.

        Args:
            memory: the `between.memory()` of the same moment.
        """
        count = len(moving := self._moving())
        best = state[count:]
        wanted = [value.shape for value in moving]
        if best:
            wanted += [tuple(weight.shape) for weight in self.network.weights]
        if [value.shape for value in state] != wanted:
            return False
        variables = self.network.optimizer.variables
        for variable, value in zip(variables, state, strict=False):
            variable.assign(value)
        if self._lookahead is not None:
            self._lookahead.slow = state[len(variables) : count]
        self.between.remember(memory, best)
        return True

    def _moving(self) -> list[NDArray[Any]]:
        slow = self._lookahead.slow if self._lookahead is not None else []
        return [*(np.asarray(variable) for variable in self.network.optimizer.variables), *slow]


def compile_network(network: keras.Model, phase: Phase, steps: int) -> None:
    """Compile `network` with the optimizer and the loss of `phase`, over so many steps."""
    normalize_at_once(network)
    network.compile(
        build_optimizer(phase.optimizer, phase.schedule, steps, network),
        keras.losses.CategoricalCrossentropy(label_smoothing=phase.label_smoothing),
        metrics=["accuracy"],
    )


def _evaluate(
    network: keras.Model, inputs: NDArray[Any], targets: NDArray[np.float32]
) -> tuple[float, float]:
    batch = batch_within_memory(network)
    logs = network.evaluate(inputs, targets, batch_size=batch, verbose=0, return_dict=True)
    return float(logs["loss"]), float(logs["accuracy"])


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of the images in one epoch, int64 (count,).

    It is a function of seed and epoch alone, so that a training can be resumed.
    """
    return np.random.default_rng([seed, epoch]).permutation(count)


def one_hot(labels: NDArray[np.uint8], classes: int) -> NDArray[np.float32]:
    """Return `labels`, (count,), as one-hot rows: float32 (count, classes)."""
    return np.asarray(np.eye(classes, dtype=np.float32)[labels])
