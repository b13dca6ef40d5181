"""Pascal Context: ready-made masks of 60 classes, background counted."""

import numpy as np
import pytest
from PIL import Image

from semibench.errors import DataError
from semibench.protocols.datasets.pascal_context import PascalContext

IDS = {"train": ("2008_000002", "2008_000003"), "val": ("2008_000008", "2008_000009")}
MASK = np.array([[0, 1, 59], [30, 2, 58]], np.uint8)


@pytest.fixture
def root(tmp_path):
    """The layout of four tiny photos."""
    root = tmp_path / "VOCdevkit" / "VOC2010"
    for folder in ("JPEGImages", "SegmentationClassContext", "ImageSets/SegmentationContext"):
        (root / folder).mkdir(parents=True)
    for subset, ids in IDS.items():
        (root / "ImageSets" / "SegmentationContext" / f"{subset}.txt").write_text("\n".join(ids))
        for id in ids:
            Image.new("RGB", (3, 2)).save(root / "JPEGImages" / f"{id}.jpg")
            Image.fromarray(MASK).save(root / "SegmentationClassContext" / f"{id}.png")
    return root


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_ids_are_those_of_the_lists_wherever_the_root_is(root, levels):
    start = (root, *root.parents)[levels]
    assert {subset: PascalContext(start).ids(subset) for subset in PascalContext.subsets} == IDS


def test_a_mask_is_read_as_it_is(root):
    image, mask = PascalContext(root).pair(IDS["train"][0])
    assert image.shape == (2, 3, 3)
    assert np.array_equal(mask, MASK)


def test_a_raw_mask_of_459_labels_is_refused(root):
    Image.fromarray(np.full((2, 3), 458, np.uint16)).save(root / "SegmentationClassContext" / f"{IDS['val'][0]}.png")
    with pytest.raises(DataError, match="mode I;16"):
        PascalContext(root).mask(IDS["val"][0])


def test_a_value_beyond_the_60_classes_is_refused(root):
    Image.fromarray(MASK + np.uint8(1)).save(root / "SegmentationClassContext" / f"{IDS['val'][0]}.png")
    with pytest.raises(DataError, match="holds the value 60, outside the table of 60 classes"):
        PascalContext(root).mask(IDS["val"][0])


def test_an_unknown_subset_names_the_known_ones(root):
    with pytest.raises(DataError, match=r"'pascal_context' has no subset 'test'.*train, val"):
        PascalContext(root).ids("test")


def test_every_class_has_a_name_and_a_color_of_its_own():
    assert len(PascalContext.class_names) == len(set(PascalContext.palette)) == 60
    assert (PascalContext.class_names[0], PascalContext.class_names[59]) == ("background", "wood")
