"""What stands behind a row: files, command, environment."""

from pathlib import Path

from semibench.reports.aggregate import group
from semibench.reports.traces import configurations, environment, environments, relative, trace


def _trace(results, folders=None, files=None):
    [one] = group(results)
    return trace(one, folders or {}, files or {}, environments([one]))


def test_a_row_names_its_runs_by_seed_with_links_to_their_records(make_result):
    results = [make_result(seed=seed) for seed in (1, 0)]
    found = _trace(results, {results[0].run_id: "runs/javascript:x/a b"})
    assert [(run.seed, run.run_id, run.file) for run in found.runs] == [
        (0, results[1].run_id, None),
        (1, results[0].run_id, "runs/javascript%3Ax/a%20b/result.json"),
    ]


def test_the_command_makes_all_seeds_of_the_row(make_result):
    found = _trace([make_result(seed=seed) for seed in (0, 1)])
    assert found.command == "semibench run --method fixmatch --protocol voc-92 --seed 0,1 --division controlled"


def test_the_command_of_a_row_set_by_hand_takes_its_file_of_settings(make_result):
    result = make_result(division="custom", method="a; rm b")
    found = _trace([result], files={result.run_id: "runs/a b/config.toml"})
    assert found.command.endswith("--config 'runs/a b/config.toml'")
    assert "--method 'a; rm b' " in found.command


def test_the_command_takes_the_settings_of_the_first_seed_that_has_them(make_result):
    results = [make_result(division="custom", seed=seed) for seed in (0, 1)]
    assert _trace(results, files={results[1].run_id: "b/config.toml"}).command.endswith("--seed 0,1 --config b/config.toml")


def test_without_the_file_of_settings_there_is_no_command_that_names_one(make_result):
    result = make_result(division="custom")
    assert _trace([result], {result.run_id: "runs/a"}).command == ""


def test_a_file_of_settings_is_one_that_is_there(tmp_path):
    folders = {"with": tmp_path / "runs" / "a", "without": tmp_path / "runs" / "b"}
    for folder in folders.values():
        folder.mkdir(parents=True)
    (folders["with"] / "config.toml").touch()
    assert configurations(folders, tmp_path) == {"with": "runs/a/config.toml"}
    assert configurations(folders, tmp_path / "other" / "page" / "folder") == {}


def test_the_command_says_over_how_many_devices_statistics_went(make_result):
    assert _trace([make_result(statistics_over=4)]).command.endswith(" --devices 4")


def test_label_maps_of_another_program_are_scored_and_started_from_nothing_known(make_result):
    fields = {"kind": "external", "division": "external", "cost": None, "macs": None, "backbone": "unknown"}
    found = _trace([make_result(method="elsewhere", seed=3, **fields)])
    assert found.command == "semibench score PREDICTIONS --protocol voc-92 --name elsewhere --seed 3"
    assert found.started_from == ("\N{EN DASH}",)


def test_environments_are_numbered_whatever_the_order_of_results(make_result):
    results = [make_result(seed=0), make_result(seed=1, machine="Processor 2", threads=1)]
    numbers = environments(group(results))
    assert numbers == environments(group(results[::-1]))
    assert [dict(setting)["machine"] for setting in numbers] == ["Processor 1", "Processor 2"]
    assert environment(results[1].provenance) in numbers
    assert _trace(results).environments == (1, 2)


def test_processes_and_compilation_make_another_environment(make_result):
    results = [make_result(seed=0), make_result(seed=1, processes=2), make_result(seed=2, compiled=True)]
    assert _trace(results).environments == (1, 2, 3)


def test_links_are_made_to_what_lies_near_the_page_alone(tmp_path):
    page = tmp_path / "site" / "docs"
    folders = {"below": page / "runs" / "a", "beside": tmp_path / "site" / "results" / "b", "far": tmp_path / "private" / "c"}
    assert relative(folders, page) == {"below": "runs/a", "beside": "../results/b"}
    assert relative({"a": Path("/home/someone/runs/a")}, Path("/page")) == {}
