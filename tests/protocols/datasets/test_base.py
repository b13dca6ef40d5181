import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from semibench.errors import DataError
from semibench.protocols.datasets.base import Dataset, find_folder, list_images, read_index, read_lines, read_rgb

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
LARGE = np.random.default_rng(0).integers(
    0, 256, (40, 40, 3), np.uint8
)  # the end of a PNG holds no pixels: make it a small part
one_file_is_enough = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


class Pair(Dataset):
    class_names = ("road", "sky")
    palette = ((128, 64, 128), (70, 130, 180))

    def __init__(self, mask, image=PIXELS):
        super().__init__(None)
        self._mask, self._image = np.asarray(mask, np.uint8), image

    @classmethod
    def locate(cls, root):
        return root

    def ids(self, subset):
        return ("only",)

    def image(self, id):
        return self._image

    def decode_mask(self, id):
        return self._mask


def saved(folder, name, image):
    image.save(folder / name)
    return folder / name


def test_a_mask_of_classes_and_void_passes():
    mask = np.resize([0, 1, 255], (6, 9))
    assert np.array_equal(Pair(mask).mask("only"), mask)


@given(st.integers(2, 254))
def test_a_mask_value_outside_the_class_table_names_image_value_and_table(value):
    with pytest.raises(DataError, match=f"'only' holds the value {value}, outside the table of 2 classes"):
        Pair([[0, value]]).mask("only")


def test_image_and_mask_of_different_size_are_refused_with_both_sizes():
    with pytest.raises(DataError, match=r"'only' differ in size: \(6, 9\) and \(9, 6\)"):
        Pair(np.zeros((9, 6))).pair("only")


def test_a_pair_is_the_image_and_its_mask():
    image, mask = Pair(np.zeros((6, 9))).pair("only")
    assert image is PIXELS
    assert mask.shape == (6, 9)


class Converted(Pair):
    """A data set whose mask is converted from ``labels.txt``."""

    conversion = "rule"

    def files(self, id):
        return self.root / "image.png", self.root / "labels.txt"


@pytest.fixture
def converted(tmp_path, monkeypatch):
    """Return a converted data set with an empty cache."""
    monkeypatch.setenv("SEMIBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "labels.txt").touch()
    dataset = Converted([[0, 1, 255]])
    dataset.root = tmp_path
    return dataset


def prepare(dataset, mask):
    path = dataset.prepared("only")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(mask, np.uint8)).save(path)
    return path


def test_a_mask_that_is_not_prepared_is_decoded(converted):
    assert converted.mask("only").tolist() == [[0, 1, 255]]


def test_a_prepared_mask_is_read(converted):
    prepare(converted, [[1, 1]])
    assert converted.mask("only").tolist() == [[1, 1]]


def test_a_prepared_mask_older_than_its_annotation_is_decoded_again(converted):
    os.utime(prepare(converted, [[1, 1]]), (0, 0))
    assert converted.mask("only").tolist() == [[0, 1, 255]]


def test_a_prepared_mask_is_as_suspect_as_any_other(converted):
    prepare(converted, [[1, 2]])
    with pytest.raises(DataError, match="holds the value 2"):
        converted.mask("only")


def test_a_data_set_of_ready_made_masks_ignores_the_cache(converted):
    prepare(converted, [[1, 1]])
    converted.conversion = None
    assert converted.mask("only").tolist() == [[0, 1, 255]]


def test_prepared_masks_of_two_roots_and_of_two_conversions_lie_apart(tmp_path, converted):
    first = converted.prepared("only")
    other = Converted([[0]])
    other.root = tmp_path / "other"
    renamed = Converted([[0]])
    renamed.root, renamed.conversion = tmp_path, "another"
    assert len({first, other.prepared("only"), renamed.prepared("only")}) == 3
    assert first.is_relative_to(tmp_path / "cache" / "masks")


def test_a_data_set_that_is_drawn_has_no_files():
    assert Pair([[0]]).files("only") == ()


def test_an_image_is_read_as_rgb(tmp_path):
    assert np.array_equal(read_rgb(saved(tmp_path, "a.png", Image.fromarray(PIXELS))), PIXELS)


def test_a_gray_image_is_read_in_three_equal_channels(tmp_path):
    read = read_rgb(saved(tmp_path, "a.png", Image.fromarray(PIXELS[..., 0])))
    assert np.array_equal(read, np.stack([PIXELS[..., 0]] * 3, axis=-1))


def test_a_palette_mask_is_read_as_its_indices(tmp_path):
    mask = Image.fromarray(np.array([[0, 1], [2, 255]], np.uint8), "L").convert("P")
    mask.putdata([0, 1, 2, 255])
    mask.putpalette(list(range(255, -1, -1)) * 3)
    assert read_index(saved(tmp_path, "m.png", mask)).tolist() == [[0, 1], [2, 255]]


def test_a_colored_mask_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"m\.png has the mode RGB.*colored copies"):
        read_index(saved(tmp_path, "m.png", Image.fromarray(PIXELS)))


def test_a_mask_of_16_bits_is_refused_as_instance_ids(tmp_path):
    path = saved(tmp_path, "m.png", Image.fromarray(np.full((2, 3), 26001, np.uint16)))
    with pytest.raises(DataError, match=r"m\.png has the mode I;16, not an index of 8 bits.*instance ids"):
        read_index(path)


def test_a_palette_mask_in_the_place_of_an_image_is_refused(tmp_path):
    path = saved(tmp_path, "a.png", Image.fromarray(PIXELS).convert("P"))
    with pytest.raises(DataError, match=r"a\.png has an index per pixel, as masks have.*swapped"):
        read_rgb(path)


def test_a_mask_in_the_place_of_a_missing_image_is_named(tmp_path):
    saved(tmp_path, "a.png", Image.fromarray(PIXELS))
    with pytest.raises(DataError, match=r"a\.jpg not found, but a\.png is there.*swapped"):
        read_rgb(tmp_path / "a.jpg")


def test_images_are_listed_sorted_without_hidden_files(tmp_path):
    for name in ("b.jpg", "a.jpg", "._a.jpg", "c.png"):
        (tmp_path / name).touch()
    assert list_images(tmp_path, "*.jpg") == ("a", "b")


def test_masks_where_images_are_listed_are_named(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"no file \*\.jpg found in .*swapped"):
        list_images(tmp_path, "*.jpg")


@pytest.mark.parametrize("folder", [".", "nowhere"])
def test_a_folder_without_images_is_named(tmp_path, folder):
    with pytest.raises(DataError, match=r"no file \*\.jpg found in"):
        list_images(tmp_path / folder, "*.jpg")


@one_file_is_enough
@given(share=st.floats(0, 0.95))
@pytest.mark.parametrize(
    ("name", "pixels", "read"),
    [("a.png", LARGE, read_rgb), ("a.jpg", LARGE, read_rgb), ("m.png", LARGE[..., 0], read_index)],
    ids=["PNG image", "JPEG image", "mask"],
)
def test_a_truncated_file_is_named(tmp_path, name, pixels, read, share):
    path = saved(tmp_path, name, Image.fromarray(pixels))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=f"{name} cannot be decoded"):
        read(path)


@one_file_is_enough
@given(place=st.integers(0), value=st.integers(0, 255))
def test_a_damaged_mask_is_read_or_named_but_never_crashes(tmp_path, place, value):
    path = saved(tmp_path, "m.png", Image.fromarray(PIXELS[..., 0]))
    content = bytearray(path.read_bytes())
    content[place % len(content)] = value
    path.write_bytes(content)
    try:
        assert read_index(path).dtype == np.uint8
    except DataError as error:
        assert "m.png" in error.what


def test_a_text_file_under_an_images_name_is_named(tmp_path):
    (tmp_path / "a.jpg").write_text("not an image")
    with pytest.raises(DataError, match=r"a\.jpg cannot be decoded"):
        read_rgb(tmp_path / "a.jpg")


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(DataError, match=r"a\.jpg not found.*--data-root"):
        read_rgb(tmp_path / "a.jpg")


def test_a_list_is_its_lines_without_blanks_or_byte_order_mark(tmp_path):
    (tmp_path / "train.txt").write_text("\ufeffb\n\n a \r\n", encoding="utf-8")
    assert read_lines(tmp_path / "train.txt") == ("b", "a")


@pytest.mark.parametrize("content", [None, "", " \n\n"], ids=["missing", "empty", "blank"])
def test_a_list_without_ids_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "train.txt").write_text(content)
    with pytest.raises(DataError, match=r"train\.txt"):
        read_lines(tmp_path / "train.txt")


@pytest.mark.parametrize("root", [".", "streets", "STREETS"])
def test_a_folder_is_found_itself_or_below_its_parent(tmp_path, root):
    folder = tmp_path / root
    folder.mkdir(exist_ok=True)
    (folder / "list.txt").touch()
    assert find_folder(tmp_path, ("streets", "STREETS"), ["list.txt"]) == folder
    assert find_folder(folder, ("streets", "STREETS"), ["list.txt"]) == folder


@pytest.mark.parametrize("root", [None, Path("nowhere")], ids=["no root", "a root without the data set"])
def test_a_missing_folder_names_what_was_looked_for_and_both_ways_to_set_it(root):
    with pytest.raises(DataError) as caught:
        find_folder(root, ("streets",), ["list.txt"])
    for part in ("streets", "list.txt", "--data-root", "SEMIBENCH_DATA", *([str(root)] if root else [])):
        assert part in str(caught.value)


def test_a_list_that_is_not_utf_8_is_named(tmp_path):
    (tmp_path / "train.txt").write_bytes(b"a\xff\n")
    with pytest.raises(DataError, match=r"train\.txt is not UTF-8 text"):
        read_lines(tmp_path / "train.txt")


def test_who_asks_for_an_image_says_what_to_do_when_it_is_missing_or_damaged(tmp_path):
    (tmp_path / "a.jpg").write_text("not an image")
    for name in ("a.jpg", "b.jpg"):
        with pytest.raises(DataError) as caught:
            read_rgb(tmp_path / name, "Look elsewhere.")
        assert caught.value.next_step == "Look elsewhere."
