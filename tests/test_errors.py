import pickle

import pytest

from semibench.errors import DataError, NotConformantError, RunFailedError, SemibenchError, UsageError, unknown

CODES = {RunFailedError: 1, UsageError: 2, NotConformantError: 3, DataError: 4}


@pytest.mark.parametrize(("kind", "code"), CODES.items())
def test_every_kind_of_error_has_its_exit_code(kind, code):
    assert issubclass(kind, SemibenchError)
    assert kind.exit_code == code


def test_an_error_reads_as_what_was_wrong_and_what_to_do():
    assert str(UsageError("seed '-1' is negative", "Give a number from 0.")) == "seed '-1' is negative. Give a number from 0."


@pytest.mark.parametrize("kind", CODES)
def test_an_error_survives_the_way_from_one_process_to_another(kind):
    error = pickle.loads(pickle.dumps(kind("file a.png cannot be decoded", "Download it again.")))
    assert (type(error), error.what, error.next_step) == (kind, "file a.png cannot be decoded", "Download it again.")


def test_an_unknown_name_comes_with_the_nearest_ones():
    error = unknown("method", "fixmach", ["unimatch", "supervised", "fixmatch"], "Run 'semibench list methods'.")
    assert error.what.startswith("method 'fixmach' not found; nearest: fixmatch")
    assert error.next_step == "Run 'semibench list methods'."


def test_a_name_like_no_other_comes_with_some_that_exist():
    assert unknown("method", "xyz", ["b", "a"], "").what == "method 'xyz' not found; nearest: a, b"


def test_an_unknown_name_among_none_has_no_hint():
    assert unknown("method", "xyz", [], "").what == "method 'xyz' not found"
