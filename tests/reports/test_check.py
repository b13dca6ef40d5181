"""Whether results are what runs wrote: whatever is edited, moved or cut short is found, by the name of the check."""

import json
from xml.etree import ElementTree

import numpy as np
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
    of_each = ["record", "place", "identity", "catalogue", "settings", "steps", "evaluations", "images", "cost", "counts"]
    assert [one.check for one in found] == [*of_each, *of_each, "lists of shapes-48", "seeds of shapes-48"]


@pytest.mark.parametrize(("trainable", "is_problem"), [(0, False), (7, True)])
def test_no_step_is_right_for_what_has_nothing_to_train_alone(save_run, tmp_path, trainable, is_problem):
    def idle(data):
        data["steps"] = data["last"]["step"] = data["best"]["step"] = 0
        data["cost"]["trainable_parameters"] = trainable

    _edit(save_run(), idle)
    assert (("steps", "0 steps were done, the recipe plans 1000") in _problems(tmp_path)) == is_problem


def _everywhere(data, **values):
    for place in (data, data["last"], data["best"]):
        place.update({key: value for key, value in values.items() if key in place})


def _swap(data):
    """Claim all pixels right, with every figure that follows from the matrix."""
    matrix = np.array(data["confusion"])
    _everywhere(data, **_figures(np.diag(matrix.sum(axis=1))))


def _figures(matrix):
    """Return a confusion matrix and every figure that follows from it, as JSON has them."""
    figures = record.derive(matrix, "present")._asdict() | {"confusion": matrix.tolist()}
    return json.loads(json.dumps(figures))


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
        pytest.param(lambda data: data.update(protocol="shapes-16"), "place", "lies in a folder 'shapes-48'", id="protocol"),
        pytest.param(lambda data: data.update(steps=70), "steps", "70 steps were done, the recipe plans 1000", id="steps"),
        pytest.param(
            lambda data: data["last"].update(step=50), "steps", "the last checkpoint is of step 50 of 1000", id="last"
        ),
        pytest.param(lambda data: data["best"].update(step=1001), "steps", "after the end", id="best"),
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
    assert ("steps", "status.json beside it says running at step 50 of 60, not complete at 1000") in _problems(tmp_path)
    (folder / "status.json").write_text("{")
    assert any("cannot be read" in problem for _, problem in _problems(tmp_path))


def test_a_moved_result_is_found(save_run, tmp_path):
    folder = save_run()
    folder.rename(folder.with_name("0" * 12))
    [(name, problem)] = _problems(tmp_path)
    assert (name, problem[:32]) == ("place", "lies in a folder '000000000000' ")


def test_the_configuration_of_another_run_is_found(save_run, tmp_path):
    path = save_run() / "config.toml"
    path.write_text(f"# run {'0' * 64}\n" + path.read_text().partition("\n")[2])
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
    save_run(division=division, images=299)
    assert {name for name, _ in _problems(tmp_path)} == names


def test_last_and_best_are_of_the_same_images(save_run, tmp_path):
    def change(data):
        data["best"].update(_figures(np.array(data["confusion"]).T + np.eye(9, dtype=int)) | {"step": 200})

    _edit(save_run(), change)
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
    assert any(
        name == "seeds of shapes-48" and "and seed 0 under two names" in problem for name, problem in _problems(tmp_path)
    )


def test_one_run_with_two_scores_is_found(save_run, tmp_path):
    folder = save_run()
    copy = folder.with_name("copy")
    copy.mkdir()
    (copy / "result.json").write_text((folder / "result.json").read_text())
    _edit(copy, _swap)
    assert any("are one run with two scores" in problem for _, problem in _problems(tmp_path))


def test_two_truths_under_one_digest_are_found(save_run, tmp_path):
    save_run()
    save_run(method="supervised", confusion=(np.eye(9, dtype=int) * 7).tolist())
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
    assert f"shapes-48/fixmatch/{folder.name}/result.json: steps: 70 steps were done, the recipe plans 1000\n" in text


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


def _named(name):
    """Claim that a run on shapes-48 was one on another protocol."""
    return lambda data: data.update(protocol=name)


@pytest.mark.parametrize(
    ("change", "name", "problem"),
    [
        pytest.param(lambda data: data.update(dataset="voc"), "catalogue", "dataset is not that of shapes", id="data set"),
        pytest.param(
            lambda data: data["class_names"].reverse(), "catalogue", "class_names is not that of shapes", id="classes"
        ),
        pytest.param(lambda data: data.update(synthetic=False), "catalogue", "synthetic is not that of shapes", id="synthetic"),
        pytest.param(
            _named("voc-92@classic"), "catalogue", "dataset is not that of voc, which voc-92@classic is on", id="other data"
        ),
        pytest.param(_named("voc-92"), "catalogue", "'voc-92' is no full name of the catalogue", id="bare name"),
        pytest.param(_named("nowhere-1@hash" + "9" * 5000), "catalogue", "is no full name", id="no protocol"),
        pytest.param(_named("shapes-16"), "lists of shapes-16", "has another digest than the lists", id="other labels"),
        pytest.param(_named("shapes-9999@hash0"), "lists of shapes-9999@hash0", "9999 labelled images", id="too many labels"),
        pytest.param(
            lambda data: data["evaluation"].update(short_side=64), "catalogue", "the evaluation rule is none of", id="rule"
        ),
        pytest.param(lambda data: data["recipe"].update(crop=[32, 32]), "catalogue", "recipe.crop is not that of", id="recipe"),
        pytest.param(lambda data: data.update(recipe={}), "catalogue", "recipe is not that of protocol", id="no recipe"),
        pytest.param(lambda data: data["network"].update(channels=64), "catalogue", "network.channels is not", id="network"),
        pytest.param(
            lambda data: data.update(network={"name": "another", "encoder": "resnet101"}),
            "catalogue",
            "network.encoder is not that of protocol",
            id="encoder",
        ),
        pytest.param(lambda data: data["cost"].update(flops=7), "cost", "flops is 7, twice macs is", id="flops"),
        pytest.param(lambda data: data["cost"]["latency"].update(p50=9.0), "cost", "do not rise", id="latency"),
        pytest.param(lambda data: data.update(division="custom"), "settings", "other settings: division", id="custom"),
        pytest.param(lambda data: data["config"].update(x=1), "settings", "other settings: method.x", id="method"),
        pytest.param(lambda data: data["recipe"].pop("norm"), "settings", "other settings: recipe.norm", id="missing"),
    ],
)
def test_what_contradicts_the_catalogue_or_what_lies_beside_is_found(save_run, tmp_path, change, name, problem):
    _edit(save_run(), change)
    assert any(check_name == name and problem in text for check_name, text in _problems(tmp_path))


def test_a_run_of_other_numerics_is_not_held_against_recipes_and_lists_that_may_have_changed(save_run, tmp_path):
    def change(data):
        data["provenance"]["numerics"] = 1
        data["recipe"]["crop"] = [32, 32]

    _edit(save_run(), change)
    assert {name for name, _ in _problems(tmp_path)} == {"identity", "settings"}


def test_a_part_of_the_lists_has_another_digest_where_the_run_is_custom(save_run, tmp_path):
    save_run(division="custom", digest="a" * 64)
    assert _problems(tmp_path) == set()


def test_more_images_than_the_subset_has_are_found_whatever_the_division(save_run, tmp_path):
    _edit(save_run(division="custom"), lambda data: data["last"].update(n_images=301) or data["best"].update(n_images=301))
    assert ("images", "301 images were scored, subset val has 300") in _problems(tmp_path)


def test_a_configuration_that_is_no_toml_is_found(save_run, tmp_path):
    path = save_run() / "config.toml"
    path.write_text(path.read_text() + "[")
    assert _problems(tmp_path) == {("settings", "config.toml beside it is not TOML")}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"event": "evaluate", "step": 1000, "miou": 0.99}', "has mIoU 0.99 at step 1000, last has 0.6"),
        ('{"event": "evaluate", "step": 400, "miou": 0.99}', "has its best evaluation at step 400, not 1000"),
        ('{"event": "evaluate", "step": 450, "miou": 0.1}', "has 6 evaluations, not the 5 of every 200 of 1000 steps"),
        ('{"event": "evaluate", "step": -1, "miou": 0.1}', "is not an evaluation"),
    ],
    ids=["last", "best", "steps", "damaged"],
)
def test_a_log_with_other_evaluations_is_found(save_run, tmp_path, line, problem):
    with (save_run() / "events.jsonl").open("a") as file:
        file.write(f"{line}\n")
    assert any(name == "evaluations" and problem in text for name, text in _problems(tmp_path))


def test_a_resumed_run_may_have_found_another_evaluation_best(save_run, tmp_path, make_result):
    provenance = make_result().provenance.model_copy(update={"resumed": 1})
    with (save_run(provenance=provenance) / "events.jsonl").open("a") as file:
        file.write('{"event": "evaluate", "step": 400, "miou": 0.99}\n')
    assert _problems(tmp_path) == set()


def test_a_result_without_log_and_configuration_is_as_written(save_run, tmp_path):
    folder = save_run()
    for name in ("events.jsonl", "config.toml", "status.json"):
        (folder / name).unlink()
    assert _problems(tmp_path) == set()


def test_a_check_from_elsewhere_is_one_of_them(save_run, tmp_path):
    save_run()
    assert _problems(tmp_path, further={"mood": lambda run: [f"{run.result.method} is sad"]}) == {("mood", "fixmatch is sad")}


def test_every_check_says_what_it_looks_for():
    assert all(function.__doc__ for function in checking._CHECKS.values())
