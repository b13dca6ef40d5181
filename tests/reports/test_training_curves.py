"""Curves of training from the logs of runs."""

import json

import pytest

from semibench.errors import DataError
from semibench.reports.training_curves import over_seeds, read


def _write(folder, *events, end=""):
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events) + end)


def test_evaluations_are_read_and_other_events_are_not(tmp_path):
    log = {"event": "log", "step": 5, "scalars": {"evaluate": 1.0}}
    evaluations = [{"event": "evaluate", "step": step, "miou": step / 100, "seconds": 1.0} for step in (10, 20)]
    _write(tmp_path, log, *evaluations, end='{"event": "evaluate", "step": 3')
    assert read(tmp_path) == {10: 0.1, 20: 0.2}


def test_a_run_without_a_log_has_no_curve(tmp_path):
    assert read(tmp_path) == {}
    assert over_seeds([{}, {10: 0.5, 20: 0.5}]) is None


@pytest.mark.parametrize(
    "line",
    ['{"event": "evaluate", "step": 1}', '{"event": "evaluate", "step": 1, "miou": NaN}', '["evaluate"]', '"evaluate"',
     '{"event": "evaluate", "step": -1, "miou": 0.5}', '{"event": "evaluate", "step": 1, "miou": 1.5}',
     '{"event": "evaluate", "step": Infinity, "miou": 0.5}', f'{{"event": "evaluate", "step": {2**63}, "miou": 0.5}}'],
)  # fmt: skip
def test_a_damaged_line_is_named(tmp_path, line):
    _write(tmp_path, {"event": "started", "step": 0}, end=f"{line}\n")
    with pytest.raises(DataError, match=r"line 2 of .*events\.jsonl is not an evaluation"):
        read(tmp_path)
