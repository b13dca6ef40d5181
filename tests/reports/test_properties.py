"""What holds for any results: their order, their folders and the names in them change nothing that they should not."""

import csv
import html
import io
import json
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from semibench import plugins
from semibench.plain import visible
from semibench.reports import result as record
from semibench.reports import store
from semibench.reports.compare import Selection, build
from semibench.reports.render import csv as csv_format
from semibench.reports.render import json as json_format
from semibench.reports.render import markdown
from semibench.reports.store import Collection

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a|b",
    "**bold** `code` [link](javascript:alert(1))",
    '=HYPERLINK("http://x")',
    "@SUM(1)",
    "../../etc/passwd",
    "line\nbreak | and\rmore",
    "\\input{/etc/passwd}",
    "&amp; &lt;",
    "\N{RIGHT-TO-LEFT OVERRIDE}x\N{ZERO WIDTH SPACE}",
]


def _confusion(hits):
    return ((hits, 100 - hits), (100 - hits, hits))


def test_the_order_of_results_changes_no_table(make_result):
    fields = [
        {"method": method, "seed": seed, "protocol": protocol, "confusion": _confusion(50 + seed * 3 + 7 * (method < "c"))}
        for method in "abcd"  # a and b are equal, c and d, too
        for seed in range(3)
        for protocol in ("voc-92", "voc-183")
    ]
    results = tuple(make_result(**one) for one in fields)
    usual = build(Collection(results), Selection(baseline="a"))

    @given(st.permutations(results))
    def holds(mixed):
        assert build(Collection(tuple(mixed)), Selection(baseline="a")) == usual

    holds()


def test_shards_together_are_the_whole(make_result, save_result, tmp_path):
    runs = [make_result(method="ab"[n % 2], seed=n // 2, confusion=_confusion(50 + 5 * n)) for n in range(6)]
    usual = build(Collection(tuple(runs)), Selection(baseline="b"))
    examples = count()

    @given(st.lists(st.sets(st.integers(0, 2), min_size=1), min_size=6, max_size=6), st.permutations(range(3)))
    def holds(shards_of_run, order):  # a run may lie in several shards, and a shard may be empty
        folder = tmp_path / str(next(examples))
        for shard in order:
            (folder / str(shard)).mkdir(parents=True)
        for one, shards in zip(runs, shards_of_run, strict=True):
            for shard in shards:
                save_result(one, folder / str(shard))
        assert build(store.read([folder / str(shard) for shard in order]), Selection(baseline="b")) == usual

    holds()


@pytest.fixture(params=HOSTILE)
def hostile(request, make_result):
    """A table with a hostile name as method, backbone, class and setting."""
    name = request.param
    common = {"backbone": name, "class_names": ("background", name), "network": {"name": name, "encoder": name}}
    rows = [make_result(method=name, config={name: name}, **common), make_result(method=name, config={}, **common)]
    return name, build(Collection(tuple(rows)), Selection(columns=("method", "backbone", "miou", "class_iou"))).tables


def test_markdown_shows_a_hostile_name_and_nothing_comes_of_it(hostile):
    name, tables = hostile
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown.render(tables))
    assert page.count("<tr>") == 3
    assert not any(tag in page for tag in ("<script", "<img", "<a ", "<code", "<strong>bold"))
    shown = page.replace("<span>", "").replace("</span>", "")
    assert html.escape(visible(" ".join(name.split())), quote=True) in shown


def test_a_spreadsheet_reads_a_hostile_name_as_text(hostile):
    name, tables = hostile
    rows = list(csv.DictReader(io.StringIO(csv_format.render(tables))))
    assert {row["method"].removeprefix("'") for row in rows} == {name}
    assert not any(row["method"].startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for row in rows)


def test_json_keeps_a_hostile_name_as_it_is(hostile):
    name, tables = hostile
    [table] = json.loads(json_format.render(tables))["tables"]
    assert {row["method"] for row in table["rows"]} == {name}


@pytest.mark.parametrize("format_name", sorted(plugins.summaries(plugins.FORMAT)))
def test_every_format_takes_a_hostile_name(hostile, format_name):
    assert plugins.find(plugins.FORMAT, format_name).render(hostile[1])


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_survives_its_file(make_result, tmp_path, name):
    result = make_result(method=name, about=name, class_names=("background", name))
    record.write(result, tmp_path / "result.json")
    assert record.read(tmp_path / "result.json") == result
