"""Pictures that others open: indices stay indices, colors are those of the classes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semibench.errors import RunFailedError
from semibench.harness import pictures
from semibench.protocols.datasets.shapes import Shapes

PALETTE = [(0, 0, 0), (200, 100, 50)]
LABELS = np.array([[0, 1, 255], [1, 1, 0]], np.uint8)


def opened(path: Path) -> tuple[str, np.ndarray]:
    with Image.open(path) as picture:
        return picture.mode, np.asarray(picture)


def test_the_pixels_of_a_label_map_are_class_indices(tmp_path: Path) -> None:
    pictures.save_index(LABELS, PALETTE, tmp_path / "labels.png")
    mode, pixels = opened(tmp_path / "labels.png")
    assert mode == "P"
    assert np.array_equal(pixels, LABELS)


def test_a_viewer_shows_a_label_map_in_the_colors_of_its_classes(tmp_path: Path) -> None:
    pictures.save_index(LABELS[:, :2], PALETTE, tmp_path / "labels.png")
    with Image.open(tmp_path / "labels.png") as picture:
        assert np.asarray(picture.convert("RGB"))[:, :2].tolist() == [[[0, 0, 0], [200, 100, 50]], [[200, 100, 50]] * 2]


def test_void_is_white() -> None:
    assert pictures.colorize(LABELS, PALETTE)[0].tolist() == [[0, 0, 0], [200, 100, 50], [255, 255, 255]]


def test_an_overlay_mixes_image_and_colors() -> None:
    image = np.full((1, 1, 3), 100, np.uint8)
    mixed = pictures.overlay(image, np.array([[1]], np.uint8), PALETTE, opacity=0.25)
    assert mixed.dtype == np.uint8
    assert mixed.tolist() == [[[125, 100, 88]]]  # 0.75 * 100 + 0.25 * (200, 100, 50)


def test_a_grid_has_a_column_for_each_title_and_keeps_the_shape_of_images(tmp_path: Path) -> None:
    wide, square = np.zeros((10, 20, 3), np.uint8), np.zeros((20, 20, 3), np.uint8)
    pictures.save_grid([[wide, wide, wide], [square, square, square]], ["a", "b", "c"], tmp_path / "grid.png", cell=40)
    _, pixels = opened(tmp_path / "grid.png")
    black = (pixels == 0).all(axis=2)[16:]  # below the titles
    assert black.sum(axis=1).tolist().count(3 * 40) == 20 + 40
    assert black.sum(axis=0).tolist().count(20 + 40) == 3 * 40


def test_a_comparison_shows_images_from_the_whole_list(tmp_path: Path) -> None:
    shown: list[np.ndarray] = []

    def predict(image: np.ndarray) -> np.ndarray:
        shown.append(image)
        return np.zeros(image.shape[:2], np.uint8)

    dataset = Shapes()
    pictures.save_comparison(dataset, dataset.ids("val"), {"zeros": predict}, tmp_path / "new" / "grid.png", count=3)
    assert (tmp_path / "new" / "grid.png").is_file()
    assert [np.array_equal(image, dataset.image(f"val_{n:03}")) for image, n in zip(shown, (0, 100, 200), strict=True)] == [
        True
    ] * 3


def test_a_legend_names_each_color_below_the_grid(tmp_path: Path) -> None:
    black = np.zeros((20, 20, 3), np.uint8)
    names = [(f"class {number}", (200, number, 0)) for number in range(40)]
    pictures.save_grid([[black]], ["a"], tmp_path / "plain.png")
    pictures.save_grid([[black]], ["a"], tmp_path / "legend.png", legend=names)
    plain, pixels = opened(tmp_path / "plain.png")[1], opened(tmp_path / "legend.png")[1]
    assert np.array_equal(pixels[: len(plain)], plain)
    for _, color in names:
        assert (pixels[len(plain) :] == color).all(axis=2).sum() >= 9 * 9


def test_the_legend_of_a_comparison_has_the_classes_that_occur_in_truth_or_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    legends = []
    monkeypatch.setattr(pictures, "save_grid", lambda *_, legend: legends.append(legend))
    dataset = Shapes()
    masks = [dataset.mask(id) for id in dataset.ids("val")[:1]]
    pictures.save_comparison(dataset, dataset.ids("val"), {"void": lambda _: np.full((64, 64), 255, np.uint8)}, tmp_path, 1)
    present = np.unique(masks).tolist()
    expected = [(Shapes.class_names[value], Shapes.palette[value]) for value in present]
    assert legends == [[*expected, ("void", (255, 255, 255))]]


def test_fewer_images_than_asked_for_are_all_shown(tmp_path: Path) -> None:
    dataset = Shapes()
    pictures.save_comparison(dataset, dataset.ids("val")[:2], {}, tmp_path / "grid.png", count=6)
    assert opened(tmp_path / "grid.png")[1].shape[0] > 2 * 160


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "grid.png").mkdir()
    with pytest.raises(RunFailedError, match=r"grid\.png could not be written"):
        pictures.save_rgb(np.zeros((2, 2, 3), np.uint8), tmp_path / "grid.png")
