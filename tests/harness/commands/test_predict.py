"""semibench predict: what it refuses before it writes anything."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from semibench.errors import DataError, UsageError
from semibench.harness.cli import cli


@pytest.fixture(autouse=True)
def scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that sees class 0 everywhere."""
    protocol = SimpleNamespace(dataset_class=lambda: SimpleNamespace(palette=((0, 0, 0),)))
    opened = SimpleNamespace(protocol=protocol, predict=lambda image: np.zeros(image.shape[:2], np.uint8))
    monkeypatch.setattr("semibench.harness.reopen.reopen", lambda *_: (opened, 7))


def predict(*images: Path, output: Path) -> None:
    cli.main(["predict", "run", *map(str, images), "--output", str(output)], standalone_mode=False)


def picture(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((4, 5, 3), 200, np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    "names",
    [("a.png",), ("x/a.jpg", "y/a.jpg"), ("x/a.jpg", "x/a_overlay.jpg")],
    ids=["an image", "two maps", "map and overlay"],
)
def test_a_file_that_would_be_overwritten_is_refused_and_nothing_is_written(tmp_path: Path, names: tuple[str, ...]) -> None:
    images = [picture(tmp_path / name) for name in names]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with pytest.raises(UsageError, match="is one of the images or would be written twice"):
        predict(*images, output=tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_a_missing_image_is_nobody_s_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing\.png not found") as caught:
        predict(tmp_path / "missing.png", output=tmp_path / "labels")
    assert "--data-root" not in str(caught.value)
    assert "download" not in str(caught.value)
