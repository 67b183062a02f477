"""A pretrained network's own head is a second opinion, and knows strangers by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model_training.datasets.catalog import cifar10, cifar10_imagenet
from model_training.datasets.dataset import ImageSet
from model_training.datasets.pictures.views import PlannedView, ViewPlan
from model_training.judging.calibration import Calibrator
from model_training.judging.fitting import fit_judge
from model_training.judging.judge import Judge
from model_training.judging.parts.pretrained_head import PretrainedHead
from model_training.networks.imagenet.heads import imagenet_classes, pytorch_head

KINDS = ("tabby", "Persian cat", "beagle", "teapot")
MEMBERS = {"cat": (0, 1), "dog": (2,)}
CLASSES = ("cat", "dog")
PLAN = ViewPlan(side=4, small=4, views=(PlannedView(),))


def head() -> PretrainedHead:
    """A head for which feature 0 is a tabby, 1 a Persian cat, 2 a beagle and 3 a teapot."""
    kernel = (10 * np.eye(4)).astype(np.float32)
    return PretrainedHead.of(kernel, np.zeros(4, np.float32), KINDS, MEMBERS, CLASSES)


def features(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32)


def shares_of(rows: np.ndarray) -> np.ndarray:
    return head().log_shares(head().log_probabilities(rows))


class Backend:
    """The first four numbers of a picture are its features."""

    width = 4
    kernel = np.array([[1, 0], [0, 0], [0, 1], [0, 0]], np.float32)
    bias = np.zeros(2, np.float32)

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return pixels[:, 0, :, 0].astype(np.float32) / 255


def test_the_kinds_of_a_class_add_up() -> None:
    shares = np.exp(shares_of(features((0.7, 0.7, 0, 0), (0, 0, 1, 0))))
    assert shares[0, 0] > 0.98
    assert shares[1, 1] > 0.98


def test_what_is_of_no_class_is_strange_and_has_a_name() -> None:
    teapot, cat = features((0, 0, 0, 1), (1, 0, 0, 0))
    strange, familiar = head().novelty(shares_of(np.stack([teapot, cat])))
    assert strange > 20 > 1 > familiar
    assert head().resembles(head().log_probabilities(teapot[None])) == ["teapot"]
    # Even where a class is more probable: it is the most probable of all else.
    assert head().resembles(head().log_probabilities(features((1, 0, 0, 0.1)))) == ["teapot"]


def test_the_second_opinion_decides_where_the_first_is_level() -> None:
    level = np.zeros((2, 2), np.float32)
    both = head().combined(level, shares_of(features((0, 1, 0, 0), (0, 0, 1, 0))))
    assert both.argmax(axis=1).tolist() == [0, 1]


def test_offsets_make_up_for_a_class_of_few_kinds() -> None:
    """A class that the pretrained head hardly ever names is no rarer for that."""
    rng = np.random.default_rng(0)
    labels = np.arange(400).astype(np.uint8) % 2
    own = (rng.normal(size=(400, 2)) + 1.5 * np.eye(2)[labels]).astype(np.float32)
    always_cat = np.tile(features((0.5, 0.5, 0, 0)), (400, 1))
    fitted = head().fitted(own, always_cat, labels)
    answers = fitted.combined(own, shares_of(always_cat)).argmax(axis=1)
    before = head().combined(own, shares_of(always_cat)).argmax(axis=1)
    assert (before == labels).mean() < 0.78 < 0.82 < (answers == labels).mean()


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"cat": (0,)}, "the class dog has no kinds"),
        ({"cat": (0,), "dog": ()}, "the class dog has no kinds"),
        ({"cat": (0,), "dog": (4,)}, "the class dog has no kinds of its own among 4"),
        ({"cat": (0, 2), "dog": (2,)}, "belongs to another"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    members: dict[str, tuple[int, ...]], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        PretrainedHead.of(
            np.eye(4, dtype=np.float32), np.zeros(4, np.float32), KINDS, members, CLASSES
        )


def some_images() -> ImageSet:
    rng = np.random.default_rng(1)
    labels = np.arange(200).astype(np.uint8) % 2
    images = rng.integers(0, 60, (200, 4, 4, 3)).astype(np.uint8)
    images[np.arange(200), 0, 2 * labels, 0] = rng.integers(180, 255, 200)
    return ImageSet(images, labels)


def fitted_judge() -> Judge:
    data = some_images()
    calibrator = Calibrator(temperature=1.0, set_on="nothing")
    return fit_judge(Backend(), CLASSES, PLAN, data, data, calibrator, "the tests", None, head())


def test_a_judge_with_a_second_head_refuses_by_it_and_says_what_it_sees() -> None:
    judge = fitted_judge()
    cat, teapot = judge.judge_features(features((0.9, 0.1, 0, 0.1), (0.1, 0.1, 0.1, 1)))
    assert (cat.verdict, cat.resembles) == ("known", None)
    assert (teapot.verdict, teapot.resembles) == ("stranger", "teapot")


def test_without_validation_both_heads_are_calibrated_as_in_the_run_before() -> None:
    before, own = fitted_judge(), Calibrator(temperature=9.0, set_on="the network's own head")
    judge = fit_judge(Backend(), CLASSES, PLAN, some_images(), None, own, "nothing", before, head())
    assert judge.pretrained is not None
    assert judge.calibration == before.calibration


def test_it_is_kept_with_the_judge() -> None:
    judge = fitted_judge()
    again = Judge.from_arrays(judge.arrays())
    some = features((0.9, 0.1, 0, 0.1), (0.1, 0.1, 0.1, 1), (0.4, 0, 0.5, 0.2))
    np.testing.assert_allclose(again.probabilities(some), judge.probabilities(some), atol=1e-6)
    np.testing.assert_allclose(again.novelty(some), judge.novelty(some), atol=1e-6)
    assert again.pretrained is not None
    assert again.pretrained.kinds == KINDS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pretrained_kernel", np.zeros((3, 4), np.float16)),
        ("pretrained_bias", np.zeros(5, np.float32)),
        ("pretrained_classes", np.zeros(4, np.int16)),
        ("pretrained_classes", np.array([0, 0, 1, 7], np.int16)),
    ],
)
def test_a_damaged_one_is_refused(name: str, value: np.ndarray) -> None:
    with pytest.raises(ValueError, match="pretrained"):
        Judge.from_arrays(fitted_judge().arrays() | {name: value})


def test_without_a_table_it_is_left_out() -> None:
    judge = replace(fitted_judge(), pretrained=None)
    assert Judge.from_arrays(judge.arrays()).pretrained is None


def test_every_class_of_cifar10_has_kinds_and_they_are_what_they_are_called() -> None:
    names = imagenet_classes()
    assert len(names) == 1000
    assert set(cifar10_imagenet.MEMBERS) == set(cifar10.CLASSES)
    told = {
        of: {names[number] for number in cifar10_imagenet.MEMBERS[of]} for of in cifar10.CLASSES
    }
    assert {"tabby", "Siamese cat"} <= told["cat"]
    assert {"golden retriever", "Chihuahua", "dalmatian"} <= told["dog"]
    assert {"airliner", "warplane"} <= told["airplane"] and "plane" not in told["airplane"]
    assert not {"zebra", "lynx", "timber wolf", "school bus", "teapot"} & set().union(
        *told.values()
    )
    counts = [number for of in cifar10_imagenet.MEMBERS.values() for number in of]
    assert len(counts) == len(set(counts))


def test_a_head_of_other_than_a_thousand_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="no layer fc"):
        pytorch_head({})
    with pytest.raises(ValueError, match="thousand"):
        pytorch_head({"fc.weight": np.zeros((10, 4)), "fc.bias": np.zeros(10)})
