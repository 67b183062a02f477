"""The audit: copies and wrong labels that were planted are found, and pages say what was found."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from PIL import Image

from benchmarks import audit as benchmark
from model_training.auditing import agreement, near_copies
from model_training.auditing.audit import (
    Audit,
    accuracies,
    predictions_digest,
    read_audit,
    tempered,
    write_audit,
)
from model_training.auditing.embedding import embed
from model_training.auditing.label_errors import CleanlabMissing, most_doubtful, score_labels
from model_training.auditing.models_audit import make_audit, select_ensemble
from model_training.auditing.near_copies import Pairs, find_near_copies, whitening
from model_training.auditing.registration import likeness
from model_training.bundles.bundle import Bundle
from model_training.bundles.reading import read_bundles
from model_training.datasets.catalog import cifar10
from model_training.datasets.catalog.cifar10 import CLASSES, DIGEST
from model_training.datasets.dataset import DataSet, ImageSet
from model_training.datasets.kept import read_description
from model_training.files import DamagedFile
from tests.conftest import PROJECT, SHIPPED_DATA, SHIPPED_MODELS, make_site
from tests.page_client import PageClient
from webapp.gallery.selection import Filters, select
from webapp.library import NO_AUDIT, Result, load_library

SHIPPED_AUDIT = SHIPPED_DATA / "cifar10" / "audit.npz"
OF_CIFAR_10 = read_description(SHIPPED_DATA / "cifar10")


def changed(image: np.ndarray, kind: str) -> np.ndarray:
    """A near-copy of `image`, uint8 (32, 32, 3), as they are found in collections."""
    picture = Image.fromarray(image)
    if kind == "saved again":
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=60)
        picture = Image.open(file)
    elif kind == "cut":
        picture = picture.resize((32, 32), Image.Resampling.BICUBIC, box=(2, 1, 31, 29))
    elif kind == "stretched":
        picture = picture.resize((32, 32), Image.Resampling.BICUBIC, box=(0, 4, 32, 29))
    elif kind == "moved":
        return np.roll(image, (1, -2), axis=(0, 1))
    elif kind == "mirrored":
        return image[:, ::-1]
    elif kind == "brightened":
        return np.clip(image * 0.7 + 60, 0, 255).astype(np.uint8)
    return np.asarray(picture)


def blocks(images: np.ndarray) -> np.ndarray:
    """Means over blocks of pixels, for want of a network that knows better."""
    means = images.reshape(len(images), 8, 4, 8, 4, 3).mean(axis=(2, 4), dtype=np.float32)
    return np.asarray(means.reshape(len(images), -1))


KINDS = ("as it is", "saved again", "cut", "stretched", "moved", "mirrored", "brightened")


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_copy_is_still_alike_and_another_image_is_not(
    kind: str, test_images: ImageSet
) -> None:
    images = test_images.images[100:160]
    copies = np.array([changed(image, kind) for image in images])
    alike = likeness(images, copies)
    assert np.quantile(alike, 0.1) > near_copies.LEAST_LIKENESS
    others = likeness(images, np.roll(copies, 1, axis=0))
    assert others.max() < near_copies.LEAST_LIKENESS


def test_a_picture_without_details_is_like_nothing() -> None:
    plain = np.full((2, 32, 32, 3), 90, np.uint8)
    assert likeness(plain, plain + 5).max() < 0.1
    assert len(likeness(plain[:0], plain[:0])) == 0


def test_planted_copies_are_found_and_nothing_else(test_images: ImageSet) -> None:
    # A page of the gallery without near-copies of its own.
    images, others = test_images.images[200:260], test_images.images[300:360].copy()
    kinds = dict(enumerate(KINDS[:4]))
    for place, kind in kinds.items():
        others[10 + place] = changed(images[place], kind)
    pairs = find_near_copies(images, blocks(images), others, blocks(others))
    assert dict(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == {
        place: 10 + place for place in kinds
    }
    assert np.all(np.diff(pairs.likeness) <= 0), "the most alike first"
    both = np.concatenate([images, others])
    within = find_near_copies(both, blocks(both))
    assert sorted(zip(within.first.tolist(), within.second.tolist(), strict=True)) == [
        (place, 70 + place) for place in kinds
    ]


def test_what_varies_together_counts_once() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 6)).astype(np.float32)
    features[:, 1:4] = features[:, :1] + 0.01 * features[:, 1:4]
    whitened = whitening(features)(features)
    assert np.allclose(np.linalg.norm(whitened, axis=1), 1, atol=1e-4)
    # Of four features that say the same, and two others, the cosine of two images is that of three.
    apart = whitening(features[:, [0, 4, 5]])(features[:, [0, 4, 5]])
    assert np.corrcoef((whitened @ whitened[0])[1:], (apart @ apart[0])[1:])[0, 1] > 0.95


def test_labels_that_models_contradict_are_suspected() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 100)
    probabilities = np.full((300, 3), 0.1) + 0.7 * np.eye(3)[labels]
    probabilities = probabilities * rng.uniform(0.9, 1.1, (300, 3))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    given = labels.copy()
    given[[0, 1, 150]] = [1, 2, 0]
    doubts = score_labels([probabilities, probabilities], given)
    assert set(most_doubtful(doubts.doubt)[:3]) == {0, 1, 150}
    assert doubts.suggested[[0, 1, 150]].tolist() == [0, 0, 1]
    assert {0, 1, 150} >= set(np.flatnonzero(doubts.suspected))
    assert doubts.suspected.any()
    assert np.all((doubts.doubt > 0.5) == (probabilities.argmax(axis=1) != given))
    margin = probabilities[7, 0] - probabilities[7, 1:].max()
    assert doubts.doubt[7] == pytest.approx((1 - margin) / 2)


def test_a_class_that_models_are_seldom_sure_of_is_suspected_sooner() -> None:
    labels = np.repeat([0, 1], 50)
    probabilities = np.where(labels[:, None] == [0, 1], 0.95, 0.05)
    probabilities[50:] = [0.45, 0.55]
    probabilities[[0, 1]] = [[0.4, 0.6], [0.5, 0.5]]
    doubts = score_labels([probabilities], labels)
    assert np.flatnonzero(doubts.suspected).tolist() == [0]


def test_a_label_that_models_still_find_most_probable_is_not_suspected() -> None:
    labels = np.repeat([0, 1], 50)
    probabilities = np.where(labels[:, None] == [0, 1], 0.95, 0.05)
    probabilities[50:] = [0.45, 0.55]
    # For class 1 that is much, and for class 0 it is little, but it is still the more probable.
    probabilities[0] = [0.44, 0.56]
    probabilities[50] = [0.96, 0.04]
    probabilities[1] = [0.56, 0.44]
    doubts = score_labels([probabilities], labels)
    assert np.flatnonzero(doubts.suspected).tolist() == [0, 50]
    assert doubts.doubt[1] == pytest.approx(0.44)


def test_there_may_be_more_classes_than_eight_bits_count_and_classes_without_images() -> None:
    labels = np.arange(400) % 300
    probabilities = np.full((400, 301), 0.1 / 300)
    probabilities[np.arange(400), labels] = 0.9
    probabilities[5, [5, 299]] = [0.1 / 300, 0.9]
    doubts = score_labels([probabilities], labels)
    assert int(doubts.suggested[5]) == 299
    assert np.flatnonzero(doubts.suspected).tolist() == [5]


def test_images_of_one_class_alone_leave_nothing_to_suspect() -> None:
    probabilities = np.tile([0.3, 0.1, 0.6], (20, 1))
    doubts = score_labels([probabilities], np.ones(20, np.uint8))
    assert not doubts.suspected.any()
    assert doubts.doubt == pytest.approx(np.full(20, 0.75))


@pytest.fixture(scope="module")
def planted(tiny_bundle: Bundle, small_data: DataSet) -> tuple[DataSet, Audit]:
    """An audit of data in which the training images are test images 0 to 99, but for number 7.

    That is a copy of test image 3,000, under another label.
    """
    train = small_data.train.take(np.arange(100))
    train.images[7] = changed(small_data.test.images[3000], "cut")
    train.labels[7] = (small_data.test.labels[3000] + 1) % 10
    data = cifar10.make(train, small_data.test, "the tests")
    with pytest.MonkeyPatch.context() as patch:
        # Blocks of pixels are alike much sooner than what a network makes of them.
        patch.setattr(near_copies, "LEAST_LIKENESS", 0.9)
        patch.setattr(agreement, "LEAST_AGREEMENT", 0.3)
        return data, make_audit(
            data, tiny_bundle, [tiny_bundle], lambda _bundle, images, _side: blocks(images)
        )


def test_networks_agree_by_how_much_nearer_two_images_are_than_strangers_of_one_class(
    tiny_bundle: Bundle,
) -> None:
    narrow = dataclasses.replace(tiny_bundle, history={})
    # Images 0 and 3 are of one class, and a right angle apart for one network; 2 is between them.
    angles = np.deg2rad([0, 45, 30, 90])
    images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((32, 32, 3), np.uint8)
    known = ImageSet(images, np.array([0, 1, 2, 0], np.uint8))

    def embedding(bundle: Bundle, part: np.ndarray, _side: int | None) -> np.ndarray:
        # The other draws everything together: it says the same all the same.
        found = angles[part[:, 0, 0, 0]] * (0.01 if bundle is narrow else 1)
        return np.stack([np.cos(found), np.sin(found)], axis=1)

    pairs = Pairs(np.array([0, 2, 0]), np.array([0, 0, 3]), np.ones(3, np.float32))
    alone, both = (
        agreement.agreement(pairs, known, images, networks, embedding)
        for networks in ([tiny_bundle], [tiny_bundle, narrow])
    )
    near = 1 - np.sin(np.deg2rad(15)) / np.sin(np.deg2rad(45))
    assert alone == pytest.approx([1, near, agreement.LEAST_WORD], abs=1e-3)
    assert both == pytest.approx([1, (near + 2 / 3) / 2, agreement.LEAST_WORD], abs=1e-3)


def test_a_copy_on_which_the_judges_do_not_agree_is_none(
    planted: tuple[DataSet, Audit], tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, before = planted
    judge = dataclasses.replace(tiny_bundle, history={})

    def embedding(bundle: Bundle, images: np.ndarray, _side: int | None) -> np.ndarray:
        # The judge sees the corner pixel only, and that test image 3,000 has cut off.
        return blocks(images) if bundle is tiny_bundle else np.add(images[:, 0, 0], 1.0)

    monkeypatch.setattr(near_copies, "LEAST_LIKENESS", 0.9)
    monkeypatch.setattr(agreement, "LEAST_AGREEMENT", 0.99999)
    audit = make_audit(data, tiny_bundle, [judge], embedding)
    assert 3000 in before.copies and 3000 not in audit.copies
    assert 20 in audit.copies


def test_only_able_models_judge_unless_there_are_none(
    tiny_bundle: Bundle, small_data: DataSet
) -> None:
    stored = tiny_bundle.predictions
    truth = np.eye(10, dtype=np.float32)[stored.validation_labels]
    able, unknown, elsewhere = (
        dataclasses.replace(tiny_bundle, predictions=dataclasses.replace(stored, **change))
        for change in (
            {"validation": truth},
            {"validation": truth[:0], "validation_labels": stored.validation_labels[:0]},
            {"validation": truth, "test_labels": stored.test_labels[::-1]},
        )
    )
    facts = tiny_bundle.card.training.model_copy(update={"data_digest": 64 * "0"})
    card = tiny_bundle.card.model_copy(update={"training": facts})
    of_other_data = dataclasses.replace(able, card=card)
    every = [tiny_bundle, able, unknown, elsewhere, of_other_data]
    assert select_ensemble(every, small_data) == [able, unknown]
    assert select_ensemble([tiny_bundle, elsewhere, of_other_data], small_data) == [tiny_bundle]
    for wrong in (elsewhere, of_other_data):
        with pytest.raises(ValueError, match="tested on other images than those of CIFAR-10"):
            make_audit(small_data, tiny_bundle, [able, wrong], lambda *_arguments: np.zeros(0))


@pytest.fixture(scope="module")
def written(planted: tuple[DataSet, Audit], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audit") / "audit.npz"
    write_audit(path, planted[1])
    return path


def test_an_audit_is_read_back_as_it_was(
    planted: tuple[DataSet, Audit], tiny_bundle: Bundle, written: Path
) -> None:
    data, audit = planted
    assert {3000, *range(7), *range(8, 100)} <= set(audit.copies)
    copy = audit.copies[3000]
    assert (copy.train_index, copy.label) == (7, (data.test.labels[3000] + 1) % 10)
    assert audit.copies[20].train_index == 20
    assert audit.copies[20].likeness == pytest.approx(1, abs=0.01)
    again = read_audit(written, OF_CIFAR_10)
    assert again.provenance == audit.provenance
    assert again.provenance.models == {"tiny": predictions_digest(tiny_bundle)}
    assert list(again.copies) == list(audit.copies)
    assert np.array_equal(again.copies[3000].image, data.train.images[7])
    assert again.version == audit.version
    for name, values in vars(audit.doubts).items():
        assert np.array_equal(values, getattr(again.doubts, name))


@pytest.mark.parametrize(
    "harm",
    [
        {"doubt": np.zeros(3, np.float32)},
        {"doubt": np.full(10_000, 2, np.float32)},
        {"suggested": np.full(10_000, 99, np.uint8)},
        {"copy_of": np.array([-1], np.int32)},
        {"copy_picture": np.zeros(40, np.uint8)},
        {"copy_label": np.full(10_000, 10, np.uint8)},
        {"provenance": np.array("{}")},
        {"labels": None},
        b"half a file",
    ],
)
def test_a_damaged_audit_is_refused(
    harm: dict[str, np.ndarray | None] | bytes, written: Path, tmp_path: Path
) -> None:
    path = tmp_path / "audit.npz"
    if isinstance(harm, bytes):
        path.write_bytes(harm)
    else:
        with np.load(written) as stored:
            arrays = dict(stored) | harm
        np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    with pytest.raises(DamagedFile):
        read_audit(path, OF_CIFAR_10)


def test_an_audit_of_another_data_set_is_refused(written: Path) -> None:
    seven = OF_CIFAR_10.model_copy(update={"title": "Seven", "classes": OF_CIFAR_10.classes[:7]})
    with pytest.raises(DamagedFile, match="a class does not exist"):
        read_audit(written, seven)
    other = OF_CIFAR_10.model_copy(update={"title": "Other images", "digest": 64 * "0"})
    with pytest.raises(DamagedFile, match="it is of other images than those of Other images"):
        read_audit(written, other)


def test_an_audit_without_near_copies_is_read_back_too(
    planted: tuple[DataSet, Audit], tmp_path: Path
) -> None:
    write_audit(tmp_path / "audit.npz", dataclasses.replace(planted[1], copies={}))
    assert not read_audit(tmp_path / "audit.npz", OF_CIFAR_10).copies


def test_the_command_finds_planted_copies_and_says_so(
    tiny_bundle: Bundle,
    planted: tuple[DataSet, Audit],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at_hand: Callable[[DataSet], None],
) -> None:
    # The test images are kept there already: ten thousand take a while.
    (tmp_path / "data" / "cifar10").mkdir(parents=True)
    for name in ("dataset.json", "test", "statistics.npz"):
        (tmp_path / "data" / "cifar10" / name).symlink_to(SHIPPED_DATA / "cifar10" / name)
    app = make_site(tmp_path, MODELS_FOLDER=tiny_bundle.path.parent)
    # What eight channels make of an image tells no two of them apart.
    monkeypatch.setattr(near_copies, "LEAST_LIKENESS", 0.99999)
    monkeypatch.setattr(agreement, "LEAST_AGREEMENT", 0.3)
    at_hand(planted[0])
    runner: FlaskCliRunner = app.test_cli_runner()
    result = runner.invoke(args=["data", "audit", "--features", "tiny"])
    assert result.exit_code == 0, result.output
    audit = read_audit(tmp_path / "data" / "cifar10" / "audit.npz", OF_CIFAR_10)
    assert {*range(7), *range(8, 100)} <= set(audit.copies)
    assert f"{len(audit.copies):,} test images have a near-copy" in result.output
    worst = int(most_doubtful(audit.doubts.doubt)[0])
    assert f"test image {worst}: labelled {CLASSES[audit.labels[worst]]}" in result.output
    assert "judged by tiny" in result.output


def test_the_command_says_which_models_there_are(runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["data", "audit", "nobody"])
    assert result.exit_code == 2
    assert "There is no model called" in result.output
    assert "none yet. Choose with --features" in result.output


def test_without_cleanlab_an_audit_says_how_to_install_it(
    runner: FlaskCliRunner, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    runner.app.config["MODELS_FOLDER"] = tiny_bundle.path.parent
    result = runner.invoke(args=["data", "audit", "--features", "tiny", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output == (
        "Error: For an audit, cleanlab must be installed. Run: .venv/bin/pip install -r "
        "requirements-audit.txt\n"
    )
    assert "\ncleanlab==" in (PROJECT / "requirements-audit.txt").read_text("utf-8")
    assert "cleanlab" not in (PROJECT / "requirements.txt").read_text("utf-8")
    with pytest.raises(CleanlabMissing):
        score_labels([np.eye(3)], np.arange(3))


def test_an_audit_is_kept_under_names_that_do_not_change(written: Path) -> None:
    with np.load(written) as stored:
        assert {name: stored[name].dtype.str for name in stored.files if name != "provenance"} == {
            "labels": "|u1",
            "doubt": "<f4",
            "suggested": "|u1",
            "suspected": "|b1",
            "copy_of": "<i4",
            "copy_index": "<i4",
            "copy_label": "|u1",
            "copy_likeness": "<f4",
            "copy_picture": "|u1",
        }


def test_an_embedding_is_what_the_last_layer_sees(
    tiny_bundle: Bundle, test_images: ImageSet, tmp_path: Path
) -> None:
    found = embed(tiny_bundle, test_images.images[:20], tmp_path)
    assert found.shape == (20, 8)
    import keras

    network = keras.saving.load_model(tiny_bundle.model_path, compile=False)
    weights, bias = network.layers[-1].get_weights()
    answer = np.exp(found.astype(np.float32) @ weights + bias)
    answer /= answer.sum(axis=1, keepdims=True)
    assert np.allclose(answer, tiny_bundle.predictions.test[:20], atol=2e-3)
    report_only = dataclasses.replace(tiny_bundle, model_path=None)
    with pytest.raises(ValueError, match="only a report"):
        embed(report_only, test_images.images[:20], tmp_path)


# What ships.


@pytest.fixture(scope="module")
def shipped() -> Audit:
    return read_audit(SHIPPED_AUDIT, OF_CIFAR_10)


def test_every_copy_that_ships_is_one(shipped: Audit, test_images: ImageSet) -> None:
    assert shipped.provenance.data_digest == DIGEST
    assert np.array_equal(shipped.labels, test_images.labels)
    tests = list(shipped.copies)
    pictures = np.array([copy.image for copy in shipped.copies.values()])
    alike = likeness(test_images.images[tests], pictures)
    stored = [copy.likeness for copy in shipped.copies.values()]
    # The other half of the likeness, what a network makes of the two, is 1 at most.
    assert np.all(alike >= np.square(stored) - 0.01)
    assert min(stored) >= shipped.provenance.least_likeness
    assert len(tests) > 250
    assert SHIPPED_AUDIT.stat().st_size < 2_000_000


def test_the_doubts_that_ship_are_those_of_the_models_that_ship(shipped: Audit) -> None:
    bundles = {bundle.name: bundle for bundle in read_bundles(SHIPPED_MODELS)[0]}
    ensemble = [bundles[name] for name in shipped.provenance.models]
    for model in ensemble:
        assert predictions_digest(model) == shipped.provenance.models[model.name], (
            f"{model.name} was trained again: run `flask data audit`"
        )
    doubts = score_labels([tempered(model) for model in ensemble], shipped.labels)
    assert np.allclose(doubts.doubt, shipped.doubts.doubt, rtol=0, atol=1e-6)
    assert np.array_equal(doubts.suspected, shipped.doubts.suspected)
    assert np.array_equal(doubts.suggested, shipped.doubts.suggested)
    assert doubts.suspected.sum() == 53


def test_the_benchmark_counts_what_is_on_both_lists(
    shipped: Audit, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    copies = tmp_path / "copies.csv"
    there, missing = next(iter(shipped.copies)), int(np.flatnonzero(~shipped.has_copy)[0])
    copies.write_text(f"TestID,TrainID\n{there},5\n{missing},6\n", encoding="utf-8")
    benchmark.compare_near_copies(shipped, benchmark.published_near_copies(copies))
    said = capsys.readouterr().out
    assert "on the list and reported  1 (50.0%)" in said
    assert f"reported, not on the list {len(shipped.copies) - 1}" in said
    votes = tmp_path / "votes.json"
    first, second = most_doubtful(shipped.doubts.doubt)[:2].tolist()
    votes.write_text(
        f'[{{"id": {first}, "mturk": {{"given": 2, "guessed": 3}}}},'
        f' {{"id": {second}, "mturk": {{"given": 4, "guessed": 1}}}},'
        f' {{"id": {missing}, "mturk": {{"given": 3, "guessed": 2}}}}]',
        encoding="utf-8",
    )
    benchmark.compare_label_errors(shipped, benchmark.votes_for_labels(votes))
    said = capsys.readouterr().out
    assert "1 confirmed" in said and "among the first 100       1 (100.0%)" in said
    assert "of 2 suspected labels that people judged, they upheld 1" in said


# What pages say of it.


@pytest.fixture
def client(two_models: Flask) -> PageClient:
    return PageClient(two_models.test_client())


def asked(client: PageClient, **query: object) -> tuple[int, list[int]]:
    answer = client.fetch(f"/gallery.json?{urlencode(query)}").get_json()
    return answer["count"], [image["index"] for image in answer["images"]]


def test_the_gallery_shows_suspected_labels_and_copies_combined_freely(
    client: PageClient, shipped: Audit
) -> None:
    suspected, copies = shipped.doubts.suspected, shipped.has_copy
    cat = shipped.labels == CLASSES.index("cat")
    for query, expected in (
        ({"suspect": "yes"}, suspected),
        ({"suspect": "no"}, ~suspected),
        ({"copy": "yes"}, copies),
        ({"copy": "no", "suspect": "no"}, ~copies & ~suspected),
        ({"copy": "yes", "true": "cat"}, copies & cat),
    ):
        numbers = np.flatnonzero(expected)
        assert asked(client, **query) == (len(numbers), numbers[:100].tolist()), query
        words = client.get(f"/gallery/?{urlencode(query)}").text
        assert re.search(rf"\b{len(numbers):,} images?\b", words)
    doubtful = most_doubtful(shipped.doubts.doubt)
    count, first = asked(client, sort="doubt", order="down")
    assert count == 10_000
    assert np.allclose(shipped.doubts.doubt[first], shipped.doubts.doubt[doubtful[:100]])


def test_copies_under_another_label_can_be_chosen(
    planted: tuple[DataSet, Audit], tiny_bundle: Bundle
) -> None:
    data, audit = planted
    results = {"tiny": Result(tiny_bundle)}
    filters = Filters(model="tiny", copy="contradicts")
    chosen = select(filters, data.classes, data.test, results, audit)
    assert 3000 in chosen
    assert all(audit.copies[number].label != data.test.labels[number] for number in chosen.tolist())


def test_the_form_keeps_what_was_asked(client: PageClient) -> None:
    page = client.get("/gallery/?suspect=no&copy=yes&sort=doubt&order=down")
    assert 'value="doubt" selected' in page.html
    assert re.search(r'name="suspect">.*?value="no" selected', page.html, re.S)
    assert re.search(r'name="copy">.*?value="yes" selected', page.html, re.S)
    assert (
        "with a label that is not suspected to be wrong, with a near-copy among the training"
        in page.text
    )
    links = re.findall(r'<li class="cell[^"]*">\s*<a href="([^"]+)"', page.html)
    assert links and all("suspect=no&amp;copy=yes&amp;sort=doubt" in link for link in links)


def test_cells_and_their_twin_mark_the_same_images(client: PageClient, shipped: Audit) -> None:
    query = "sort=doubt&order=down"
    page = client.get(f"/gallery/?{query}")
    twin = client.fetch(f"/gallery.json?{query}").get_json()["images"]
    assert page.text.count("suspected to be wrong") == sum(one["suspected"] for one in twin)
    assert page.text.count("with a near-copy in training") == sum(one["near_copy"] for one in twin)
    for one in twin:
        assert one["suspected"] == shipped.doubts.suspected[one["index"]]
        assert one["near_copy"] == (one["index"] in shipped.copies)


def test_an_image_shows_its_near_copy(client: PageClient, shipped: Audit) -> None:
    number, copy = next(iter(shipped.copies.items()))
    page = client.get(f"/gallery/{number}")
    assert f"Training image {copy.train_index:,}, labelled {CLASSES[copy.label]}" in page.text
    (address,) = re.findall(r'src="(/gallery/copies/[^"]+)"', page.html)
    answer = client.fetch(address)
    assert "immutable" in answer.headers["Cache-Control"]
    shown = np.asarray(Image.open(io.BytesIO(answer.data)).convert("RGB"))
    assert np.array_equal(shown, copy.image)
    without = int(np.flatnonzero(~shipped.has_copy)[0])
    assert "No near-copy of it was found" in client.get(f"/gallery/{without}").text
    for wrong in (address.replace(f"/{number}.", f"/{without}."), "/gallery/copies/x/1.png"):
        assert client.fetch(wrong).status_code == 404


def test_pages_show_an_audit_without_cleanlab(
    client: PageClient, shipped: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    description = read_description(SHIPPED_DATA / "cifar10")
    assert read_audit(SHIPPED_AUDIT, description).provenance == shipped.provenance
    suspected = f"{shipped.doubts.suspected.sum():,} images"
    assert suspected in client.get("/gallery/?suspect=yes").text
    assert "Without either" in client.get("/models/tiny").text


def test_an_image_says_how_doubtful_its_label_is(client: PageClient, shipped: Audit) -> None:
    worst = int(most_doubtful(shipped.doubts.doubt)[0])
    page = client.get(f"/gallery/{worst}")
    assert "Its label is suspected to be wrong" in page.text
    rather = page.text.split("would rather call it")[1][:60]
    assert CLASSES[shipped.doubts.suggested[worst]] in rather
    assert "It is the most doubtful of 10,000" in page.text
    best = int(np.argmin(shipped.doubts.doubt))
    words = "Its label looks right. It is the 10,000th most doubtful of 10,000"
    assert words in client.get(f"/gallery/{best}").text


def test_the_report_and_its_twin_give_the_cleaned_accuracies(
    client: PageClient, two_models: Flask, shipped: Audit
) -> None:
    result = load_library(two_models).results["tiny"]
    right = result.predicted == shipped.labels
    page, twin = client.get("/models/tiny"), client.fetch("/models/tiny.json").get_json()["clean"]
    keep = {
        "without_copies": ~shipped.has_copy,
        "without_suspects": ~shipped.doubts.suspected,
        "cleaned": ~shipped.has_copy & ~shipped.doubts.suspected,
    }
    table = page.text.split("Accuracy on the test images that are left")[1]
    for name, part in keep.items():
        assert twin[name]["images"] == part.sum()
        assert twin[name]["accuracy"]["value"] == pytest.approx(right[part].mean())
        figures = f"{right[part].mean():.2%} {part.sum():,} {twin[name]['accuracy']['low']:.2%}"
        assert figures in table, name
    assert f"right {right[shipped.has_copy].mean():.1%} of the time" in page.text
    judges = client.fetch("/models/tiny.json").get_json()["judges"]
    assert judges == list(shipped.provenance.models)
    *others, last = judges
    assert f"Labels are suspected where {', '.join(others)} and {last} together" in page.text
    table_html = page.html.split("Accuracy on the test images that are left")[1]
    links = re.findall(r'<a href="(/gallery/[^"]+)">([\d,]+)</a>', table_html)
    for address, count in links[:3]:
        found = client.fetch(address.replace("&amp;", "&").replace("/gallery/", "/gallery.json"))
        assert found.get_json()["count"] == int(count.replace(",", ""))


def test_the_table_has_the_cleaned_accuracy(
    client: PageClient, two_models: Flask, shipped: Audit
) -> None:
    rows = {r["name"]: r for r in csv.DictReader(io.StringIO(client.fetch("/models.csv").text))}
    page = client.get("/models/?show=figures")
    for name, result in load_library(two_models).results.items():
        right = result.predicted == shipped.labels
        expected = accuracies(shipped, right)["cleaned"].accuracy.value
        assert float(rows[name]["cleaned"]) == pytest.approx(expected)
        assert f"{expected:.2%}" in page.text
    assert rows["resnet50-224"]["cleaned"] == ""


def test_the_report_of_a_quick_try_says_which_images_were_audited(
    client: PageClient, two_models: Flask, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = tiny_bundle.predictions
    quick = dataclasses.replace(
        tiny_bundle,
        card=tiny_bundle.card.model_copy(update={"name": "quick"}),
        predictions=dataclasses.replace(
            stored, test=stored.test[:50], test_labels=stored.test_labels[:50]
        ),
    )
    monkeypatch.setitem(load_library(two_models).results, "quick", Result(quick))
    page = client.get("/models/quick")
    assert "all 10,000 test images, and this model was measured on 50 of them." in page.text
    assert NO_AUDIT not in page.text


@pytest.fixture(scope="module")
def unaudited(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A site whose audit is damaged."""
    instance = tmp_path_factory.mktemp("unaudited")
    folder = instance / "data" / "cifar10"
    folder.mkdir(parents=True)
    for name in ("dataset.json", "test", "statistics.npz"):
        (folder / name).symlink_to(SHIPPED_DATA / "cifar10" / name)
    (folder / "audit.npz").write_bytes(b"nothing")
    return make_site(instance, MODELS_FOLDER=tiny_bundle.path.parent)


def test_without_an_audit_pages_say_why(unaudited: Flask) -> None:
    client = PageClient(unaudited.test_client())
    for address in ("/gallery/3", "/models/?show=figures", "/models/tiny"):
        page = client.get(address)
        assert (page.status, NO_AUDIT in page.text) == (200, True), address
    page = client.get("/gallery/")
    assert page.status == 200
    assert 'name="suspect"' not in page.html and "near-copy" not in page.text
    for query in ("suspect=yes", "copy=no", "sort=doubt"):
        page = client.get(f"/gallery/?{query}")
        assert (page.status, NO_AUDIT in page.text) == (404, True), query
    assert client.fetch("/models/tiny.json").get_json()["clean"] is None
    assert client.fetch("/gallery.json").get_json()["images"][0]["near_copy"] is None
    assert client.fetch("/gallery/copies/x/1.png").status_code == 404
