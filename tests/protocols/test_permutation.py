import pickle

import numpy as np
import pytest

from semibench.errors import DataError
from semibench.protocols.permutation import read_permutation


class Evil:
    def __reduce__(self):
        return (open, ("harm", "w"))


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("dtype", ["<i8", ">i8", "<i4", ">i4"])
def test_a_pickled_array_of_integers_is_read(protocol, dtype):
    content = pickle.dumps(np.array([2, 0, 1], dtype), protocol)
    assert read_permutation(content, "order.pkl") == (2, 0, 1)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param([0, 1], "holds no array", id="list"),
        pytest.param({"a": 1}, "holds no array", id="dictionary"),
        pytest.param(np.array([0.0, 1.0]), "not of integers", id="floats"),
        pytest.param(np.array(["a", None], object), "not of integers", id="objects"),
        pytest.param(np.array([[0, 1]]), "too many values", id="two dimensions"),
        pytest.param(np.array([0, 0]), "each number from 0 to 1 once", id="repetition"),
        pytest.param(np.array([1, 2]), "each number from 0 to 1 once", id="other numbers"),
        pytest.param(np.dtype("i8"), "holds no array", id="type alone"),
    ],
)
def test_anything_else_is_refused(value, message):
    with pytest.raises(DataError, match=rf"order\.pkl .*{message}"):
        read_permutation(pickle.dumps(value), "order.pkl")


@pytest.mark.parametrize("value", [Evil(), [Evil()], np.array([Evil()], object)], ids=["alone", "in a list", "in an array"])
def test_nothing_that_a_pickle_asks_for_is_run(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"it asks for (_?io)\.open"):
        read_permutation(pickle.dumps(value), "order.pkl")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps(np.arange(3))[:-9]], ids=["empty", "text", "cut off"])
def test_a_damaged_file_is_refused(content):
    with pytest.raises(DataError, match=r"not a pickled permutation .* Use a plain text list"):
        read_permutation(content, "order.pkl")
