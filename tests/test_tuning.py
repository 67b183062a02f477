"""A search for better settings: its space, its trials, and that none is lost or counted twice."""

from __future__ import annotations

import dataclasses
import os
import secrets
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
import optuna
import psycopg
import pytest
from flask.testing import FlaskCliRunner
from optuna.trial import Trial, TrialState

from model_training.bundles.reading import read_bundle
from model_training.datasets.augmentation import Augmentation
from model_training.datasets.dataset import DataSet
from model_training.recipes import (
    RECIPES,
    Choice,
    Optimizer,
    Range,
    Recipe,
    Space,
    find_recipe,
)
from model_training.training import checkpoint, loop
from model_training.training.learning.outcome import Interrupted
from model_training.training.learning.watcher import Watcher
from model_training.training.loop import train
from model_training.training.options import Options, Parts
from model_training.tuning import trials as short_trainings
from model_training.tuning.record import StudyError, differences, find_record
from model_training.tuning.recording import trial_record
from model_training.tuning.search import Goal, Report, TrialStopped, TrialUnusable, Watch
from model_training.tuning.settings import with_values
from model_training.tuning.spaces import SpaceError, own_values, space_of
from model_training.tuning.storage import TURN, Database, StorageLost, fail, let_wait
from model_training.tuning.trials import ShortRuns
from tests import postgresql, studies
from tests.conftest import PROJECT, TINY, place_in
from tests.postgresql import Cluster
from tests.studies import ABOUT, compute, journal, make_study, recorded, search_in
from webapp.cli.tuning.studies import check_overridden, trial_of


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda one: one.name)
def test_every_recipe_has_a_space_around_its_own_settings(recipe: Recipe) -> None:
    bounds = space_of(recipe, 10_000)
    own = own_values(recipe, bounds)
    assert all(own[name] in one for name, one in bounds.items())
    assert "learning_rate" in bounds
    assert with_values(recipe, own) == recipe


def test_settings_change_a_recipe_and_earlier_phases_in_proportion() -> None:
    recipe = find_recipe("mobilenetv2-finetuned")
    head, small, large = recipe.phases
    values = {"learning_rate": 1e-4, "label_smoothing": 0.2, "augmentation": 2.0, "dropout": 0.5}
    changed = with_values(recipe, values | {"batch_size": 32.0})
    assert changed.phases[2].optimizer.learning_rate == pytest.approx(1e-4)
    assert changed.phases[0].optimizer.learning_rate == pytest.approx(1e-3)
    assert [phase.batch_size for phase in changed.phases] == [128, 32, 32]
    assert [phase.label_smoothing for phase in changed.phases] == [0, 0.2, 0.2]
    assert changed.phases[1].augmentation.shift == 2 * small.augmentation.shift
    assert changed.phases[1].augmentation.flip == small.augmentation.flip
    assert [phase.dropout.share(0, 3) for phase in changed.phases if phase.dropout] == [0.5] * 3
    assert large.dropout is None, "the recipe itself is as it was"


def test_a_setting_that_no_phase_has_is_given_to_the_last() -> None:
    bounds = {"label_smoothing": Range(0.0, 0.2), "weight_decay": Range(0.0, 0.1)}
    phase = dataclasses.replace(TINY.phases[0], label_smoothing=0.0, optimizer=Optimizer("sgd", 1))
    recipe = dataclasses.replace(TINY, phases=(phase, phase), space=Space(bounds))
    assert space_of(recipe, 1000, [*bounds]) == dict(reversed(bounds.items()))
    changed = with_values(recipe, {"label_smoothing": 0.1, "weight_decay": 0.01})
    assert changed.phases[0] == phase
    assert changed.phases[1].label_smoothing == 0.1
    assert changed.phases[1].optimizer.weight_decay == 0.01
    assert with_values(recipe, own_values(recipe, bounds)) == recipe


def test_an_augmentation_that_changes_nothing_is_refused() -> None:
    phase = dataclasses.replace(TINY.phases[0], augmentation=Augmentation())
    space = Space({"augmentation": Choice((0.5, 1.0, 2.0))})
    with pytest.raises(SpaceError, match="none of its phases varies its images"):
        space_of(dataclasses.replace(TINY, phases=(phase,), space=space), 1000)


def test_a_network_is_built_wider_and_varies_its_images_more() -> None:
    recipe = find_recipe("custom-cnn")
    changed = with_values(recipe, {"width": 0.5, "augmentation": 5 / 3})
    network = changed.build()
    assert network.get_layer("block1a_conv").filters == 32
    assert network.get_layer("dense").units == 64
    assert network.get_layer("shift").height_factor == pytest.approx(5.49 / 32)
    assert "up to 5 pixels" in changed.augmentation and changed.parameters is None
    assert recipe.prepare is not None
    assert with_values(recipe, {"augmentation": 0.0}).augmentation == "Horizontal flips."
    fast = with_values(find_recipe("fast-cnn"), {"width": 0.75})
    assert fast.build().get_layer("group2a_conv").filters == 192


def test_twice_an_augmentation_is_twice_each_of_its_changes() -> None:
    one = Augmentation(shift=2, flip="random", cutout=5, rotation=10, zoom=0.1)
    more = one.times(1.5)
    assert more == Augmentation(3, "random", 8, rotation=15, zoom=0.1 * 1.5)
    assert not one.times(0).varies and one.times(0).flip == "random"


def test_batches_leave_some_steps_in_an_epoch() -> None:
    assert space_of(find_recipe("custom-cnn"), 3_000)["batch_size"] == Choice((64.0, 128.0, 256.0))
    assert space_of(find_recipe("custom-cnn"), 10_000)["batch_size"] == Choice(
        (64.0, 128.0, 256.0, 512.0)
    )


def test_a_space_with_one_value_is_refused() -> None:
    one = dataclasses.replace(TINY, space=Space({"dropout": Choice((1.0,))}))
    assert "dropout" not in space_of(one, 1000)
    with pytest.raises(SpaceError, match="nothing to search: dropout can have one value only"):
        space_of(one, 1000, ["dropout"])
    with pytest.raises(SpaceError, match=r"nothing that is called width. A search can change lear"):
        space_of(TINY, 1000, ["width"])
    with pytest.raises(ValueError, match="no setting is called depth"):
        Space({"depth": Choice((1.0, 2.0))})


def test_a_search_finds_better_settings_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = make_study(tmp_path, trials=8)
    assert first.finished == 8 and first.trials[0].own
    assert first.trials[0].values == studies.OWN
    again = make_study(tmp_path, trials=8)
    assert again.trials == first.trials, "as many as were asked for are there"
    more = make_study(tmp_path, trials=20)
    assert more.trials[:8] == first.trials and more.finished == 20
    assert len({str(one.values) for one in more.trials}) == 20, "none was drawn twice"
    assert more.best and more.own and more.best.accuracy and more.own.accuracy
    assert more.best.accuracy > more.own.accuracy
    assert next(iter(more.importance)) == "learning_rate"
    assert sum(more.importance.values()) == pytest.approx(1, abs=0.01)
    early = [one for one in more.trials if one.state == "pruned"]
    assert early and all(0 < len(one.accuracies) < studies.EPOCHS for one in early)
    assert find_record(tmp_path, "some") == more


def test_ctrl_c_keeps_what_is_finished_and_the_trial_is_begun_again(tmp_path: Path) -> None:
    store, begun = journal(tmp_path), list[Mapping[str, float]]()

    def stopped_in_the_third(values: Mapping[str, float], report: Report) -> float:
        begun.append(values)
        if len(begun) == 3:
            report(1, 0.1)
            raise TrialStopped
        return compute(values, report)

    search = search_in(store)
    with pytest.raises(TrialStopped):
        search.run(Goal(5), stopped_in_the_third, Watch())
    store.close()
    record = make_study(tmp_path, trials=5)
    assert [one.state for one in record.trials].count("failed") == 1
    assert record.finished == 5, "the one that was stopped does not count"
    assert record.trials[3].values == begun[2] and record.trials[3].retry == 0


@pytest.mark.parametrize("later", [None, KeyboardInterrupt], ids=["goes on", "is stopped"])
def test_settings_of_a_worker_that_was_taken_for_lost_wait_once(
    tmp_path: Path, later: type[BaseException] | None
) -> None:
    store = journal(tmp_path)
    search = search_in(store)

    def lost(values: Mapping[str, float], report: Report) -> float:
        report(1, 0.1)
        # Meanwhile another worker hears no sign of life.
        (running,) = search.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        fail(search.study, running)
        if later is not None:
            raise later
        report(2, 0.2)
        raise AssertionError("a trial that is over takes no report")

    work = iter([lost, compute, compute, compute])
    with suppress(KeyboardInterrupt):
        search.run(Goal(2), lambda values, report: next(work)(values, report), Watch())
    search.run(Goal(2), compute, Watch())
    record = recorded(search)
    store.close()
    assert [one.state for one in record.trials] == ["failed", "complete", "complete"]
    assert record.trials[1].values == record.trials[0].values
    assert record.trials[2].values != record.trials[1].values


def test_ctrl_c_never_gives_settings_up(tmp_path: Path) -> None:
    def stopped(values: Mapping[str, float], report: Report) -> float:
        raise KeyboardInterrupt

    for _time in range(6):
        with pytest.raises(KeyboardInterrupt):
            make_study(tmp_path, trials=1, work=stopped)
    record = make_study(tmp_path, trials=1)
    assert record.own and record.own.number == 6, "the recipe's own settings are still the first"


def test_a_killed_search_leaves_nothing_half_written(tmp_path: Path) -> None:
    make_study(tmp_path, trials=3)
    store = journal(tmp_path)
    trial, _running = search_in(store)._next(Goal(4))
    assert trial is not None
    store.close()  # As if it had been killed in that trial, while it wrote a line.
    with (tmp_path / "some.log").open("ab") as file:
        file.write(b'{"op_code":6,"wor')
    record = make_study(tmp_path, trials=4)
    assert record.finished == 4 and record.count("running") == 0
    assert record.trials[4].values == trial.params and record.trials[4].retry == 1


def test_a_trial_that_was_lost_before_it_had_all_its_settings_is_tried_with_all() -> None:
    fixed = {"width": 1.0, "dropout": 0.5}
    lost = optuna.trial.create_trial(
        state=optuna.trial.TrialState.FAIL,
        params={"width": 1.0},
        distributions={"width": optuna.distributions.FloatDistribution(0.5, 2.0)},
        system_attrs={"fixed_params": fixed},
    )
    study = optuna.create_study()
    let_wait(study, lost)
    assert study.trials[0].system_attrs["fixed_params"] == fixed
    lost.number = 0
    assert trial_record(lost).values == fixed


def test_settings_at_which_workers_die_are_given_up(tmp_path: Path) -> None:
    for _attempt in range(4):
        store = journal(tmp_path)
        search = search_in(store)
        assert search._next(Goal(1))[0] is not None
        store.close()
    record = make_study(tmp_path, trials=1)
    assert [one.retry for one in record.trials] == [0, 1, 2, 3, 0]
    assert record.finished == 1 and not record.trials[-1].own


@pytest.mark.parametrize("line", ["null", "5", "[]", '{"op_code": 99, "worker_id": "one"}', "{}"])
def test_a_journal_with_a_line_of_something_else_is_named(tmp_path: Path, line: str) -> None:
    make_study(tmp_path, trials=1)
    with (tmp_path / "some.log").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(StorageLost, match=r"some.log cannot be read .* Move it away"):
        journal(tmp_path)


def test_two_searches_do_not_share_a_file(tmp_path: Path) -> None:
    store = journal(tmp_path)
    with pytest.raises(StudyError, match="Another `flask tune` is working on the study some"):
        journal(tmp_path)
    store.close()
    journal(tmp_path).close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe": "fast-cnn"}, "recipe: custom-cnn, and now fast-cnn"),
        ({"data_digest": "1" * 64}, "data set: CIFAR-10 (00000000), and now CIFAR-10 (11111111)"),
        ({"bounds": {"width": ["choice", 1.0, 2.0]}}, "and now width choice 1.0 2.0"),
        ({"epochs": 9}, "epochs a trial: 3, and now 9"),
        ({"images": 900}, "images a trial: 5,000, and now 900"),
    ],
)
def test_a_study_of_something_else_is_refused(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    make_study(tmp_path, trials=1)
    store = journal(tmp_path)
    with pytest.raises(StudyError) as error:
        search_in(store, about=ABOUT.model_copy(update=change))
    assert words in str(error.value) and "another name with --study" in str(error.value)
    store.close()


def test_a_journal_that_goes_away_in_a_trial_is_noticed(tmp_path: Path) -> None:
    store = journal(tmp_path)
    search = search_in(store)

    def loses_it(values: Mapping[str, float], report: Report) -> float:
        (tmp_path / "some.log").unlink()
        return compute(values, report)

    with pytest.raises(StorageLost, match=r"could not be written .* same command to go on"):
        search.run(Goal(2), loses_it, Watch())
    store.close()
    assert not (tmp_path / "some.log").exists(), "no half of a study is left to be read"


def test_settings_that_cannot_be_used_count_and_are_not_tried_again(tmp_path: Path) -> None:
    def diverges(values: Mapping[str, float], report: Report) -> float:
        raise TrialUnusable("it diverged")

    record = make_study(tmp_path, trials=3, work=diverges)
    assert [(one.state, one.reason) for one in record.trials] == [("pruned", "it diverged")] * 3
    assert record.best is None
    with pytest.raises(StudyError, match="no complete trial yet.*Go on with `flask tune"):
        record.tuned()


def test_no_trial_begins_after_the_time_is_over(tmp_path: Path) -> None:
    store = journal(tmp_path)
    search = search_in(store)
    search.run(Goal(None, minutes=1e-9), compute, Watch())
    assert recorded(search).finished == 0
    store.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///some.sqlite", "takes the address of a PostgreSQL database"),
        ("somewhere", "takes the address of a PostgreSQL database"),
        ("postgresql://me:secret@127.0.0.1:1/none", "127.0.0.1:1/none does not answer"),
        ("postgresql://127.0.0.1:1/none?user=me&password=secret", "1/none does not answer"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(url: str, words: str) -> None:
    with pytest.raises(StudyError, match=words) as error:
        Database(url, "some")
    assert "secret" not in str(error.value)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if postgresql.INITDB is None:
        pytest.skip("PostgreSQL is not installed")
    with postgresql.cluster() as made:
        yield made


@pytest.fixture
def database(cluster: Cluster) -> str:
    name = f"studies_{secrets.token_hex(4)}"
    cluster.run(f"CREATE DATABASE {name}")
    return cluster.url(name)


def test_of_three_workers_one_is_killed_in_a_trial_and_nothing_is_lost(database: str) -> None:
    trials = 12
    command = [sys.executable, "-m", "tests.studies", database, str(trials)]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    workers = [
        subprocess.Popen(
            [*command, how],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for how in ("hangs", "works", "works")
    ]
    try:
        for one in workers:
            assert one.stdin and one.stdout
            assert one.stdout.readline() == "ready\n"
        for one in workers:
            assert one.stdin
            one.stdin.write("go\n")
            one.stdin.flush()
        killed = workers[0]
        assert killed.stdout and killed.stdout.readline() == "in a trial\n"
        killed.kill()
        assert [one.wait(120) for one in workers[1:]] == [0, 0]
    finally:
        for one in workers:
            one.kill()
            one.communicate()
    store = Database(database, "shared")
    record = recorded(search_in(store, "shared"))
    store.close()
    assert record.finished == trials, "none is lost, and none too many"
    assert record.count("running") == record.count("waiting") == 0
    counted = [one.values for one in record.trials if one.is_finished]
    assert len({str(values) for values in counted}) == trials, "none counts twice"
    # One that hangs for seconds on a busy machine may be taken for lost as well.
    lost = [one for one in record.trials if one.state == "failed"]
    assert 0.1 in [one.accuracy for one in lost], "the one that was killed"
    again = {str(one.values) for one in record.trials if one.is_finished and one.retry}
    assert again == {str(one.values) for one in lost}


@pytest.mark.release
def test_three_commands_train_for_one_study_and_one_is_killed(
    database: str, few_data: DataSet, tmp_path: Path
) -> None:
    arrays, folder = tmp_path / "few.npz", tmp_path / "studies"
    np.savez(
        arrays,
        x_train=few_data.train.images[:400],
        y_train=few_data.train.labels[:400],
        x_test=few_data.test.images[:50],
        y_test=few_data.test.labels[:50],
    )
    settings = {"FLASK_APP": "wsgi", "TENCLASSES_STUDIES_STORAGE": database}
    settings |= {f"TENCLASSES_{name}_FOLDER": str(tmp_path) for name in ("DATA", "TRAINING")}
    environment = os.environ | settings | {"TENCLASSES_STUDIES_FOLDER": str(folder)}
    command = ["tune", "cnn-mish", "--data", arrays, "--limit", "200", "--epochs", "1"]
    command += ["--trials", "5", "--heartbeat", "2", "--only", "learning_rate"]
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "flask", *map(str, command)],
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _worker in range(3)
    ]
    try:
        killed = None
        with psycopg.connect(database, autocommit=True) as connection:
            while killed is None:
                assert all(one.poll() is None for one in workers), "nobody was in a trial"
                killed = next((one for one in workers if is_in_a_trial(connection, one.pid)), None)
        killed.kill()
        left = [one for one in workers if one is not killed]
        said = [one.communicate(timeout=600)[0] for one in left]
    finally:
        for one in workers:
            one.kill()
            one.communicate()
    assert [one.returncode for one in left] == [0, 0], said
    record = find_record(folder, "cnn-mish-few")
    assert record.finished == 5 and record.count("running") == record.count("waiting") == 0
    lost = {str(one.values) for one in record.trials if one.state == "failed"}
    again = {str(one.values) for one in record.trials if one.is_finished and one.retry}
    assert lost and again == lost


def is_in_a_trial(connection: psycopg.Connection[Any], process: int) -> bool:
    """Whether a trial is going on in `process`, as the study's database has it."""
    try:
        found = connection.execute(
            "SELECT count(*) FROM trials JOIN trial_user_attributes USING (trial_id) "
            "WHERE state = 'RUNNING' AND key = 'worker' AND value_json LIKE %s",
            [f'%:{process}"'],
        ).fetchone()
    except psycopg.errors.UndefinedTable:  # Nobody has got that far.
        return False
    return bool(found and found[0])


def test_a_database_may_be_restarted_in_a_trial(database: str, cluster: Cluster) -> None:
    store = Database(database, "some", heartbeat=1)
    search = search_in(store)
    back = threading.Timer(1.0, cluster.start)

    def restarts() -> None:
        cluster.stop()
        back.start()

    restart = studies.times(restarts, 2)

    def work(values: Mapping[str, float], report: Report) -> float:
        restart()
        return compute(values, report)

    search.run(Goal(3), work, Watch())
    back.join()
    record = recorded(search)
    store.close()
    assert record.finished == 3 and record.count("failed") == 0


def test_a_worker_that_waits_for_its_turn_outlives_its_connection(database: str) -> None:
    store = Database(database, "some", heartbeat=1)
    search, begun = search_in(store), list[Trial | None]()
    with psycopg.connect(database) as other, psycopg.connect(database, autocommit=True) as watch:
        other.execute("SELECT pg_advisory_xact_lock(%s, hashtext('some'))", [TURN])
        waiting = threading.Thread(target=lambda: begun.append(search._next(Goal(3))[0]))
        waiting.start()
        ended = None
        while ended is None:
            ended = watch.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE wait_event_type = 'Lock' AND wait_event = 'advisory'"
            ).fetchone()
        assert not begun
    waiting.join(timeout=30)
    assert begun and begun[0] is not None
    assert recorded(search).count("running") == 1
    store.close()


def test_a_database_that_goes_away_in_a_trial_ends_the_search_with_a_sentence(
    database: str, cluster: Cluster
) -> None:
    store = Database(database, "some", heartbeat=1, patience=0.2)
    search = search_in(store)
    goes = studies.times(cluster.stop, 2)

    def work(values: Mapping[str, float], report: Report) -> float:
        goes()
        return compute(values, report)

    try:
        with pytest.raises(StorageLost, match=r"went away .* finished trial is in it. .* once"):
            search.run(Goal(3), work, Watch())
    finally:
        store.close()
        cluster.start()
    store = Database(database, "some", heartbeat=1)
    search = search_in(store)
    search.run(Goal(3), compute, Watch())  # It waits until the lost one is given up.
    record = recorded(search)
    store.close()
    assert record.finished == 3 and record.count("failed") == 1


class Untouchable:
    """Test images at which a search must not look."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"somebody asked for {name} of the test images")

    def __len__(self) -> int:
        raise AssertionError("somebody counted the test images")


def test_a_trial_is_judged_on_validation_images_and_looks_at_no_test_image(
    few_data: DataSet, tmp_path: Path
) -> None:
    data = dataclasses.replace(few_data, test=Untouchable())  # type: ignore[arg-type]
    runs = ShortRuns.of(TINY, data, Options(epochs=2), 300, tmp_path / "features", tmp_path / "run")
    bounds, own = runs.space()
    about = runs.about(bounds)
    assert (about.images, about.validation_images, about.epochs) == (300, 81, 2)
    told: list[tuple[int, float]] = []
    reached = runs.train(own, lambda epoch, accuracy: told.append((epoch, accuracy)), lambda: False)
    assert [epoch for epoch, _accuracy in told] == [1, 2] and reached == told[-1][1]
    assert reached * 81 == pytest.approx(round(reached * 81), abs=1e-3)
    with pytest.raises(TrialStopped):
        runs.train(own, lambda epoch, accuracy: None, lambda: True)
    with pytest.raises(TrialUnusable, match="diverged"):
        runs.train(own | {"learning_rate": 1e30}, lambda epoch, accuracy: None, lambda: False)
    assert list((tmp_path / "run").iterdir()) == [], "nothing is left of a trial"


def test_trials_that_begin_with_other_weights_are_not_compared(
    few_data: DataSet, tmp_path: Path
) -> None:
    abouts = []
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        options = Options(epochs=1, weights=tmp_path / name)
        runs = ShortRuns.of(TINY, few_data, options, 200, tmp_path / "kept", tmp_path / "run")
        abouts.append(runs.about(runs.space()[0]))
    one, other = abouts
    assert not differences(one, one.model_copy()) and list(differences(one, other)) == [
        "first weights"
    ]


def test_a_recipe_without_epochs_to_spare_keeps_them() -> None:
    assert short_trainings.short_epochs(find_recipe("custom-cnn")) == 4
    assert short_trainings.short_epochs(TINY) == 2


# The commands.


def words_of(runner: FlaskCliRunner, *arguments: str, fails: bool = False) -> str:
    result = runner.invoke(args=list(arguments))
    assert (result.exit_code != 0) == fails, result.output
    return " ".join(result.output.split())


@pytest.fixture
def data_at_hand(few_data: DataSet, at_hand: Callable[[DataSet], None]) -> DataSet:
    at_hand(few_data)
    return few_data


SHORT = ("--limit", "300", "--epochs", "1", "--only", "learning_rate", "--only", "batch_size")


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_tune_then_train_with_what_was_found(runner: FlaskCliRunner) -> None:
    instance = Path(runner.app.instance_path)
    said = words_of(runner, "tune", "tiny", "--trials", "2", *SHORT)
    assert "2 trials, each 1 epoch of Tiny network on 300 images of CIFAR-10, judged on 81" in said
    assert "searching learning_rate, batch_size" in said
    assert "trial 0 0." in said and "trial 1 " in said and "--from-study tiny" in said
    record = find_record(instance / "studies", "tiny")
    assert record.finished == 2
    assert record.command == f"flask tune tiny --trials 4 {' '.join(SHORT)}"
    said = words_of(runner, "tune", "tiny", "--trials", "3", *SHORT)
    assert "3 trials, 2 of them before" in said and "trial 2 " in said
    best = find_record(instance / "studies", "tiny").best
    assert best is not None
    said = words_of(
        runner, "train", "tiny", "--from-study", "tiny", "--epochs", "1", "--report-only"
    )
    assert f"settings of trial {best.number} of the study tiny: learning rate" in said
    card = read_bundle(instance / "models" / "tiny-tuned").card
    tuned = card.training.tuned
    assert tuned and (tuned.study, tuned.trial, tuned.trials) == ("tiny", best.number, 3)
    assert tuned.values == best.values and tuned.accuracy == best.accuracy
    assert card.training.batch_size == best.values["batch_size"]
    assert f"{best.values['learning_rate']:g}" in card.training.optimizer
    assert card.title == "Tiny network, tuned settings"
    assert f"--from-study tiny --trial {best.number}" in card.training.command
    said = words_of(runner, "train", "tiny", "--from-study", "tiny", "--trial", "7", fails=True)
    assert "Trial 7 of the study tiny does not exist. Complete are: 0" in said


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> Callable[[float | Exception], None]:
    """Returns what says how every trial ends, and lets none be trained."""

    def end(how: float | Exception) -> None:
        def train(*_arguments: object, **_options: object) -> float:
            if isinstance(how, Exception):
                raise how
            return how

        monkeypatch.setattr(ShortRuns, "train", train)

    return end


@pytest.mark.usefixtures("tiny_recipe")
def test_the_commands_that_a_study_shows_can_be_given(
    runner: FlaskCliRunner,
    few_data: DataSet,
    tmp_path: Path,
    untrained: Callable[[float | Exception], None],
) -> None:
    arrays = tmp_path / "my own" / "photos.npz"
    arrays.parent.mkdir()
    images, labels = few_data.train.images[:400], few_data.train.labels[:400]
    np.savez(arrays, x_train=images, y_train=labels, x_test=images[:50], y_test=labels[:50])
    folder = Path(runner.app.instance_path) / "studies"
    untrained(TrialUnusable("it diverged"))
    said = words_of(runner, "tune", "tiny", "--data", str(arrays), "--trials", "2")
    record = find_record(folder, "tiny-photos")
    assert record.command == f"flask tune tiny --trials 4 --data '{arrays}'"
    assert f"To go on: `{record.command}`" in said
    untrained(0.5)
    said = words_of(runner, *shlex.split(record.command)[1:])
    assert "4 trials, 2 of them before" in said
    record = find_record(folder, "tiny-photos")
    assert record.finished == 4 and "--trials 8" in record.command
    assert record.train_command == f"flask train tiny --data '{arrays}' --from-study tiny-photos"
    assert f"`{record.train_command}` trains with the best settings" in said


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_trials_that_were_interrupted_are_not_counted_as_those_before(
    runner: FlaskCliRunner, untrained: Callable[[float | Exception], None]
) -> None:
    untrained(TrialStopped())
    for _time in range(2):
        said = words_of(runner, "tune", "tiny", "--minutes", "9", *SHORT, fails=True)
        assert "0 finished trials are kept" in said
    record = find_record(Path(runner.app.instance_path) / "studies", "tiny")
    assert record.command == f"flask tune tiny --minutes 9 {' '.join(SHORT)}"
    untrained(0.5)
    said = words_of(runner, "tune", "tiny", "--trials", "1", *SHORT)
    assert "The study tiny: 1 trial, each 1 epoch" in said
    assert "2 were interrupted, and their settings tried again" in said


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_what_cannot_be_searched_is_said(
    runner: FlaskCliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: str) -> str:
        return words_of(runner, *arguments, fails=True)

    assert "Did you mean custom-cnn" in refused("tune", "costum-cnn")
    assert "Which recipe?" in refused("tune")
    assert "a study's name has lower-case letters" in refused("tune", "tiny", "--study", "A b")
    assert "does not end in .json" in refused("tune", "tiny", "--study", "x.json")
    assert "does not end in .log" in refused("tune", "tiny", "--study", "x.log")
    assert "nothing that is called width" in refused("tune", "tiny", "--only", "width")
    assert "address of a PostgreSQL database" in refused("tune", "tiny", "--storage", "a.db")
    assert "takes no --weights" in refused("tune", "tiny", "--weights", "x.h5")
    assert "A batch of fast-cnn has 1,024 images" in refused("tune", "fast-cnn", "--limit", "200")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "needs Optuna: `pip install -r requirements-tune.txt`" in refused("tune", "tiny")


@pytest.mark.usefixtures("data_at_hand", "tiny_recipe")
def test_a_study_that_does_not_fit_a_training_is_refused(
    runner: FlaskCliRunner, few_data: DataSet
) -> None:
    folder = Path(runner.app.instance_path) / "studies"
    make_study(folder, "other", trials=1)
    make_study(folder, "begun", trials=0, about=ABOUT.model_copy(update={"recipe": "tiny"}))
    about = ABOUT.model_copy(update={"recipe": "tiny", "data_title": "Some photos"})
    make_study(folder, "photos", trials=1, about=about)
    (folder / "torn.json").write_text('{"schema_version": 1, "name"')

    def refused(*arguments: str) -> str:
        return words_of(runner, "train", "tiny", *arguments, fails=True)

    assert "searched settings for custom-cnn, not for tiny" in refused("--from-study", "other")
    assert "no complete trial yet" in refused("--from-study", "begun")
    said = refused("--from-study", "photos", "--epochs", "1")
    assert "for the images of Some photos, and these of CIFAR-10 are others" in said
    said = refused("--from-study", "nothing")
    assert "no study called nothing here. Available: begun, other, photos, torn." in said
    assert "torn cannot be read" in refused("--from-study", "torn")
    assert "give --from-study too" in refused("--trial", "1")


def test_an_option_does_not_override_what_a_study_found(tmp_path: Path) -> None:
    tuned = make_study(tmp_path, trials=1).tuned(0)
    recipe = dataclasses.replace(
        TINY, tuned=dataclasses.replace(tuned, values={"batch_size": 32.0})
    )
    with pytest.raises(click.UsageError, match="--batch-size would override"):
        check_overridden(recipe, {"batch_size": 64, "augmentation": None})
    check_overridden(recipe, {"batch_size": None, "augmentation": "none"})
    check_overridden(TINY, {"batch_size": 64, "augmentation": "none"})


def test_a_training_goes_on_with_the_trial_that_it_began_with(
    few_data: DataSet, tmp_path: Path
) -> None:
    tuned = make_study(tmp_path, trials=2).tuned(1)
    place, parts = place_in(tmp_path), Parts.of(few_data, Options())
    with pytest.raises(Interrupted):
        train(
            dataclasses.replace(TINY, tuned=tuned),
            TINY.phases,
            0,
            parts.fit,
            parts.validation,
            place,
            stop=lambda: True,
        )
    assert trial_of(place.state, "some", None) == 1, "whatever is the best by now"
    assert trial_of(place.state, "some", 0) == 0
    assert trial_of(place.state, "another", None) is None
    assert checkpoint.read_state(place.state).settings["tuned"]["values"] == tuned.values


def test_a_trial_says_that_it_waits_for_the_features_of_another_training(
    few_data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, waited = loop.train, list[str]()

    def wait_first(*arguments: Any, watcher: Watcher, **options: Any) -> Any:
        watcher.on_wait()
        return real(*arguments, watcher=watcher, **options)

    monkeypatch.setattr(loop, "train", wait_first)
    runs = ShortRuns.of(TINY, few_data, Options(epochs=1), 200, tmp_path / "kept", tmp_path / "run")
    _bounds, own = runs.space()
    runs.train(
        own, lambda epoch, accuracy: None, lambda: False, on_wait=lambda: waited.append("once")
    )
    assert waited == ["once"]


def test_a_study_whose_trials_could_not_learn_a_class_is_refused(
    few_data: DataSet, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"Among 8 images there is none of 2 of the .* classes"):
        ShortRuns.of(TINY, few_data, Options(epochs=1), 8, tmp_path / "kept", tmp_path / "run")


def test_a_layer_that_drops_out_keeps_its_own_rate_when_a_training_is_over(
    few_data: DataSet, tmp_path: Path
) -> None:
    layer = keras.layers.Dropout(0.4)
    network = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), layer])
    network.add(keras.layers.Dense(10, activation="softmax"))
    rates: list[float] = []
    recipe = dataclasses.replace(
        TINY, build=lambda classes=10: network, parameters=None, space=Space()
    )
    runs = ShortRuns.of(
        recipe, few_data, Options(epochs=1), 200, tmp_path / "features", tmp_path / "run"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.backend, "clear_session", lambda: None)
        runs.train(
            {"dropout": 0.5},
            lambda epoch, accuracy: rates.append(layer.rate),
            lambda: False,
        )
    assert rates == [0.2] and layer.rate == 0.4
