"""Signals outside of a training: the system's end a command at once, with a code that asks for another try."""

import os
import signal

import pytest

from semibench.harness.signals import InterruptedRunError, PreemptedRunError, Signalled, ending_at_once, number_of, stopped

OF_THE_SYSTEM = [signal.SIGTERM, signal.SIGUSR1]


def test_the_exit_codes_tell_user_and_system_apart() -> None:
    assert [stopped(number, "").exit_code for number in (signal.SIGINT, *OF_THE_SYSTEM)] == [130, 75, 75]


@pytest.mark.parametrize("number", OF_THE_SYSTEM, ids=lambda number: number.name)
def test_a_signal_ends_what_is_done_and_says_so(number: signal.Signals) -> None:
    with pytest.raises(PreemptedRunError, match=f"{number.name} while waiting. Give the same command again"):
        wait_for(number)


@ending_at_once("stopped by {} while waiting")
def wait_for(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    pytest.fail("it went on")


def test_what_catches_every_exception_does_not_take_a_signal_for_one() -> None:
    with pytest.raises(PreemptedRunError), ending_at_once("{}"):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception:
            pytest.fail("it was taken for an error of what was done")


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in OF_THE_SYSTEM]
    with ending_at_once("{}"):
        assert [signal.getsignal(number) for number in OF_THE_SYSTEM] != before
    assert [signal.getsignal(number) for number in OF_THE_SYSTEM] == before


def test_ctrl_c_is_left_to_itself() -> None:
    with pytest.raises(KeyboardInterrupt) as raised, ending_at_once("{}"):
        raise KeyboardInterrupt
    assert not isinstance(raised.value, Signalled)
    assert number_of(raised.value) == signal.SIGINT
    assert not isinstance(stopped(signal.SIGINT, ""), PreemptedRunError)
    assert issubclass(PreemptedRunError, InterruptedRunError)
