"""semibench gallery: pictures of real files under the labels of runs, and the page that takes them in."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from semibench.errors import NotConformantError, UsageError
from semibench.harness import gallery
from semibench.protocols.datasets.camvid import CamVid
from semibench.reports.gallery import embed


@pytest.fixture
def run(make_result):
    """Build a run that labels everything 0, with an IoU for each of the three test frames."""

    def build(*iou, **fields):
        result = make_result(protocol="camvid-all", dataset="camvid", **fields)
        scorer = SimpleNamespace(predict=lambda image: np.zeros(image.shape[:2], np.uint8))
        return gallery.Run(result, scorer, dict(zip(("test_0", "test_1", "test_2"), iou, strict=True)))

    return build


def test_a_folder_of_pictures_can_be_embedded_whatever_the_order_of_runs(run, camvid, tmp_path):
    runs = [run(0.9, 0.1, 0.2, seed=0), run(0.8, 0.1, 0.7, seed=1)]
    for name, order in (("one", runs), ("other", runs[::-1])):
        gallery.write(order, CamVid(camvid), tmp_path / name, 1)
    found = embed(tmp_path / "one")
    assert [(picture.id, picture.reason) for picture in found.index.pictures] == [
        ("test_0", "best"),
        ("test_1", "worst"),
        ("test_2", "disputed"),
    ]
    assert [overlay.iou for overlay in found.index.pictures[2].overlays] == [0.2, 0.7]
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "other").iterdir()}
    assert len(files) == 1 + 3 * 4


def test_the_legend_has_the_colors_that_occur(run, camvid, tmp_path):
    index = gallery.write([run(0.9, 0.1, 0.2)], CamVid(camvid), tmp_path / "pictures", 3)
    table = {name: tuple(color) for name, color in zip(CamVid.class_names, CamVid.palette, strict=True)}
    assert {entry.name: entry.rgb for entry in index.legend if entry.name != "void"}.items() <= table.items()
    shown = {tuple(color) for file in (tmp_path / "pictures").glob("*truth.png") for color in _colors(file)}
    assert shown <= {entry.rgb for entry in index.legend}


def _colors(file):
    with Image.open(file) as picture:
        return np.asarray(picture).reshape(-1, 3).tolist()


def test_large_images_are_reduced(run, camvid, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "_MAX_SIDE", 4)
    gallery.write([run(0.9, 0.1, 0.2)], CamVid(camvid), tmp_path / "pictures", 1)
    with Image.open(tmp_path / "pictures" / "00-image.png") as picture:
        assert picture.size == (4, 3)


def test_runs_that_were_not_scored_alike_are_refused(make_result):
    one, other = make_result(seed=0), make_result(seed=1)
    gallery.check([(one, {"a": 0.5}), (other, {"a": 0.1})])
    with pytest.raises(NotConformantError, match="not scored alike"):
        gallery.check([(one, {"a": 0.5}), (other, {"b": 0.5})])
    with pytest.raises(NotConformantError, match="not scored alike"):
        gallery.check([(one, {"a": 0.5}), (make_result(digest="f" * 64), {"a": 0.5})])


def test_pictures_have_a_place_in_a_page_alone(save_run, tmp_path, call):
    save_run()
    code, _, errors = call("compare", tmp_path, "--gallery", tmp_path)
    assert code == UsageError.exit_code
    assert "--format html" in errors
