"""JSON: the same values for programs that want the notes, too."""

import json

from semibench.reports.render.json import render
from semibench.reports.render.table import Cell, Column, Table


def test_a_row_is_an_object_of_unrounded_values():
    columns = (Column("method", "Method", "left", ("method",)), Column("miou", "mIoU (%)", "right", ("miou_mean", "miou_std")))
    row = (Cell("fixmatch", ("fixmatch",)), Cell("51.23", (0.5123456, None), "best"))
    table = Table("voc-92", {"protocol": "voc-92", "synthetic": False}, columns, (row,), ("A note.",))
    assert json.loads(render([table])) == {
        "tables": [
            {
                "title": "voc-92",
                "protocol": "voc-92",
                "synthetic": False,
                "rows": [{"method": "fixmatch", "miou_mean": 0.5123456, "miou_std": None}],
                "notes": ["A note."],
            }
        ]
    }
