"""Progress of a command: a bar where somebody looks on, plain lines in a log."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from webapp.cli.common import bars
from webapp.cli.common.bars import Bars


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal is sent."""
    sent = io.StringIO()
    monkeypatch.setattr(
        bars, "Console", lambda **_options: Console(file=sent, force_terminal=True, width=100)
    )
    return sent


def seconds_left_out(lines: str) -> str:
    return re.sub(r"\d+ s$", "- s", lines, flags=re.M)


def test_a_log_has_a_line_where_a_stage_begins_and_one_where_it_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Bars() as told:
        for done in (0, 3_200, 10_000):
            told.show("measuring test images", done, 10_000)
        told.echo("epoch 1")
        told.show("averaging test images", 500, 50_000)
    written = capsys.readouterr()
    assert written.out == "epoch 1\n"
    assert seconds_left_out(written.err) == (
        "measuring test images: 10,000 to do\n"
        "measuring test images: 10,000 of 10,000 done, - s\n"
        "averaging test images: 49,500 to do\n"
        "averaging test images: 500 of 50,000 done, - s\n"
    )


def test_a_log_says_now_and_then_how_far_a_long_stage_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 1000.0
    monkeypatch.setattr("webapp.cli.common.bars.time.monotonic", lambda: clock)
    with Bars() as told:
        for done in (100, 110, 120, 130, 1_100):
            told.show("training", done, 1_100)
            clock += 160
    assert capsys.readouterr().err == (
        "training: 1,000 to do\n"
        "training: 120 of 1,100, about 4.4 h left\n"
        "training: 1,100 of 1,100 done, 640 s\n"
    )


def test_the_time_left_is_told_at_the_pace_of_late(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 0.0
    monkeypatch.setattr("webapp.cli.common.bars.time.monotonic", lambda: clock)
    with Bars() as told:
        told.show("training", 0, 1_600)
        clock = 300
        told.show("training", 1_400, 1_600)  # The steps of a head.
        clock = 900
        told.show("training", 1_500, 1_600)  # Those of every layer.
    assert "1,500 of 1,600, about 10 min left" in capsys.readouterr().err


def test_a_terminal_has_a_bar_that_names_the_stage_and_says_how_far_it_is(
    screen: io.StringIO,
) -> None:
    with Bars() as told:
        told.show("measuring test images", 3_200, 10_000)
    assert "measuring test images" in screen.getvalue()
    assert "3,200 of 10,000" in screen.getvalue()


def test_each_stage_leaves_its_bar_and_the_next_has_its_own(screen: io.StringIO) -> None:
    with Bars() as told:
        told.show("training", 7, 7)
        told.show("measuring", 1, 2)
    assert screen.getvalue().index("7 of 7") < screen.getvalue().index("1 of 2")


def test_what_a_command_prints_to_a_file_is_not_caught_by_the_bar(
    screen: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    with Bars() as told:
        told.show("training", 1, 7)
        told.echo("epoch 1  loss 2.3 [bold]")
    assert capsys.readouterr().out == "epoch 1  loss 2.3 [bold]\n"
    assert "epoch" not in screen.getvalue()


def test_on_one_screen_it_stands_above_the_bar(
    screen: io.StringIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    with Bars() as told:
        told.show("training", 1, 7)
        told.echo("epoch 1  loss 2.3 [bold]")
    assert "epoch 1  loss 2.3 [bold]" in screen.getvalue()
    assert capsys.readouterr().out == ""


def test_a_stage_that_is_done_is_told_once_however_often_it_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Bars() as told:
        for done in (5, 9, 9, 9):
            told.show("downloading", done, 9)
    assert capsys.readouterr().err.count("downloading") == 2


def test_a_stage_that_begins_again_is_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as told:
        told.show("training", 22, 22)
        told.show("training", 1, 22)
    assert capsys.readouterr().err.count("to do") == 2


def test_counts_may_come_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as told:
        looking = told.each("looking", 30)
        looking(10)
        looking(10)
        told.until("comparing")(3, 3)
    assert "looking: 20 of 30 done" in capsys.readouterr().err
