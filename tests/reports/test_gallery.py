"""Which images are shown, and what of a folder of pictures is taken into a page."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from semibench.errors import DataError
from semibench.reports import gallery
from semibench.reports.gallery import choose, embed


def _png(value=0):
    file = io.BytesIO()
    Image.fromarray(np.full((2, 2, 3), value, np.uint8)).save(file, format="PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    """A gallery of one image under one run."""
    for name in ("image", "truth", "labels"):
        (tmp_path / f"{name}.png").write_bytes(_png())
    picture = {"id": "a", "reason": "best", "image": "image.png", "truth": "truth.png"}
    index = {
        "protocol": "voc-92", "digest": "a" * 64, "dataset": "voc", "synthetic": False, "checkpoint": "last",
        "runs": [{"run_id": "f" * 64, "method": "fixmatch", "seed": 0}],
        "pictures": [picture | {"overlays": [{"file": "labels.png", "iou": 0.5}]}],
        "legend": [{"name": "ring", "rgb": [1, 2, 3]}],
    }  # fmt: skip
    (tmp_path / "gallery.json").write_text(json.dumps(index))
    return tmp_path


def _change(folder, *path, to):
    index = json.loads((folder / "gallery.json").read_text())
    place = index
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    (folder / "gallery.json").write_text(json.dumps(index))


def test_best_worst_and_disputed_are_different_images_of_all_runs():
    iou = np.array([[0.5, 0.9, 0.1, 0.2, np.nan, 0.5], [0.5, 0.9, 0.1, 0.8, 0.5, 0.6]])
    assert choose(iou, 1) == [(1, "best"), (2, "worst"), (3, "disputed")]
    assert sorted(place for place, _ in choose(iou, 9)) == [0, 1, 2, 3, 5]


def test_one_run_disputes_nothing():
    assert choose(np.array([[0.1, 0.2, 0.3]]), 1) == [(2, "best"), (0, "worst")]


def test_pictures_become_data(folder):
    found = embed(folder)
    assert base64.b64decode(found.uris["labels.png"].removeprefix("data:image/png;base64,")) == _png()
    assert set(found.uris) == {"image.png", "truth.png", "labels.png"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("pictures", 0, "image"), "../secret.png", id="another folder"),
        pytest.param(("pictures", 0, "image"), "/etc/x.png", id="an absolute path"),
        pytest.param(("pictures", 0, "overlays"), [], id="no overlay"),
        pytest.param(("legend", 0, "rgb"), [1, 2, 999], id="no color"),
        pytest.param(("runs", 0, "run_id"), "x", id="no run"),
        pytest.param(("extra",), 1, id="an unknown key"),
    ],
)
def test_an_index_that_is_not_one_is_refused(folder, path, value):
    _change(folder, *path, to=value)
    with pytest.raises(DataError, match="not the index of a gallery"):
        embed(folder)


def test_each_image_has_an_overlay_for_each_run(folder):
    _change(folder, "runs", to=[{"run_id": digit * 64, "method": "fixmatch", "seed": 0} for digit in "12"])
    with pytest.raises(DataError, match="not one overlay for each run"):
        embed(folder)


def test_what_is_no_png_or_not_there_or_a_link_is_refused(folder):
    (folder / "image.png").write_bytes(b"<svg onload='alert(1)'/>")
    with pytest.raises(DataError, match="is no PNG"):
        embed(folder)
    (folder / "image.png").unlink()
    with pytest.raises(DataError, match="not there"):
        embed(folder)
    (folder / "image.png").symlink_to(folder / "truth.png")
    with pytest.raises(DataError, match="not a plain file"):
        embed(folder)


def test_pictures_have_a_limit(folder, monkeypatch):
    monkeypatch.setattr(gallery, "MAX_BYTES", 2 * len(_png()))
    with pytest.raises(DataError, match="take more than"):
        embed(folder)
