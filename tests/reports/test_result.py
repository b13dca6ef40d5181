"""The record: written so that people can read it, read so that nothing false gets through."""

import json
from pathlib import Path

import pytest

from semibench.errors import DataError
from semibench.protocols.protocol import EvaluationRule
from semibench.reports import result as record

WRITTEN = Path(__file__).parent / "written"  # by earlier versions: to be read forever


def _edit(path, change):
    """Rewrite the JSON object in ``path``."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


@pytest.fixture
def path(make_result, tmp_path):
    record.write(make_result(), tmp_path / "result.json")
    return tmp_path / "result.json"


def test_what_is_read_is_what_was_written(make_result, path):
    assert record.read(path) == make_result()


def test_a_row_of_the_confusion_matrix_stands_on_its_own_line(path):
    assert '  "confusion": [\n    [3, 1],\n    [1, 3]\n  ],\n' in path.read_text()


def test_keys_stand_in_declared_order_with_the_schema_first(path):
    assert list(json.loads(path.read_text())) == ["schema", *list(record.Result.model_fields)[1:]]


def test_the_file_ends_with_a_line_feed(path):
    assert path.read_text().endswith("}\n")


def test_figures_follow_from_the_confusion_matrix(make_result):
    # 3 right of 3 + 1 + 1 for both classes
    result = make_result(confusion=((3, 1), (1, 3)))
    assert (result.miou, result.ranked.pixel_accuracy) == (0.6, 0.75)


def test_a_class_that_does_not_occur_has_no_iou_and_counts_as_the_rule_says(make_result):
    confusion = ((3, 1, 0), (1, 3, 0), (0, 0, 0))
    names = ("background", "ring", "cross")
    everything = EvaluationRule(mode="whole", select_on="val", report_on="test", classes="all")
    present = make_result(confusion=confusion, class_names=names)
    assert present.ranked.class_iou == (0.6, 0.6, None)
    assert present.miou == 0.6
    assert make_result(confusion=confusion, class_names=names, evaluation=everything).miou == pytest.approx(0.4)


def test_the_rule_says_which_checkpoint_ranks(make_result):
    rule = EvaluationRule(mode="whole", select_on="val", report_on="test", checkpoint="best")
    result = make_result(evaluation=rule)
    assert result.ranked is result.best


@pytest.mark.parametrize("text", ["", "{", '{"schema": 1', "[" * 100_000, b"\xff\xfe".decode("latin1") + "{", "[]"])
def test_what_is_not_a_whole_json_object_is_refused_by_name(path, text):
    path.write_text(text, encoding="latin1")
    with pytest.raises(DataError, match=r"result\.json"):
        record.read(path)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"absent\.json cannot be read"):
        record.read(tmp_path / "absent.json")


def test_a_newer_schema_asks_for_an_upgrade(path):
    _edit(path, lambda data: data.update(schema=99, colour="blue"))
    with pytest.raises(DataError, match=r"schema 99, this semibench reads up to 1\. Upgrade semibench"):
        record.read(path)


def test_a_file_without_a_schema_is_no_result(path):
    _edit(path, lambda data: data.pop("schema"))
    with pytest.raises(DataError, match="names no schema"):
        record.read(path)


@pytest.mark.parametrize("schema", ["1", True, 1.0, None, [1]])
def test_a_schema_is_a_whole_number(path, schema):
    _edit(path, lambda data: data.update(schema=schema))
    with pytest.raises(DataError, match=r"result\.json"):
        record.read(path)


def test_only_the_name_of_a_key_in_the_file_names_it(path):
    _edit(path, lambda data: data.update(schema_version=data.pop("schema")))
    with pytest.raises(DataError, match="names no schema"):
        record.read(path)


def test_a_file_in_another_encoding_is_refused(path):
    path.write_bytes(path.read_text().encode("utf-16"))
    with pytest.raises(DataError, match="is not whole JSON"):
        record.read(path)


@pytest.mark.parametrize("written", sorted(WRITTEN.glob("schema-*.json")), ids=lambda path: path.stem)
def test_what_earlier_versions_wrote_is_read_as_it_was_meant(written):
    result = record.read(written)
    assert (result.kind, result.miou, result.coverage, result.about) == ("run", 0.6, None, "")
    assert result.cost is not None
    assert result.cost.energy is None
    assert [teacher.role for teacher in result.teachers] == ["teacher"]


def test_pixels_beyond_32_bits_are_counted(make_result, path):
    n = 2**40
    record.write(make_result(confusion=((3 * n, n), (n, 3 * n))), path)
    assert record.read(path).miou == 0.6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"kind": "external"}, "kind is external, division controlled", id="kind alone"),
        pytest.param({"division": "external"}, "kind is run, division external", id="division alone"),
        pytest.param({"cost": None, "macs": None}, "kind is run, division controlled, and cost", id="cost alone"),
    ],
)
def test_a_run_cannot_be_half_external(path, changes, message):
    _edit(path, lambda data: data.update(changes))
    with pytest.raises(DataError, match=message):
        record.read(path)


def test_an_unknown_key_is_refused_with_the_nearest(path):
    _edit(path, lambda data: data.update(mIoU=0.9))
    with pytest.raises(DataError, match="unknown key 'mIoU'"):
        record.read(path)


def _best_is_longer(data):
    data["best"]["n_images"] = 3


def _wide(data):
    for place in (data, data["last"], data["best"]):
        place["confusion"] = [[3, 1, 0], [1, 3, 0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda data: data.update(miou=0.7), "miou is 0.7, that of the checkpoint that ranks is 0.6", id="top"),
        pytest.param(lambda data: data["last"].update(miou=0.7), "last.miou is 0.7, its confusion matrix gives 0.6", id="last"),
        pytest.param(lambda data: data["best"].update(pixel_accuracy=0.9), "best.pixel_accuracy is 0.9", id="accuracy"),
        pytest.param(lambda data: data["last"].update(class_iou=[0.6, 0.7]), "last.class_iou is not", id="class"),
        pytest.param(lambda data: data["last"].update(class_iou=[0.6]), "last.class_iou is not", id="classes"),
        pytest.param(lambda data: data.update(confusion=[[4, 0], [0, 4]]), "confusion is not that of", id="confusion"),
        pytest.param(lambda data: data.update(macs=1), "macs is 1, cost.macs is 10670000", id="macs"),
        pytest.param(lambda data: data["last"].update(subset="val"), "last was scored on 'val'", id="subset"),
        pytest.param(_best_is_longer, "different numbers of images", id="images"),
        pytest.param(_wide, "last.confusion is not 2 x 2", id="square"),
    ],
)
def test_a_result_that_contradicts_itself_is_refused(path, change, message):
    _edit(path, change)
    with pytest.raises(DataError) as error:
        record.read(path)
    assert f"{path} contradicts itself: " in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize("value", [-1, 1.5, "many", float("nan"), 2**63])
def test_a_count_is_a_whole_number_that_sums_can_hold(path, value):
    _edit(path, lambda data: data["last"]["confusion"][0].__setitem__(0, value))
    with pytest.raises(DataError, match=r"last\.confusion\.0\.0"):
        record.read(path)


def test_a_weight_file_is_named_without_its_folder(path):
    weights = {"name": "/home/someone/net.pt", "sha256": "f" * 64, "matched": 1, "missing": [], "unexpected": []}
    _edit(path, lambda data: data.update(weights=[weights]))
    with pytest.raises(DataError, match=r"weights\.0\.name"):
        record.read(path)


def test_the_json_schema_names_the_keys_as_the_file_does(path):
    schema = record.json_schema()
    assert sorted(schema["required"]) == sorted(json.loads(path.read_text()))
    assert schema["additionalProperties"] is False


def _set(data, key, value):
    *parents, last = key.split(".")
    for parent in parents:
        data = data[parent]
    data[last] = value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", -1),
        ("steps", 10**400),
        ("seed", -1),
        ("seed", 10**400),
        ("cost.parameters", 2**63),
        ("last.step", 10**400),
        ("last.n_images", 2**63),
        ("provenance.threads", 10**400),
        ("cost.input_size", [2**63, 1]),
        ("cost.training_seconds", 1e308),
        ("cost.training_seconds", 1e-320),
        ("cost.energy", 1e-320),
        ("cost.training_images_per_second", 1e-320),
        ("cost.latency.images_per_second", 1e308),
    ],
)
def test_a_number_that_nothing_can_have_is_refused(path, key, value):
    _edit(path, lambda data: _set(data, key, value))
    with pytest.raises(DataError, match=key.replace(".", r"\.")):
        record.read(path)


def test_nothing_may_take_no_time(path):
    _edit(path, lambda data: _set(data, "cost.training_seconds", 0.0))
    assert record.read(path).cost.training_seconds == 0
