"""Fitting a judge when a run ends: on training and validation images of the classes alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from model_training.datasets.dataset import ImageSet
from model_training.datasets.pictures.views import ViewPlan
from model_training.judging.backend import Backend
from model_training.judging.calibration import Calibrator, fit_calibrator
from model_training.judging.judge import KEPT, Judge
from model_training.judging.out_of_distribution import REMEMBERED, Reference
from model_training.judging.parts.pretrained_head import PretrainedHead
from model_training.judging.parts.verdicts import Threshold

Floats = NDArray[np.float32]

SEED = 2022
_NO_THRESHOLD = Threshold(novelty=0.0, kept=KEPT, set_on="nothing")


class Headed(Backend, Protocol):
    """A backend with the network's head: kernel (features, classes), bias (classes,)."""

    kernel: Floats
    bias: Floats


def fit_judge(
    backend: Headed,
    classes: tuple[str, ...],
    plan: ViewPlan,
    learned: ImageSet,
    validation: ImageSet | None,
    calibration: Calibrator,
    set_on: str,
    earlier: Judge | None = None,
    pretrained: PretrainedHead | None = None,
    *,
    batch_size: int = 100,
    on_images: Callable[[int, int], None] = lambda done, total: None,
) -> Judge:
    """Return the judge of a network that has just been trained.

    Args:
        learned: the images that it learned from; `REMEMBERED` of them are drawn.
        validation: images of the same classes that it did not learn from.  Without them, the
            calibration and threshold are those of `earlier`.
        set_on: a description of `validation`.
        earlier: the judge of an earlier run of the same recipe.
        pretrained: the head that the network came with, if its opinion is to count; its features
            are square roots.  The calibration is then fitted on the opinion of both heads.
        batch_size: the number of images in one call of the backend.
        on_images: called with the number of images done so far and their total.

    Raises:
        ValueError: neither `validation` nor `earlier` is given.
    """
    remembered = drawn(len(learned))
    total = len(remembered) + (len(validation) if validation is not None else 0)
    done = 0

    def features(images: NDArray[np.uint8]) -> Floats:
        nonlocal done
        found = []
        for start in range(0, len(images), batch_size):
            found.append(backend.features(images[start : start + batch_size]))
            done += len(found[-1])
            on_images(done, total)
        return np.concatenate(found)

    rooted = pretrained is not None
    reference = Reference.remember(
        features(learned.images[remembered]), learned.labels[remembered], rooted=rooted
    )
    judge = Judge(
        classes, plan, backend.kernel, backend.bias, calibration, reference, _NO_THRESHOLD
    )
    if validation is None:
        if earlier is None:
            raise ValueError("there is nothing to set a threshold on")
        judge = replace(judge, pretrained=_as_before(pretrained, earlier))
        if judge.pretrained is not None:
            # `calibration` is that of the network's own head.
            judge = replace(judge, calibration=earlier.calibration)
        if earlier.reference is None:
            return replace(judge, reference=None, threshold=earlier.threshold)
        known = earlier.reference
        scaled = replace(reference, distance=known.distance, logit=known.logit)
        return replace(judge, reference=scaled, threshold=earlier.threshold)
    of_validation = features(validation.images)
    own = judge.own_logits(of_validation)
    judge = replace(judge, reference=reference.scaled(of_validation, own))
    if pretrained is not None:
        both = pretrained.fitted(own, of_validation, validation.labels)
        judge = replace(judge, pretrained=both)
        stated = softmax(judge.logits(of_validation).astype(np.float64), axis=1)
        judge = replace(judge, calibration=fit_calibrator(stated, validation.labels, set_on))
    return replace(judge, threshold=threshold_on(judge.novelty(of_validation), set_on))


def _as_before(pretrained: PretrainedHead | None, earlier: Judge) -> PretrainedHead | None:
    if pretrained is None or earlier.pretrained is None:
        return None
    before = earlier.pretrained
    return replace(pretrained, scale=before.scale, offsets=before.offsets)


def drawn(count: int) -> NDArray[np.int64]:
    """Return which of `count` images that a network learned from its judge remembers, rising."""
    return np.sort(np.random.default_rng(SEED).permutation(count)[:REMEMBERED])


def threshold_on(novelty: NDArray[np.float64], set_on: str) -> Threshold:
    """Return the threshold that keeps `KEPT` of images of the classes.

    Args:
        novelty: that of the images, (count,).
        set_on: a description of the images.
    """
    return Threshold(novelty=float(np.quantile(novelty, KEPT)), kept=KEPT, set_on=set_on)
