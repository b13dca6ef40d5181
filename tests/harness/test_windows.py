"""Which windows cover an image, and at what size it is shown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semibench.harness.windows import resized, windows
from semibench.protocols.protocol import EvaluationRule


def rule(**options):
    return EvaluationRule(mode="whole", select_on="val", report_on="val", **options)


def test_cut_windows_on_cityscapes_are_those_of_unimatch():
    found = windows((1024, 2048), (801, 801), (534, 534), "cut")
    rows, columns = [(0, 801), (534, 490)], [(0, 801), (534, 801), (1068, 801), (1602, 446)]
    assert found == [(top, left, height, width) for top, height in rows for left, width in columns]


def test_shifted_windows_on_cityscapes_are_those_of_unimatch_v2():
    found = windows((1024, 2048), (798, 798), (532, 532), "shift")
    assert [(window.top, window.left) for window in found] == [(y, x) for y in (0, 226) for x in (0, 532, 1064, 1250)]


@pytest.mark.parametrize("border", ["shift", "cut"])
def test_an_image_of_the_size_of_the_window_has_one_window(border):
    assert windows((8, 8), (8, 8), (8, 8), border) == [(0, 0, 8, 8)]


def test_a_window_larger_than_the_image_is_as_small_as_the_image():
    assert windows((5, 6), (8, 8), (4, 4), "shift") == [(0, 0, 5, 6)]


sizes = st.tuples(st.integers(1, 30), st.integers(1, 30))


@given(sizes, sizes, st.data(), st.sampled_from(["shift", "cut"]))
def test_windows_lie_inside_and_cover_every_pixel(size, window, data, border):
    stride = tuple(data.draw(st.integers(1, side)) for side in window)
    coverage = np.zeros(size, int)
    for top, left, height, width in windows(size, window, stride, border):
        assert top + height <= size[0] and left + width <= size[1]
        coverage[top : top + height, left : left + width] += 1
    assert coverage.min() > 0


@given(sizes, sizes, st.data())
def test_shifted_windows_are_distinct_and_of_full_size(size, window, data):
    stride = tuple(data.draw(st.integers(1, side)) for side in window)
    found = windows(size, window, stride, "shift")
    assert len(set(found)) == len(found)
    assert {(w.height, w.width) for w in found} == {(min(size[0], window[0]), min(size[1], window[1]))}


@pytest.mark.parametrize(
    "options, size, expected",
    [
        pytest.param({}, (375, 500), (375, 500), id="nothing"),
        pytest.param({"short_side": 512}, (375, 500), (512, 683), id="enlarged to the short side"),
        pytest.param({"short_side": 512}, (600, 800), (512, 683), id="reduced to the short side"),
        pytest.param({"multiple_of": 14}, (375, 500), (378, 504), id="nearest multiple"),
        pytest.param({"multiple_of": 14}, (7, 3), (14, 14), id="halves upward and never zero"),
        pytest.param({"short_side": 512, "multiple_of": 14}, (375, 500), (518, 686), id="short side, then multiple"),
    ],
)
def test_images_are_shown_at(options, size, expected):
    assert resized(size, rule(**options)) == expected
