"""Results -> tables: which columns, which order, which marks, which notes."""

import pytest

from semibench.errors import DataError, UsageError
from semibench.protocols.protocol import EvaluationRule
from semibench.reports.compare import Selection, build
from semibench.reports.listing import RunSummary
from semibench.reports.store import Collection

LOW, MIDDLE, HIGH = ((3, 1), (1, 3)), ((4, 0), (1, 3)), ((4, 0), (0, 4))  # mIoU 0.6, (4/5 + 3/4) / 2, 1
DEFAULT = ["method", "backbone", "division", "seeds", "miou", "parameters", "flops", "images_per_second"]


def _tables(results, left_out=(), **selection):
    return build(Collection(tuple(results), tuple(left_out)), Selection(**selection)).tables


def _texts(table, key="method"):
    index = [column.key for column in table.columns].index(key)
    return [row[index].text for row in table.rows]


@pytest.fixture
def three(make_result):
    return [
        make_result(method="low", confusion=LOW),
        make_result(method="middle", confusion=MIDDLE, images_per_second=80.0),
        make_result(method="high", confusion=HIGH, images_per_second=None),
    ]


def test_each_protocol_has_a_table(make_result):
    tables = _tables([make_result(), make_result(protocol="voc-183")])
    assert [table.title for table in tables] == ["voc-183", "voc-92"]


def test_a_row_shows_what_the_result_holds(make_result):
    [table] = _tables([make_result(seed=0), make_result(seed=1, confusion=HIGH)])
    assert [column.key for column in table.columns] == DEFAULT
    [row] = table.rows
    # mIoU 0.6 and 1: deviation 0.2 * sqrt(2)
    assert [cell.text for cell in row] == ["fixmatch", "resnet18", "controlled", "2", "80.00 ± 28.28", "1.23", "0.0213", "100"]
    assert row[3].raw == (2, "0 1")
    assert row[6].raw == (21_340_000,)


def test_rows_are_sorted_best_first(three):
    [table] = _tables(three)
    assert _texts(table) == ["high", "middle", "low"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        pytest.param("method", ["high", "low", "middle"], id="names ascend"),
        pytest.param("images_per_second", ["low", "middle", "high"], id="no value stands last"),
        pytest.param("flops", ["high", "low", "middle"], id="names decide ties"),
    ],
)
def test_rows_can_be_sorted_by_any_column(three, sort, order):
    [table] = _tables(three, sort=sort)
    assert _texts(table) == order


def test_best_and_second_are_marked_and_equal_means_share_a_mark(three, make_result):
    [table] = _tables([*three, make_result(method="as high", confusion=HIGH)])
    marks = {row[0].text: row[4].emphasis for row in table.rows}
    assert marks == {"as high": "best", "high": "best", "middle": "second", "low": "none"}


def test_marks_go_by_the_unrounded_mean(make_result):
    ahead = ((400_001, 0), (0, 400_000)), ((400_000, 1), (0, 400_000))
    [table] = _tables([make_result(method=str(i), confusion=confusion) for i, confusion in enumerate(ahead)])
    assert _texts(table, "miou") == ["100.00", "100.00"]
    assert [row[4].emphasis for row in table.rows] == ["best", "second"]


def test_a_single_row_has_no_mark(make_result):
    [table] = _tables([make_result()])
    assert table.rows[0][4].emphasis == "none"


def test_columns_are_those_asked_for_in_their_order(three):
    [table] = _tables(three, columns=("miou", "method", "device"))
    assert [column.key for column in table.columns] == ["miou", "method", "device"]


def test_columns_that_tell_rows_apart_appear_when_needed(make_result):
    results = [make_result(), make_result(config={"threshold": 0.8}, device="cuda")]
    [table] = _tables(results)
    assert [column.key for column in table.columns if column.key not in DEFAULT] == ["config", "device"]
    assert _texts(table, "config") == ["method.threshold=0.8", "method.threshold=0.95"]


def test_the_configuration_is_shown_even_when_not_asked_for_if_rows_differ_in_nothing_else(make_result):
    [table] = _tables([make_result(), make_result(config={"threshold": 0.8})], columns=("method", "miou"))
    assert [column.key for column in table.columns] == ["method", "config", "miou"]


@pytest.mark.parametrize("selection", [{"sort": "mIou"}, {"columns": ("method", "mIou")}])
def test_an_unknown_column_names_the_nearest(three, selection):
    with pytest.raises(UsageError, match="column 'mIou' not found; nearest: miou"):
        _tables(three, **selection)


def test_only_the_protocols_asked_for_are_shown(make_result):
    results = [make_result(), make_result(protocol="voc-183")]
    assert [table.title for table in _tables(results, protocols=("voc-183",))] == ["voc-183"]
    with pytest.raises(UsageError, match="protocol 'voc-93' not found; nearest: voc-92"):
        _tables(results, protocols=("voc-93",))


def test_nothing_to_show_is_an_error_with_the_next_step():
    running = RunSummary("voc-92", "fixmatch", 0, "running", None, "abc")
    with pytest.raises(DataError, match="no complete run found; 1 not complete"):
        _tables([], [running])


def test_runs_left_out_are_counted_and_named(make_result):
    ours = RunSummary("voc-92", "fixmatch", 0, "running", None, "abc")
    alone = RunSummary("voc-183", "fixmatch", 0, "failed", None, "def")
    comparison = build(Collection((make_result(),), (ours, alone)), Selection())
    assert comparison.tables[0].notes[-1] == "Left out, not complete: 1 run: voc-92/fixmatch/abc (running)."
    assert comparison.without_table == (alone,)


def test_notes_say_how_the_numbers_were_made(make_result):
    [table] = _tables([make_result()])
    notes = "\n".join(table.notes)
    assert "sample standard deviation" in notes
    assert (
        "Scored on 2 images (subset test) with the last checkpoint: whole images; the mean is over classes that occur" in notes
    )
    assert "protocol aaaaaaaaaaaa, evaluation rule bbbbbbbbbbbb, truth masks dddddddddddd" in notes
    assert "one image of 64 x 64 pixels" in notes
    assert "on cpu, batch 1 of 64 x 64" in notes
    assert "drawn by the program" not in notes


def test_speeds_that_rows_of_one_network_dispute_are_not_shown_and_the_note_says_why(make_result):
    speeds = {"fixmatch": 6.6, "supervised": 9.5, "unimatch": 15.8}
    results = [make_result(method=method, images_per_second=speed) for method, speed in speeds.items()]
    clocks = ("images_per_second", "latency", "step", "hours", "training_images_per_second")
    [table] = _tables(results, columns=("method", *clocks))
    assert [_texts(table, key) for key in clocks] == [["\N{EN DASH}"] * 3] * len(clocks)
    [note] = [note for note in table.notes if "of one network, measured alike" in note]
    assert "more than a factor of 1.5" in note
    assert "fixmatch, supervised, unimatch. They, latencies and times of training of these rows are not shown" in note
    assert not any("seeds of a row were measured alike" in note for note in table.notes)


def test_of_label_maps_of_other_programs_no_checkpoint_is_told(make_result):
    [table] = _tables([make_result(kind="external", division="external", cost=None, macs=None)])
    assert "Scored on 2 images (subset test); the mean is over classes that occur in truth or predictions." in table.notes


def test_a_best_checkpoint_and_windows_are_said(make_result):
    rule = EvaluationRule(
        mode="sliding", window=(9, 8), stride=(6, 5), checkpoint="best", classes="all", select_on="val", report_on="test"
    )
    [table] = _tables([make_result(evaluation=rule)])
    notes = "\n".join(table.notes)
    assert (
        "the best checkpoint (chosen on val): windows of 9 x 8, stride 6 x 5, moved inside at the border, mean of probabilities"
        in notes
    )
    assert "over all classes, absent ones as 0" in notes


def test_tables_say_what_was_set_by_hand_and_for_how_many_steps(make_result):
    [table] = _tables([make_result(division="custom")])
    assert "custom: recipes were set by hand, with 60 steps of training." in table.notes


def test_tables_of_drawn_data_say_so(make_result):
    [table] = _tables([make_result(synthetic=True, dataset="shapes")])
    assert "shapes is drawn by the program, for trying, testing and teaching" in table.notes[0]


def test_divisions_are_never_mixed_silently(make_result):
    results = [make_result(), make_result(division="custom", run_id="f" * 64)]
    [table] = _tables(results, columns=("method", "miou"))
    assert any("several divisions (controlled, custom)" in note for note in table.notes)
