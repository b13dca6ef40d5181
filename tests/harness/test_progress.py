"""How far a long piece of work is: a bar on a terminal, plain lines elsewhere."""

import io
import re
from collections.abc import Callable

import pytest
from rich.console import Console

from semibench.harness.progress import Meter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the time, in seconds."""
    now = [0.0]
    monkeypatch.setattr("semibench.harness.progress.time.monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, seconds)


def plain() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=20)


def lines(console: Console) -> list[str]:
    return console.file.getvalue().splitlines()


def test_without_a_terminal_there_is_a_plain_line_now_and_then_with_rate_and_remaining_time(clock):
    console = plain()
    with Meter(console=console) as meter:
        for done in range(11):
            clock(4.0 * done)
            meter.show("shapes-16", done, 10, "loss 0.750")
    assert lines(console) == [
        "shapes-16: 4/10  0.2/s  loss 0.750  24 s left",
        "shapes-16: 8/10  0.2/s  loss 0.750  8 s left",
        "shapes-16: 10/10  0.2/s  loss 0.750",
    ]


def test_what_was_done_before_does_not_count_for_the_rate(clock):
    console = plain()
    with Meter(console=console) as meter:
        meter.show("t", 6, 10)
        clock(20.0)
        meter.show("t", 8, 10)
    assert lines(console) == ["t: 8/10  0.1/s  20 s left"]


def test_the_time_of_another_title_does_not_count_for_the_rate(clock):
    console = plain()
    with Meter(console=console) as meter:
        meter.show("train", 0, 100)
        clock(10.0)
        meter.show("evaluate", 0, 5)
        clock(11.0)
        meter.show("evaluate", 5, 5)
        meter.show("train", 50, 100)
        clock(21.0)
        meter.show("train", 60, 100)
    assert lines(console) == ["train: 60/100  1.0/s  40 s left"]


def test_bytes_are_shown_in_millions_of_an_unknown_whole_too(clock):
    console = plain()
    with Meter(in_bytes=True, console=console) as meter:
        meter.show("fetch a.zip", 0, 3_000_000)
        clock(3.0)
        meter.show("fetch a.zip", 3_000_000, 3_000_000)
        meter.show("unpack a.zip", 0, None)
        clock(33.0)
        meter.show("unpack a.zip", 1_500_000, None)
    assert lines(console) == ["fetch a.zip: 3.0/3.0 MB  1.0 MB/s", "unpack a.zip: 1.5 MB  0.1 MB/s"]


def test_a_terminal_gets_a_bar_that_goes_away_and_no_lines(capsys):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with Meter(console=console) as meter:
        meter.show("prepare", 1, 3)
        meter.show("verify", 2, 3, "loss 0.750")
        meter.bar.refresh()
    shown = console.file.getvalue()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert "verify" in text and "2/3" in text and "loss 0.750" in text
    assert shown.endswith("\x1b[2K")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("is_terminal", [True, False], ids=["terminal", "file"])
def test_a_meter_that_is_not_shown_writes_nothing(clock, is_terminal):
    console = Console(file=io.StringIO(), force_terminal=is_terminal)
    with Meter(is_shown=False, console=console) as meter:
        meter.show("prepare", 0, 3)
        clock(100.0)
        meter.show("prepare", 3, 3)
    assert console.file.getvalue() == ""
