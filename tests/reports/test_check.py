"""Whether results are what runs wrote: whatever is edited, moved or cut short is found, by the name of the check."""

import json
from xml.etree import ElementTree

import pytest

from semibench.reports import check as checking
from semibench.reports import result as record
from semibench.reports.check import check
from semibench.reports.findings import describe, to_github, to_junit
from semibench.reports.result import Status


def _edit(folder, change):
    path = folder / "result.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def _problems(root, **options):
    return {(finding.check, finding.problem) for finding in check([root], **options) if finding.problem}


def test_what_a_run_wrote_is_without_a_problem(save_run, tmp_path):
    for seed in range(2):
        save_run(seed=seed)
    found = check([tmp_path])
    assert _problems(tmp_path) == set()
    assert [one.check for one in found] == 2 * ["record", "place", "identity", "steps", "images", "counts"] + [
        "seeds of voc-92"
    ]


@pytest.mark.parametrize(("trainable", "is_problem"), [(0, False), (7, True)])
def test_no_step_is_right_for_what_has_nothing_to_train_alone(save_run, tmp_path, trainable, is_problem):
    def idle(data):
        data["steps"] = data["last"]["step"] = data["best"]["step"] = 0
        data["cost"]["trainable_parameters"] = trainable

    _edit(save_run(), idle)
    assert (("steps", "0 steps were done, the recipe plans 60") in _problems(tmp_path)) == is_problem


def _everywhere(data, **values):
    for place in (data, data["last"], data["best"]):
        place.update({key: value for key, value in values.items() if key in place})


def _swap(data):
    """Claim all pixels right, with every figure that follows from the matrix."""
    figures = {"miou": 1.0, "class_iou": [1.0, 1.0], "pixel_accuracy": 1.0, "frequency_weighted_iou": 1.0}
    _everywhere(data, confusion=[[200, 0], [0, 200]], **figures)


@pytest.mark.parametrize(
    ("change", "name", "problem"),
    [
        pytest.param(lambda data: data.update(miou=0.9), "record", "contradicts itself", id="score"),
        pytest.param(lambda data: data.update(schema=9), "record", "Upgrade semibench", id="schema"),
        pytest.param(lambda data: data["last"]["confusion"][0].__setitem__(0, float("nan")), "record", "confusion", id="nan"),
        pytest.param(_swap, "counts", "intersection does not add up to the confusion matrix", id="matrix and scores"),
        pytest.param(lambda data: data["last"].update(boundary_iou=0.9), "counts", "boundary_iou is 0.9", id="boundary"),
        pytest.param(
            lambda data: data["last"].update(calibration_error=0.0), "counts", "calibration_error is 0.0", id="calibration"
        ),
        pytest.param(lambda data: data.update(seed=5), "identity", "run_id does not follow", id="seed"),
        pytest.param(lambda data: data.update(config={"threshold": 0.5}), "identity", "run_id does not follow", id="config"),
        pytest.param(lambda data: data["recipe"].update(lr=9), "identity", "digests.recipe is not", id="recipe"),
        pytest.param(lambda data: data["evaluation"].update(short_side=64), "identity", "digests.evaluation is not", id="rule"),
        pytest.param(
            lambda data: data.update(method="other"), "place", "lies in a folder 'fixmatch' and holds 'other'", id="method"
        ),
        pytest.param(lambda data: data.update(protocol="voc-183"), "place", "lies in a folder 'voc-92'", id="protocol"),
        pytest.param(lambda data: data.update(steps=70), "steps", "70 steps were done, the recipe plans 60", id="steps"),
        pytest.param(lambda data: data["last"].update(step=50), "steps", "the last checkpoint is of step 50 of 60", id="last"),
        pytest.param(lambda data: data["best"].update(step=90), "steps", "after the end", id="best"),
        pytest.param(lambda data: data["best"].update(boundary_iou=0.1), "steps", "have different scores", id="best is last"),
        pytest.param(
            lambda data: data["last"].update(n_images=3) or data["best"].update(n_images=3), "counts", "ids", id="images"
        ),
    ],
)
def test_an_edit_is_found(save_run, tmp_path, change, name, problem):
    _edit(save_run(), change)
    assert any(check_name == name and problem in text for check_name, text in _problems(tmp_path))


def test_a_run_of_another_length_than_planned_is_found_in_its_status(save_run, tmp_path):
    folder = save_run()
    (folder / "status.json").write_text(Status(status="running", step=50, total=60).model_dump_json())
    assert ("steps", "status.json beside it says running at step 50 of 60, not complete at 60") in _problems(tmp_path)
    (folder / "status.json").write_text("{")
    assert any("cannot be read" in problem for _, problem in _problems(tmp_path))


def test_a_moved_result_is_found(save_run, tmp_path):
    folder = save_run()
    folder.rename(folder.with_name("0" * 12))
    [(name, problem)] = _problems(tmp_path)
    assert (name, problem[:32]) == ("place", "lies in a folder '000000000000' ")


def test_the_configuration_of_another_run_is_found(save_run, tmp_path):
    (save_run() / "config.toml").write_text(f"# run {'0' * 64}\n")
    assert _problems(tmp_path) == {("place", "config.toml beside it is that of another run")}


def test_counts_that_are_missing_are_a_problem_unless_they_need_not_be_there(save_run, tmp_path):
    (save_run() / "scores.npz").unlink()
    assert {name for name, _ in _problems(tmp_path)} == {"counts"}
    assert _problems(tmp_path, needs_counts=False) == set()


def test_counts_that_are_there_are_checked_even_if_they_need_not_be(save_run, tmp_path):
    (save_run() / "scores.npz").write_bytes(b"PK")
    assert {name for name, _ in _problems(tmp_path, needs_counts=False)} == {"counts"}


@pytest.mark.parametrize(("division", "names"), [("controlled", {"images", "counts"}), ("custom", set())])
def test_a_part_of_a_subset_is_no_score_of_it_unless_the_run_is_custom(save_run, tmp_path, division, names):
    save_run(protocol="camvid-all", dataset="camvid", division=division)  # its subset test has 233 frames
    assert {name for name, _ in _problems(tmp_path)} == names


def test_last_and_best_are_of_the_same_images(save_run, tmp_path):
    other = [[150, 51], [50, 149]]
    figures = record.derive(other, "present")._asdict() | {"confusion": other, "step": 30}
    _edit(save_run(), lambda data: data["best"].update(json.loads(json.dumps(figures))))
    assert ("images", "last and best were scored on different pixels of the truth") in _problems(tmp_path)


def test_the_same_label_maps_under_two_seeds_are_found(save_run, tmp_path):
    for seed in range(2):
        save_run(seed=seed, kind="external", division="external", cost=None, macs=None)
    assert any("are of the same label maps" in problem for _, problem in _problems(tmp_path))


def test_a_seed_that_stands_twice_is_found(save_run, tmp_path):
    folder = save_run()
    copy = folder.with_name("copy")
    copy.mkdir()
    (copy / "result.json").write_text((folder / "result.json").read_text())
    _edit(copy, lambda data: data.update(run_id="7" * 64))
    assert any(name == "seeds of voc-92" and "and seed 0 under two names" in problem for name, problem in _problems(tmp_path))


def test_one_run_with_two_scores_is_found(save_run, tmp_path):
    folder = save_run()
    copy = folder.with_name("copy")
    copy.mkdir()
    (copy / "result.json").write_text((folder / "result.json").read_text())
    _edit(copy, _swap)
    assert any("are one run with two scores" in problem for _, problem in _problems(tmp_path))


def test_two_truths_under_one_digest_are_found(save_run, tmp_path):
    save_run()
    save_run(method="supervised", confusion=((160, 60), (40, 140)))
    assert any("has other pixels of truth than results with the same digest" in problem for _, problem in _problems(tmp_path))


def test_a_run_that_says_complete_without_a_result_is_found(save_run, tmp_path):
    (save_run() / "result.json").unlink()
    assert _problems(tmp_path) == {("record", "says that the run is complete; result.json is missing")}


def test_runs_under_way_are_no_problem(save_run, tmp_path):
    folder = save_run()
    (folder / "result.json").unlink()
    (folder / "status.json").write_text(Status(status="running", step=1, total=60).model_dump_json())
    assert check([tmp_path]) == []


# For people and for machines.


def test_a_line_names_file_check_and_problem(save_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = save_run()
    _edit(folder, lambda data: data.update(steps=70))
    text = describe(check([tmp_path]))
    assert f"voc-92/fixmatch/{folder.name}/result.json: steps: 70 steps were done, the recipe plans 60\n" in text


def test_junit_has_a_case_for_each_check_and_a_failure_for_each_problem(save_run, tmp_path):
    save_run()
    (save_run(method="a<b&\x01") / "scores.npz").unlink()
    found = check([tmp_path])
    suite = ElementTree.fromstring(to_junit(found))
    assert (suite.get("tests"), suite.get("failures")) == (str(len(found)), "1")
    assert len(suite.findall("testcase")) == len(found)
    [failure] = suite.findall("testcase/failure")
    assert "scores.npz" in (failure.text or "")


def test_an_annotation_is_one_line_whatever_it_says(save_run, tmp_path):
    _edit(save_run(), lambda data: data.update(method="x\n::warning::y,z"))
    lines = to_github(check([tmp_path])).splitlines()
    assert lines
    assert all(line.startswith("::error file=") for line in lines)


def test_a_line_for_people_is_one_line_without_commands_whatever_it_says(save_run, tmp_path):
    _edit(save_run(), lambda data: data.update(method="x\n::warning::y\x1b[2J\u202e ##[error]z"))
    for text in (describe(check([tmp_path])), to_github(check([tmp_path]))):
        assert all("result.json" in line for line in text.splitlines())
        assert not {"\x1b", "\u202e"}.intersection(text)
        assert "##[" not in text


def test_every_check_says_what_it_looks_for():
    assert all(function.__doc__ for function in checking._CHECKS.values())
