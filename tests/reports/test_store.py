"""Folders of runs: every complete run once, every other one named."""

import json

import pytest

from semibench.errors import DataError, NotConformantError
from semibench.reports import store


def test_every_result_below_the_folders_is_read(make_result, save_result, tmp_path):
    results = [make_result(seed=seed) for seed in (0, 1)] + [make_result(protocol="voc-183")]
    for result in results:
        save_result(result)
    assert {result.run_id for result in store.read([tmp_path]).results} == {result.run_id for result in results}


def test_runs_without_a_result_are_left_out_by_name(make_result, save_result, tmp_path):
    save_result(make_result())
    folder = tmp_path / "voc-92" / "fixmatch" / "abc"
    folder.mkdir()
    (folder / "status.json").write_text(json.dumps({"status": "running", "step": 1, "total": 2}))
    collection = store.read([tmp_path])
    assert len(collection.results) == 1
    assert [(run.name, run.status) for run in collection.left_out] == [("voc-92/fixmatch/abc", "running")]


def test_copies_of_a_run_count_once_whichever_is_found_first(make_result, save_result, tmp_path):
    slow, fast = make_result(images_per_second=10.0), make_result(images_per_second=20.0)
    for name, result in {"a": slow, "b": fast, "c": fast, "d": slow}.items():
        save_result(result, tmp_path / name)
    one_way = store.read([tmp_path / "a", tmp_path / "b"]).results
    other_way = store.read([tmp_path / "c", tmp_path / "d"]).results
    assert len(one_way) == 1
    assert one_way == other_way


def test_copies_of_a_run_with_different_scores_are_refused(make_result, save_result, tmp_path):
    save_result(make_result(), tmp_path / "a")
    save_result(make_result(confusion=((4, 0), (0, 4))), tmp_path / "b")
    with pytest.raises(NotConformantError, match=r"has mIoU 0\.6000 in .* and 1\.0000 in"):
        store.read([tmp_path])


def test_a_result_that_cannot_be_read_is_an_error_not_a_gap(make_result, save_result, tmp_path):
    folder = save_result(make_result())
    (folder / "result.json").write_text("{")
    with pytest.raises(DataError, match=folder.name):
        store.read([tmp_path])


@pytest.fixture
def few_are_many(monkeypatch):
    monkeypatch.setattr(store, "_MANY", 4)
    monkeypatch.setattr(store, "_CHUNK", 2)


def test_several_processes_read_what_one_reads(few_are_many, make_result, save_result, tmp_path):
    for seed in range(5):
        save_result(make_result(seed=seed))
    alone, shared = store.read([tmp_path]), store.read([tmp_path], processes=2)
    assert len(shared.results) == 5
    assert shared == alone
    assert all(result.confusion is result.last.confusion is result.best.confusion for result in shared.results)


def test_several_processes_name_the_result_that_cannot_be_read(few_are_many, make_result, save_result, tmp_path):
    folders = [save_result(make_result(seed=seed)) for seed in range(5)]
    (folders[3] / "result.json").write_text("{")
    with pytest.raises(DataError, match=folders[3].name):
        store.read([tmp_path], processes=2)
