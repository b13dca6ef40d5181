from pathlib import Path

import numpy as np
import pytest

from semibench.errors import DataError, UsageError
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.difference import Overlap, count_classes, difference
from semibench.protocols.protocol import load
from semibench.protocols.shelf import Shelf

SPLITS = Path(__file__).parents[2].parent / "shared" / "splits"


class Drawn(Dataset):
    class_names = ("road", "sky", "car")
    palette = ((0, 0, 0), (1, 1, 1), (2, 2, 2))
    masks = {"a": [[0, 0]], "b": [[0, 1]], "c": [[255, 1]]}

    @classmethod
    def locate(cls, root):
        return root

    def ids(self, subset):
        return tuple(self.masks)

    def image(self, id):
        raise AssertionError("no image is needed to count classes")

    def decode_mask(self, id):
        return np.array(self.masks[id], np.uint8)


def test_two_protocols_are_compared_by_what_their_lists_share(published):
    compared = difference(load("camvid-4@classic"), load("camvid-4@random"), Shelf(published.checkout))
    assert compared.labeled == Overlap(4, 4, 1)
    assert compared.unlabeled == Overlap(16, 16, 13)


def test_a_list_of_its_own_counts_as_unlabelled(published):
    compared = difference(load("camvid-4@classic"), load("camvid-4@leaky"), Shelf(published.checkout))
    assert compared.labeled == Overlap(4, 4, 4)
    assert compared.unlabeled == Overlap(16, 7, 6)


def test_without_a_pool_labelled_lists_can_still_be_compared(published):
    (published.checkout / "lists/train.txt").unlink()
    compared = difference(load("camvid-4@classic"), load("camvid-4@random"), Shelf(published.checkout))
    assert (compared.labeled.common, compared.unlabeled) == (1, None)


def test_a_list_that_is_not_at_hand_is_named(published):
    with pytest.raises(DataError, match=r"list of camvid-4@classic is not at hand\. Run 'semibench protocol fetch"):
        difference(load("camvid-4@classic"), load("camvid-4@random"), Shelf())


def test_protocols_of_two_data_sets_are_not_compared():
    with pytest.raises(UsageError, match="different data sets"):
        difference(load("shapes-16"), load("camvid-all"), Shelf())


def test_a_class_is_counted_once_for_each_image_that_shows_it_and_void_never():
    counts = count_classes(Drawn(None), "train", ["a", "b", "c", "not on disk"])
    assert counts.images_on_disk == 3
    assert counts.images_per_class == {"road": 2, "sky": 2, "car": 0}


@pytest.mark.skipif(not SPLITS.is_dir(), reason="needs the real lists, ../shared/splits")
@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        ("voc-662@cps", "voc-662@u2pl", 43),
        ("voc-662@cps", "voc-662@stpp-s0", 44),
        ("voc-92", "voc-92@s1", 4),
        ("voc-92", "voc-92@s2", 8),
        ("voc-92", "voc-183", 9),
        ("voc-732@classic", "voc-732@cps", 371),
        ("cityscapes-186@cps", "cityscapes-186@u2pl", 8),
        ("cityscapes-372@cps", "cityscapes-372@u2pl", 48),
        ("cityscapes-744@cps", "cityscapes-744@u2pl", 182),
        ("cityscapes-1488@cps", "cityscapes-1488@u2pl", 720),
        ("cityscapes-100", "cityscapes-186@cps", 7),
        ("coco-232", "coco-463", 3),
        ("ade20k-632", "ade20k-631@v2", 631),
    ],
)
def test_families_of_one_name_share_as_little_as_is_published(first, second, common):
    assert difference(load(first), load(second), Shelf(SPLITS)).labeled.common == common


@pytest.mark.skipif(not SPLITS.is_dir(), reason="needs the real lists, ../shared/splits")
def test_the_blended_lists_differ_in_their_share_of_fine_masks():
    compared = difference(load("voc-662@cps"), load("voc-662@u2pl"), Shelf(SPLITS))
    assert compared.fine == Overlap(93, 662, 43)
