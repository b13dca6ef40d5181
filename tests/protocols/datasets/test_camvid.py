from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semibench.errors import DataError
from semibench.protocols.datasets.camvid import CamVid
from semibench.protocols.protocol import load

REAL = Path(__file__).parents[4] / "shared" / "data"
IDS = {"train": ("0001TP_000001", "0006R0_000002"), "val": ("0016E5_07959",), "test": ("Seq05VD_f00000",)}


@pytest.fixture
def folder(tmp_path):
    """The published layout with four tiny frames: JPEG images for training, PNG for the rest."""
    folder = tmp_path / "camvid"
    for subset, ids in IDS.items():
        (folder / subset).mkdir(parents=True)
        (folder / f"{subset}annot").mkdir()
        (folder / f"{subset}.txt").write_text("\n".join(ids) + "\n")
        for id in ids:
            image = Image.new("RGB", (4, 3), (10, 200, 30))
            image.save(folder / subset / f"{id}{'.jpg' if subset == 'train' else '.png'}")
            Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(folder / f"{subset}annot" / f"{id}.png")
    return folder


def test_ids_come_in_the_order_of_the_lists(folder):
    assert {subset: CamVid(folder).ids(subset) for subset in CamVid.subsets} == IDS


def test_the_published_lists_of_path_pairs_give_the_same_ids(folder):
    lines = [f"/SegNet/CamVid/train/{id}.png /SegNet/CamVid/trainannot/{id}.png" for id in IDS["train"]]
    (folder / "train.txt").write_text("\n".join(lines))
    assert CamVid(folder).ids("train") == IDS["train"]


@pytest.mark.parametrize("subset", CamVid.subsets)
def test_every_subset_has_images_and_masks(folder, subset):
    image, mask = CamVid(folder).pair(IDS[subset][0])
    assert np.abs(image.astype(int) - (10, 200, 30)).max() < 8  # JPEG
    assert mask.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 255]]


def test_the_data_set_is_found_in_its_parent_under_either_spelling(folder):
    assert CamVid(folder.parent).root == CamVid(folder).root == folder
    renamed = folder.rename(folder.parent / "CamVid")
    assert CamVid(folder.parent).ids("train") == CamVid(renamed).ids("train") == IDS["train"]


def test_a_mask_of_32_classes_is_refused(folder):
    path = folder / "valannot" / f"{IDS['val'][0]}.png"
    Image.fromarray(np.full((3, 4), 31, np.uint8)).save(path)
    with pytest.raises(DataError, match=r"'0016E5_07959' holds the value 31.*11 classes"):
        CamVid(folder).mask(IDS["val"][0])


def test_an_id_in_two_lists_is_refused(folder):
    (folder / "val.txt").write_text(IDS["train"][0])
    with pytest.raises(DataError, match="twice"):
        CamVid(folder)


@pytest.mark.parametrize("read", [CamVid.image, CamVid.decode_mask])
def test_an_unknown_id_is_named(folder, read):
    with pytest.raises(DataError, match="'0001TP_9'"):
        read(CamVid(folder), "0001TP_9")


def test_an_unknown_subset_names_the_known_ones(folder):
    with pytest.raises(DataError, match=r"'trainval'.*train, val, test"):
        CamVid(folder).ids("trainval")


@pytest.mark.parametrize("root", [None, Path("nowhere")])
def test_a_missing_data_set_says_where_it_can_be_set(root):
    with pytest.raises(DataError, match=r"camvid.*--data-root.*SEMIBENCH_DATA"):
        CamVid(root)


def test_every_class_has_a_name_and_a_color():
    assert len(CamVid.class_names) == len(CamVid.palette) == len(set(CamVid.palette)) == 11


def test_another_list_than_the_protocols_is_refused_with_both_digests(folder):
    with pytest.raises(DataError, match=r"'train' of camvid has 2 ids with the digest [0-9a-f]{12}.*367 with 07e685a27911"):
        load("camvid-37@hash0").split(CamVid(folder))


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared sample of CamVid is not beside the repository")
def test_the_real_lists_are_those_of_the_protocols():
    protocol = load("camvid-92@hash0")
    dataset = protocol.open(REAL)
    split = protocol.split(dataset)
    assert (len(split.labeled), len(split.unlabeled)) == (92, 275)
    assert [len(protocol.evaluated(dataset, subset)) for subset in ("val", "test")] == [101, 233]
    image, mask = dataset.pair(split.labeled[0])
    assert (image.shape, mask.shape) == ((360, 480, 3), (360, 480))
