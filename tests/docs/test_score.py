"""The example of docs/score.md, carried out."""

import re
import shlex
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "score.md").read_text(encoding="utf-8")
EXAMPLE = re.search(r"## An example\n(.*?)\n## ", PAGE, re.DOTALL)[1]
PROGRAM = re.search(r"```python\n(.*?)```", EXAMPLE, re.DOTALL)[1]
COMMANDS = re.findall(r"^    (semibench .*)$", EXAMPLE, re.MULTILINE)


@pytest.fixture
def carried_out(call, tmp_path, monkeypatch):
    """What the commands of the example print, after its program ran."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    exec(compile(PROGRAM, "docs/score.md", "exec"), {})
    done = [call(*shlex.split(command)[1:]) for command in COMMANDS]
    assert [code for code, _, _ in done] == [0, 0, 0], done
    return [output for _, output, _ in done]


def test_the_example_scores_checks_and_compares(carried_out):
    scores, checked, table = carried_out
    assert "(300 images of val)" in scores
    assert "1 result is as written" in checked
    assert "| brightness" in table
    assert "as its scorer says: one threshold for all pixels" in table
