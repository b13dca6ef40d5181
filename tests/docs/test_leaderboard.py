"""The committed leaderboard is what the committed results make, and these are as written."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder with a copy of the results, in which commands run."""
    shutil.copytree(RESULTS, tmp_path / "results")
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "docs"


@pytest.mark.parametrize(
    ("page", "options"),
    [
        pytest.param("leaderboard.md", (), id="markdown"),
        pytest.param("leaderboard.html", ("--format", "html", "--gallery", "results/gallery"), id="html"),
    ],
)
def test_the_leaderboard_is_made_of_the_results(page, options, call, elsewhere):
    code, _, errors = call("compare", "results", "--baseline", "supervised", *options, "--output", str(Path("docs") / page))
    assert code == 0, errors
    assert (elsewhere / page).read_bytes() == (ROOT / "docs" / page).read_bytes(), "run 'make leaderboard'"


def test_every_result_is_as_written(call, monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    code, output, _ = call("check-results", str(RESULTS))
    assert code == 0, output


def test_the_gallery_shows_drawn_pictures_alone():
    assert {path.name.split("_")[0] for path in RESULTS.iterdir()} == {"shapes-48", "camvid-37@hash0", "gallery"}
    assert '"dataset": "shapes"' in (RESULTS / "gallery" / "gallery.json").read_text(encoding="utf-8")
