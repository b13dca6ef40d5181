"""The commands of docs/ci.md, carried out on results as runs write them."""

import json
import re
import shlex
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")
SETUP = re.findall(r"^    (semibench .*)$", PAGE, re.MULTILINE)
WORKFLOW = re.findall(r"^        run: (semibench .*)$", PAGE, re.MULTILINE)


@pytest.fixture
def repository(save_run, call, tmp_path, monkeypatch):
    """A repository of results after its first commit, with what the workflow fetches from the target branch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    for seed, right in enumerate((80, 81, 82)):
        save_run(right, tmp_path / "results", seed=seed)
        save_run(right - 10, tmp_path / "results", seed=seed, method="supervised")
    for command in SETUP:
        assert call(*shlex.split(command)[1:])[0] == 0
    (tmp_path / "baseline.json").rename("earlier.json")
    return tmp_path


@pytest.fixture
def workflow(call):
    """Carry out the steps as GitHub does, up to the first that fails; return the exit codes and what was printed."""

    def run():
        codes, printed = [], ""
        for command in WORKFLOW:
            code, output, errors = call(*shlex.split(command)[1:])
            codes, printed = [*codes, code], printed + output + errors
            if code:
                break
        return codes, printed

    return run


def test_the_page_has_its_commands():
    assert [command.split()[1] for command in SETUP] == ["compare", "compare"]
    assert [command.split()[1] for command in WORKFLOW] == ["check-results", "compare"]


def test_results_as_they_were_pass_and_give_the_same_table_byte_for_byte(repository, workflow):
    table = (repository / "leaderboard.md").read_bytes()
    (repository / "leaderboard.md").unlink()
    codes, _ = workflow()
    assert codes == [0, 0]
    assert (repository / "leaderboard.md").read_bytes() == table


def test_a_new_method_passes_and_changes_the_table(repository, workflow, save_run):
    table = (repository / "leaderboard.md").read_bytes()
    save_run(90, repository / "results", method="unimatch")
    codes, _ = workflow()
    assert codes == [0, 0]
    assert (repository / "leaderboard.md").read_bytes() != table


def test_an_edited_result_is_found_in_the_first_step(repository, workflow, monkeypatch):
    path = next((repository / "results").rglob("result.json"))
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"seed": 9}))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    codes, printed = workflow()
    assert codes == [1]
    assert f"::error file={path.relative_to(repository)}" in printed
    assert (repository / "junit.xml").is_file()


def test_a_method_that_has_become_worse_is_found_in_the_second_step(repository, workflow, save_run):
    for folder in (repository / "results" / "shapes-48" / "fixmatch").iterdir():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    for seed, right in enumerate((77, 78, 79)):
        save_run(right, repository / "results", seed=seed)
    codes, printed = workflow()
    assert codes == [0, 1]
    assert "worse: shapes-48 fixmatch tiny controlled: -4.1" in printed
    assert "kept: shapes-48 supervised" in printed


def test_a_method_that_is_gone_is_found(repository, workflow):
    (repository / "results" / "shapes-48" / "fixmatch").rename(repository / "elsewhere")
    codes, printed = workflow()
    assert codes == [0, 1]
    assert "missing: shapes-48 fixmatch tiny controlled: has no complete run" in printed
