"""The simulation behind docs/scaling.md keeps to what queueing theory and the site's code say, and
the page shows what it gives."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path

import numpy as np
import pytest
from flask import Flask

from benchmarks.scaling import check, costs, plan
from benchmarks.scaling.autoscaling import Rule, simulate_scaling
from benchmarks.scaling.costs import as_busy, mean_costs
from benchmarks.scaling.crowding import fit_crowding
from benchmarks.scaling.simulation import Costs, Outcome, Settings, arrivals, simulate
from benchmarks.scaling.training import Link, Network
from webapp.limits.admission import DECODED_AT_ONCE
from webapp.serving.batching import MOST
from webapp.serving.classifier import AT_ONCE

NOTHING = Costs(decode=0, rest=0, batch=0, image=0, views=1, spread=0)
ROOMY = Settings(
    cores=1,
    workers=1,
    admitted=10**6,
    at_work=10**6,
    decoders=10**6,
    asked=1,
    most=1,
    seconds=1e6,
)


def mean(outcome: Outcome) -> float:
    return float(np.mean(outcome.seconds))


def test_who_shares_a_core_waits_as_long_as_theory_says() -> None:
    # Processor sharing: the service time over what is idle, whatever its distribution.
    found = simulate(arrivals(12, 400, seed=2), dataclasses.replace(NOTHING, decode=0.05), ROOMY)
    assert mean(found) == pytest.approx(0.05 / (1 - 0.6), rel=0.1)


def test_who_waits_for_the_network_waits_as_long_as_theory_says() -> None:
    # One at a time, each as long: Pollaczek and Khinchine's formula.
    found = simulate(arrivals(14, 400, seed=3), dataclasses.replace(NOTHING, image=0.05), ROOMY)
    assert mean(found) == pytest.approx(0.05 + 0.7 * 0.05 / (2 * (1 - 0.7)), rel=0.1)


def test_photos_that_cost_more_or_less_than_others_wait_as_long_as_theory_says() -> None:
    # The same formula: the mean square of a log-normal service time grows with its variation.
    photos = dataclasses.replace(NOTHING, image=0.05, variation=0.7)
    found = simulate(arrivals(10, 2000, seed=3), photos, ROOMY)
    waiting = 10 * 0.05**2 * math.exp(0.7**2) / (2 * (1 - 0.5))
    assert mean(found) == pytest.approx(0.05 + waiting, rel=0.1)


def test_batches_answer_what_one_by_one_could_not() -> None:
    network = dataclasses.replace(NOTHING, batch=0.04, image=0.005)
    times = arrivals(60, 20, seed=4)
    alone = simulate(times, network, ROOMY)
    batched = simulate(times, network, dataclasses.replace(ROOMY, most=16))
    assert alone.answered_by > 2 * 20 and batched.answered_by < 21
    assert batched.quantile(0.95) < 0.2


def test_a_call_that_cores_share_is_over_sooner() -> None:
    call = dataclasses.replace(NOTHING, image=0.1)
    two = dataclasses.replace(ROOMY, cores=2)
    (alone,) = simulate([0.0], call, two).seconds
    (shared,) = simulate([0.0], dataclasses.replace(call, spread=1.0), two).seconds
    assert [alone, shared] == pytest.approx([0.1, 0.05])


def test_only_who_finds_the_machine_idle_waits_until_it_is_awake() -> None:
    photo = dataclasses.replace(NOTHING, decode=0.1, waking=0.05)
    found = simulate([0.0, 0.1, 5.0], photo, dataclasses.replace(ROOMY, cores=2)).seconds
    assert found == pytest.approx([0.15, 0.1, 0.15])


def test_no_more_are_admitted_than_the_settings_say() -> None:
    found = simulate(
        [0.0] * 30, dataclasses.replace(NOTHING, decode=1.0), dataclasses.replace(ROOMY, admitted=8)
    )
    assert len(found.seconds) == 8 and len(found.refused) == 22


def test_who_waits_past_the_deadline_is_refused() -> None:
    found = simulate(
        [0.0] * 4,
        dataclasses.replace(NOTHING, decode=1.0),
        dataclasses.replace(ROOMY, decoders=1, seconds=1.5),
    )
    assert len(found.seconds) == 2 and len(found.refused) == 2


def test_a_core_is_quicker_while_the_other_rests() -> None:
    photo = dataclasses.replace(NOTHING, decode=0.06, crowding=1.5)
    two = dataclasses.replace(ROOMY, cores=2)
    alone = simulate([0.0], photo, two)
    assert alone.seconds == pytest.approx([0.04]) and alone.used == pytest.approx(0.04)
    both = simulate([0.0, 0.0], photo, two)
    assert both.seconds == pytest.approx([0.06, 0.06]) and both.used == pytest.approx(0.12)


def test_how_much_quicker_is_found_from_what_photos_took_at_some_loads() -> None:
    costs = dataclasses.replace(NOTHING, decode=0.06, variation=0.2)
    two = dataclasses.replace(ROOMY, cores=2)
    truth, loads = dataclasses.replace(costs, decode=0.08, crowding=1.4), []
    for rate in (5, 12, 18):
        times = arrivals(rate, 60, seed=rate)
        loads.append((times, simulate(times, truth, two, seed=99).used / len(times)))
    found = fit_crowding(costs, loads, two)
    assert found.crowding == pytest.approx(1.4, abs=0.11)
    assert found.photo == pytest.approx(0.08, rel=0.03)


def test_machines_are_added_until_they_are_enough_and_taken_away_when_it_is_calm() -> None:
    photo = dataclasses.replace(NOTHING, decode=0.1)
    settings = dataclasses.replace(ROOMY, cores=2, admitted=10)
    run = simulate_scaling(
        lambda time: 30.0 if 60 <= time < 300 else 3.0,
        30.0,
        1000.0,
        photo,
        settings,
        Rule(start=20.0),
        seed=1,
    )
    counts = dict(run.machines)
    assert counts[60.0] == 1
    # 30 photos a second are 3 processors of work: at 70 % in use those of about 2 or 3 machines.
    assert 2 <= max(count for time, count in run.machines if time < 300) <= 4
    assert run.machines[-1][1] == 1
    late = [time for time in run.refused if 180 < time < 300]
    assert len(late) < 0.02 * 30 * 120 < len(run.refused)


def test_the_simulated_site_has_the_settings_that_the_site_has(site: Flask) -> None:
    simulated, config = Settings(), site.config
    assert simulated.admitted == config["WORK_ADMITTED"]
    assert simulated.at_work == config["WORK_AT_ONCE"]
    assert simulated.seconds == config["WORK_SECONDS"]
    assert (simulated.decoders, simulated.most) == (DECODED_AT_ONCE, MOST)
    assert simulated.asked == AT_ONCE


def test_gradients_take_the_longer_the_more_add_them_up_up_to_twice_their_size() -> None:
    network = Network("net", 250_000, 1e9, 64, 1, 64)
    link = Link("a wire", 1e6)
    assert network.told(1, link) == 0
    assert network.told(2, link) == pytest.approx(1.0)
    assert network.told(1000, link) == pytest.approx(2.0, rel=0.01)
    assert network.told(8, link, divided_among=4) == pytest.approx(network.told(8, link) / 4)


def test_costs_that_were_measured_twice_are_their_mean() -> None:
    before = dataclasses.replace(NOTHING, decode=0.04, variation=0.1, views=4)
    after = dataclasses.replace(before, decode=0.06, variation=0.2)
    found = mean_costs([before, after])
    assert (found.decode, found.variation, found.views) == (0.05, 0.15, 4)


def test_a_busy_machine_spends_more_on_each_photo_and_as_long_on_one_that_comes_alone() -> None:
    costs = dataclasses.replace(NOTHING, decode=0.02, rest=0.01, image=0.02, waking=0.04)
    busy = as_busy(costs, 0.06)
    assert busy.photo == pytest.approx(0.06) and busy.decode == pytest.approx(0.024)
    (before,) = simulate([0.0], costs, Settings(cores=2)).seconds
    (after,) = simulate([0.0], busy, Settings(cores=2)).seconds
    assert after == pytest.approx(before)


def test_what_other_virtual_machines_take_counts_as_used(tmp_path: Path) -> None:
    table = tmp_path / "stat"
    for stolen, used in ((0, 300), (150, 450)):
        table.write_text(f"cpu  100 50 80 9000 700 40 30 {stolen} 0 0\ncpu0 1 1\n", "utf-8")
        assert costs.busy_seconds(table) == pytest.approx(used / os.sysconf("SC_CLK_TCK"))


def test_how_far_the_simulation_is_off_is_told_of_the_worst_figure() -> None:
    real = Outcome([0.0, 1.0], [0.1, 0.2])
    row = check.compare(2.0, [real], [Outcome([0.0, 1.0], [0.13, 0.2])])
    assert row["off"] == pytest.approx(max(0.165 / 0.15, 0.1965 / 0.195) - 1, abs=0.001)
    assert math.isclose(row["real_answered"], 2 / 1.2, rel_tol=0.001)


def test_what_chance_does_to_one_simulation_is_evened_out_by_others() -> None:
    real = Outcome([0.0, 1.0], [0.2, 0.2])
    draws = [Outcome([0.0, 1.0], [0.1, 0.1]), Outcome([0.0, 1.0], [0.3, 0.3])]
    row = check.compare(2.0, [real], draws)
    assert row["simulated_median"] == pytest.approx(0.2)
    assert row["simulated_answered"] == pytest.approx(4 / 2.4, abs=0.001)


def test_a_load_is_sent_in_turns_that_lose_no_photo() -> None:
    times = arrivals(7, 60, seed=3)
    turns = check.in_turns(times, 60)
    assert len(turns) == check.TURNS and all(turn.max() < 15 for turn in turns)
    again = [turn + 15 * number for number, turn in enumerate(turns)]
    assert np.concatenate(again) == pytest.approx(times)


def test_a_turn_is_simulated_on_a_machine_as_quick_as_it_was_then() -> None:
    costs, two = dataclasses.replace(NOTHING, decode=0.1, waking=0.02), Settings(cores=2)
    # While the processor was a quarter slower, which its photos show: one alone takes 0.15 s then.
    turn = check.Turn(np.array([0.0, 5.0]), Outcome([0.0, 5.0], [0.15, 0.15]), 0.125, 0.0)
    row = check.compare(2.0, [turn.real], turn.simulated(costs, two))
    assert row["off"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    "name",
    [
        # Half a minute of simulation.
        pytest.param(name, marks=pytest.mark.release) if name == "surge" else name
        for name in plan.TABLES
    ],
)
def test_the_page_shows_what_is_measured_and_calculated(name: str) -> None:
    page = plan.PAGE.read_text("utf-8")
    assert plan.put(page, name, plan.TABLES[name](costs.read())) == page, (
        "python -m benchmarks.scaling.plan --write"
    )
