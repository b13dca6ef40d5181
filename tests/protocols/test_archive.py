import pytest

from semibench.errors import DataError
from semibench.protocols.archive import Archive, archives
from semibench.protocols.names import documents

DATASETS = sorted(documents())


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_catalogue_file_declares_its_archives_without_mistake(dataset):
    names = [archive.name for archive in archives(dataset)]
    assert len(names) == len(set(names)) == len(documents()[dataset].get("archives", ()))


@pytest.mark.parametrize("dataset", ["voc", "cityscapes", "coco", "ade20k", "camvid", "pascal_context"])
def test_what_is_not_drawn_is_published_somewhere(dataset):
    assert all(archive.terms and archive.page for archive in archives(dataset))
    assert any(not archive.optional for archive in archives(dataset))


def test_what_is_drawn_has_no_archives():
    assert archives("shapes") == archives("unheard_of") == ()


def test_cityscapes_can_only_be_had_by_hand():
    assert all(not archive.urls and archive.digest for archive in archives("cityscapes"))


def test_the_strongest_digest_counts():
    voc, sbd = archives("voc")
    assert voc.digest == ("sha256", voc.sha256)
    assert sbd.digest == ("sha1", "7129e0a480c2d6afb02b517bb18ac54283bfaa35")


def test_an_archive_is_missing_until_all_its_folders_are_there(tmp_path):
    voc, _ = archives("voc")
    assert voc.missing(tmp_path) == ["VOCdevkit/VOC2012"]
    (tmp_path / "VOCdevkit" / "VOC2012").mkdir(parents=True)
    assert voc.missing(tmp_path) == []


@pytest.mark.parametrize(
    "change",
    [{"holds": ["../outside"]}, {"holds": ["/absolute"]}, {"holds": []}, {"urls": ["file:///etc/passwd"]}, {"name": "a/b.zip"}],
    ids=str,
)
def test_what_could_leave_its_place_is_no_archive(change):
    voc, _ = archives("voc")
    with pytest.raises(DataError, match="a test is not valid"):
        Archive.parse(voc.model_dump() | change, "a test", DataError)
