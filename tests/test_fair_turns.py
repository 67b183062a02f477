"""Turns are given to who has few: one client that sends much does not keep the others waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from webapp.limits.fair import FairTurns

PATIENCE = 20.0


def waiting(turns: FairTurns, client: str, done: Callable[[str], None]) -> threading.Thread:
    """A request of `client` that waits for a turn, and keeps it."""
    before = len(turns._waiting)

    def work() -> None:
        assert turns.take(client, PATIENCE)
        done(client)

    thread = threading.Thread(target=work)
    thread.start()
    while len(turns._waiting) == before:
        time.sleep(0.001)
    return thread


def test_a_free_turn_goes_to_the_client_that_has_fewest() -> None:
    turns = FairTurns(2)
    order: list[str] = []
    assert turns.take("greedy", 0) and turns.take("greedy", 0)
    # Eight more of one client wait when another comes with its first.
    names = ["greedy"] * 8 + ["modest"]
    threads = [waiting(turns, name, order.append) for name in names]
    for number in range(1, len(names) + 1):
        turns.give_back("greedy")
        while len(order) < number:
            time.sleep(0.001)
    for thread in threads:
        thread.join(PATIENCE)
    assert order == ["modest"] + ["greedy"] * 8


def test_among_equals_whoever_has_waited_longest_is_next() -> None:
    turns = FairTurns(1)
    order: list[str] = []
    assert turns.take("first", 0)
    names = ["second", "third", "fourth"]
    threads = [waiting(turns, name, order.append) for name in names]
    for name in ["first", *names]:
        while name in names and name not in order:
            time.sleep(0.001)
        turns.give_back(name)
    for thread in threads:
        thread.join(PATIENCE)
    assert order == names


def test_who_waits_in_vain_takes_no_turn() -> None:
    turns = FairTurns(1)
    assert turns.take("one", 0)
    assert not turns.take("two", 0.01)
    with turns.turn("two", 0) as free:
        assert not free
    turns.give_back("one")
    with turns.turn("two", 0) as free:
        assert free
    assert turns.take("one", 0)


def test_who_has_a_turn_can_see_that_another_client_waits() -> None:
    turns = FairTurns(1)
    assert turns.take("one", 0) and not turns.is_wanted_beside("one")
    again = waiting(turns, "one", lambda _client: None)
    assert not turns.is_wanted_beside("one"), "its own next request is no reason to end"
    other = waiting(turns, "two", lambda _client: None)
    assert turns.is_wanted_beside("one")
    for thread in (again, other):
        turns.give_back("one")
        thread.join(PATIENCE)
