"""What one trial is: a short training of a recipe with the settings that it is given."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from model_training.bundles.history import Epoch
from model_training.datasets.dataset import DataSet
from model_training.files import file_digest
from model_training.recipes import Recipe
from model_training.training.options import (
    Options,
    Parts,
    as_trained,
    for_data_set,
    for_other_images,
    some,
)
from model_training.tuning.record import About, StudyError
from model_training.tuning.search import Report, TrialStopped, TrialUnusable
from model_training.tuning.settings import with_values
from model_training.tuning.spaces import Bounded, own_values, space_of, write_bounds

MOST_IMAGES = 10_000
"""Images that a trial learns from, unless told otherwise."""
SHORTER = 8
"""A trial's last phase has this part of the recipe's epochs, unless told otherwise."""
LEAST_EPOCHS = 3


@dataclass(frozen=True)
class ShortRuns:
    """The short trainings of one study.

    Of the images that a whole training learns from, a trial learns from the first `limit`, with the
    same share of each class; it is judged on what a whole training is validated on, at most as many
    again.  The test images are not touched.

    Args:
        options: seed and weights; what is in all trials alike.
        features: the folder for what frozen layers make of images, which trials share.
        scratch: the folder for what is written while a trial runs, and then removed.
    """

    recipe: Recipe
    data: DataSet
    options: Options
    parts: Parts
    features: Path
    scratch: Path

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        data: DataSet,
        options: Options,
        limit: int | None,
        features: Path,
        scratch: Path,
    ) -> ShortRuns:
        """Return the short trainings of `recipe` on `data`.

        Raises:
            ValueError: `options` do not fit the data.
        """
        data = for_data_set(recipe, data)
        parts = Parts.of(data, options)
        assert parts.validation is not None  # Only `all_data` does without.
        fit = some(parts.fit, limit or MOST_IMAGES)
        if lacking := len(set(parts.fit.labels.tolist())) - len(set(fit.labels.tolist())):
            raise ValueError(
                f"Among {len(fit):,} images there is none of {lacking:,} of the {data.title} "
                "classes, so no trial could learn them. Give a larger --limit."
            )
        # Where a trial is short, looking at many more images than it learns from is most of it.
        parts = replace(parts, fit=fit, validation=some(parts.validation, len(fit)))
        if options.epochs is None:
            options = replace(options, epochs=short_epochs(recipe))
        _trained, phases = as_trained(recipe, data, parts, options)
        if (batch := max(phase.batch_size for phase in phases)) > len(fit):
            raise ValueError(
                f"A batch of {recipe.name} has {batch:,} images, and a trial would learn from "
                f"{len(fit):,}: at least as many are needed."
            )
        return cls(recipe, data, options, parts, features, scratch)

    def space(self, only: tuple[str, ...] = ()) -> tuple[Bounded, dict[str, float]]:
        """Return the space of these trainings, and the recipe's own values.

        Raises:
            SpaceError: there is nothing to search.
        """
        recipe = self.recipe
        if self.data.name != recipe.data_set:
            recipe = for_other_images(recipe, self.data.side, len(self.parts.fit))
        bounds = space_of(recipe, len(self.parts.fit), only)
        return bounds, own_values(recipe, bounds)

    def about(self, bounds: Bounded) -> About:
        """Return what a study of these trainings is about."""
        assert self.parts.validation is not None and self.options.epochs is not None
        return About(
            recipe=self.recipe.name,
            data_set=self.data.name,
            data_title=self.data.title,
            data_digest=self.data.digest,
            bounds=write_bounds(bounds),
            images=len(self.parts.fit),
            validation_images=len(self.parts.validation),
            epochs=sum(one.epochs for one in self.recipe.phases[:-1]) + self.options.epochs,
            last_epochs=self.options.epochs,
            seed=self.options.seed,
            weights=file_digest(self.options.weights) if self.options.weights is not None else "",
        )

    def train(
        self,
        values: Mapping[str, float],
        report: Report,
        stop: Callable[[], bool],
        on_features: Callable[[int, int], None] = lambda images, total: None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> float:
        """Train with `values`; return the accuracy on the validation images.

        `on_features` and `on_wait` are those of a `Watcher`.

        Where early stopping ends the last phase, that of its best epoch.

        Raises:
            TrialStopped: `stop` said so.
            TrialUnusable: the training diverged, or does not fit into memory.
            StudyError: the pretrained weights cannot be had, or features cannot be kept.
        """
        # Here, since a search is also made by workers that train something else.
        import keras

        from model_training.networks.frozen.pieces import FullDisk
        from model_training.networks.pretrained import WeightsError
        from model_training.training import checkpoint
        from model_training.training.learning.outcome import Diverged, Interrupted
        from model_training.training.learning.watcher import Watcher
        from model_training.training.loop import Place, train

        recipe, phases = as_trained(
            with_values(self.recipe, values), self.data, self.parts, self.options
        )
        last = 0.0

        def on_epoch(row: Epoch) -> None:
            nonlocal last
            last = row.validation_accuracy or 0.0
            report(row.epoch, last)

        self.scratch.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=self.scratch, prefix="trial-") as state,
            checkpoint.claim(Path(state)),  # It tells that what it reads is in use.
        ):
            try:
                trained = train(
                    recipe,
                    phases,
                    self.options.seed,
                    self.parts.fit,
                    self.parts.validation,
                    Place(Path(state), self.features),
                    classes=len(self.data.classes),
                    data_digest=self.data.digest,
                    weights=self.options.weights,
                    watcher=Watcher(on_epoch=on_epoch, on_features=on_features, on_wait=on_wait),
                    stop=stop,
                )
            except Interrupted as error:
                raise TrialStopped from error
            except Diverged as error:
                raise TrialUnusable("it diverged") from error
            except WeightsError as error:
                raise StudyError(str(error)) from error
            except FullDisk as error:
                raise StudyError(
                    f"{error} Then give the same command again: every finished trial is kept."
                ) from error
            except MemoryError as error:
                raise TrialUnusable("it did not fit into memory") from error
            except Exception as error:
                # Each backend has its own name for it.
                if type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError"):
                    raise TrialUnusable("it did not fit into memory") from error
                raise
            finally:
                keras.backend.clear_session()
        if trained.best_epoch is not None:
            last = trained.history[trained.best_epoch - 1].validation_accuracy or last
        return last


def short_epochs(recipe: Recipe) -> int:
    """Return the epochs of the last phase in a short training of `recipe`."""
    own = recipe.phases[-1].epochs
    return min(own, max(LEAST_EPOCHS, round(own / SHORTER)))
