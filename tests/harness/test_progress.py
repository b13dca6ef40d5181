import io

from rich.console import Console

from semibench.harness.progress import Meter


def plain() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=100)


def written(console: Console) -> str:
    return console.file.getvalue()


def test_without_a_terminal_the_end_of_each_title_is_a_line():
    console = plain()
    with Meter("masks", console) as meter:
        for done in (1, 2, 3):
            meter.show("prepare", done, 3)
    (line,) = written(console).splitlines()
    assert line.startswith("prepare: 3/3 masks")


def test_without_a_terminal_lines_come_now_and_then():
    console = plain()
    with Meter("masks", console, seconds_between_lines=0.0) as meter:
        meter.show("prepare", 1, 3)
        meter.show("prepare", 2, 3)
    assert len(written(console).splitlines()) == 2


def test_bytes_are_shown_in_millions_of_an_unknown_whole_too():
    console = plain()
    with Meter(console=console, seconds_between_lines=0.0) as meter:
        meter.show("fetch a.zip", 1_500_000, 3_000_000)
        meter.show("unpack a.zip", 1_500_000, None)
    first, second = written(console).splitlines()
    assert first.startswith("fetch a.zip: 1.5/3.0 MB")
    assert second.startswith("unpack a.zip: 1.5 MB")


def test_a_terminal_gets_a_bar_that_goes_away():
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Meter("masks", console) as meter:
        meter.show("prepare", 1, 3)
        meter.show("verify", 2, 3)
    assert "verify" in written(console)
    assert written(console).endswith("\x1b[2K")
