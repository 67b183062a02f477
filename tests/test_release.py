"""What ships, asked about every test image: `make release-check`, minutes where `make test` takes
seconds."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from model_training.auditing.audit import calibrated
from model_training.bundles.bundle import Bundle
from model_training.datasets.dataset import ImageSet
from tests.test_shipped import each_network
from webapp.serving.classifier import Classifier

pytestmark = pytest.mark.release

AT_A_TIME = 250


@each_network
def test_the_shipped_network_gives_every_stored_answer_again(
    bundle: Bundle, test_images: ImageSet
) -> None:
    classifier = Classifier(bundle)
    features = [
        classifier.backend.features(test_images.images[start : start + AT_A_TIME])
        for start in range(0, len(test_images), AT_A_TIME)
    ]
    judge = classifier.judge
    again = judge.own_logits(np.concatenate(features))
    # Another processor rounds otherwise, and may turn an image that was on the edge.
    if judge.pretrained is None:
        stated = judge.calibration.of_logits(again)
        assert np.allclose(stated, calibrated(bundle), atol=2e-3)
    right = (again.argmax(axis=1) == test_images.labels).mean()
    assert right == pytest.approx(bundle.card.test.accuracy, abs=2e-4)


@each_network
def test_the_threshold_keeps_most_test_images(bundle: Bundle, test_images: ImageSet) -> None:
    classifier = Classifier(bundle)
    assert bundle.files["judge.npz"].stat().st_size <= 2_200_000
    some = [Image.fromarray(image) for image in test_images.images[::10]]
    views = [classifier.judge.views(image) for image in some]
    known = [one.known for one in classifier.judge_views(views)]
    # It was set on photos, of which it keeps 95 %; images of 32 pixels are others.
    assert np.mean(known) > 0.85


@each_network
def test_every_network_shows_where_it_looked(bundle: Bundle, test_images: ImageSet) -> None:
    classifier = Classifier(bundle)
    number = int(bundle.predictions.test.max(axis=1).argmax())
    label = classifier.classes[int(bundle.predictions.test[number].argmax())]
    found = classifier.heat(test_images.images[number], label)
    assert found.max() == 1 and min(found.shape) >= 3
    # What it is surest of fills much of a small picture, but never all of it evenly.
    assert 0.02 < found.mean() < 0.9
