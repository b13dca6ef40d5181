"""HTML: one page that needs nothing else, says what the tables say, and runs nothing that a result brings along."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from semibench.records import MOST
from semibench.reports import compare, page
from semibench.reports.columns import COLUMNS
from semibench.reports.gallery import Color, Embedded, Gallery, Overlay, Picture, Shown
from semibench.reports.render import html
from semibench.reports.render.table import Cell, Column, Table
from semibench.reports.result import LEAST
from semibench.reports.store import Collection

VOID = {"meta", "link", "input", "br", "img"}
HOSTILE = [
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "javascript:alert(1)",
    "a\x00b\u202ec",
    "{{ 7 * 7 }}",
]
HIGH = ((4, 0), (0, 4))


class Reader(HTMLParser):
    """Reads a page the slow obvious way, and insists that what is opened is closed."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements = [], []  # (tag, attributes, texts)
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        element = (tag, dict(attributes), [])
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), []))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, text):
        for _, _, texts in self.open:
            texts.append(text)

    def all(self, tag, **wanted):
        return [
            (attributes, " ".join("".join(texts).split()))
            for name, attributes, texts in self.elements
            if name == tag and all(attributes.get(key.rstrip("_")) == value for key, value in wanted.items())
        ]


def _page(results, tmp_path, folders=None, galleries=(), **selection):
    collection = Collection(tuple(results), (), folders or {})
    comparison = compare.build(collection, compare.Selection(**selection))
    return html.render_page(page.build(comparison, collection.folders, "miou", tmp_path, galleries))


@pytest.fixture
def results(make_result):
    """Two methods of three and one seeds on a protocol, one of them on another protocol, too."""
    seeds = [make_result(seed=seed, confusion=((4, 0), (seed, 4 - seed))) for seed in range(3)]
    return [*seeds, make_result(method="supervised", confusion=HIGH), make_result(protocol="voc-183", division="published")]


@pytest.fixture
def folders(results, tmp_path):
    """A folder for each run, with evaluations of three steps."""
    found = {}
    for result in results:
        folder = found[result.run_id] = tmp_path / "runs" / result.run_id[:12]
        folder.mkdir(parents=True)
        events = [{"event": "evaluate", "step": step, "miou": step / 100} for step in (10, 20, 30)]
        (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return found


@pytest.fixture
def reader(results, folders, tmp_path):
    return Reader(_page(results, tmp_path, folders))


def test_each_protocol_has_a_section_with_its_table(reader):
    assert [attributes["data-protocol"] for attributes, _ in reader.all("section")] == ["voc-183", "voc-92"]
    tables = reader.all("table", class_="results wide")
    assert "Results on voc-92" in tables[1][1]
    assert reader.all("th", scope="col", aria_sort=None)


def test_a_row_says_what_the_markdown_table_says_and_sorts_by_what_is_stored(reader):
    cells = {attributes.get("data-value"): text for attributes, text in reader.all("td") if "data-value" in attributes}
    assert cells["1.0"] == "100.00"
    assert [text for attributes, text in reader.all("th", scope="row") if text == "supervised"]
    assert "100.00" in [text for _, text in reader.all("strong")]


def test_the_column_that_sorts_the_table_says_so(reader):
    sorted_by = [text for attributes, text in reader.all("th") if attributes.get("aria-sort") == "descending"]
    assert sorted_by == ["mIoU (%)"] * 2


def test_notes_stand_below_their_table(reader, results, tmp_path):
    tables = compare.build(Collection(tuple(results)), compare.Selection()).tables
    items = [text for _, text in reader.all("li")]
    assert [note for table in tables for note in table.notes if note not in items] == []


def test_seeds_and_intervals_are_drawn_and_said(reader):
    labels = [attributes["aria-label"] for attributes, _ in reader.all("svg", class_="forest")]
    assert "seeds 100.00" in labels
    assert [label for label in labels if "; interval " in label and label.count(",") == 2]


def test_figures_are_there_and_say_what_they_are(reader):
    titles = [attributes["aria-label"] for attributes, _ in reader.all("svg", class_="chart")]
    assert "mIoU during training on voc-92" in titles
    assert "mIoU against GMACs on voc-92" in titles
    assert ("q9", "100.0") in [(attributes.get("class"), text) for attributes, text in reader.all("td")]


def test_every_row_names_its_runs_and_the_command_that_makes_them(reader, results):
    codes = [text for _, text in reader.all("code")]
    assert all(result.run_id[:12] in codes for result in results)
    assert "semibench run --method fixmatch --protocol voc-92 --seed 0,1,2 --division controlled" in codes
    assert all(result.digest in codes for result in results)
    assert f"runs/{results[0].run_id[:12]}/result.json" in [attributes["href"] for attributes, _ in reader.all("a")]


def test_links_within_the_page_lead_somewhere_and_every_id_is_one(reader):
    ids = [attributes["id"] for _, attributes, _ in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [attributes["href"] for attributes, _ in reader.all("a") if attributes["href"][0] == "#"]
    assert {attributes["href"][1:] for attributes, _ in reader.all("a") if attributes["href"][0] == "#"} <= set(ids)


def test_the_page_needs_nothing_else_and_allows_nothing_else(results, folders, tmp_path):
    text = _page(results, tmp_path, folders)
    reader = Reader(text)
    [(policy, _)] = reader.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        [content] = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy["content"]
    assert not [attributes for _, attributes, _ in reader.elements if "style" in attributes]
    assert not re.search(r"https?://|url\(|@import", text)


def test_order_of_results_and_a_second_writing_change_no_byte(results, folders, tmp_path):
    first = _page(results, tmp_path, folders)
    assert first == _page(results, tmp_path, folders)
    assert first == _page(results[::-1], tmp_path, dict(reversed(folders.items())))


def _count(text):
    reader = Reader(text)
    kinds = {tag: len(reader.all(tag)) for tag in ("script", "style", "img", "iframe")}
    handlers = [key for _, attributes, _ in reader.elements for key in attributes if key.startswith("on")]
    schemes = [
        attributes["href"]
        for _, attributes, _ in reader.elements
        if attributes.get("href", "").lower().startswith("javascript:")
    ]
    return kinds, handlers, schemes


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_wherever_it_stands(make_result, tmp_path, name):
    names = {"protocol": name, "dataset": name, "method": name, "backbone": name, "class_names": (name, "ring")}
    results = [make_result(**names, seed=seed) for seed in (0, 1)]
    harmless = [make_result(seed=seed) for seed in (0, 1)]
    folders = {result.run_id: tmp_path / name.replace("/", "-").replace("\x00", "") for result in results}
    text = _page(results, tmp_path, folders)
    assert _count(text) == _count(_page(harmless, tmp_path))
    shown = re.sub("[\x00\u202e]", "\N{REPLACEMENT CHARACTER}", name)
    assert " ".join(shown.split()) in [text for _, text in Reader(text).all("h2")]
    assert "\x00" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("least", [True, False], ids=["least", "most"])
def test_the_least_and_the_most_that_a_record_may_hold_can_be_drawn(make_result, tmp_path, least):
    count, seconds, rate = (1, LEAST, LEAST) if least else (MOST, 1e10, 1e12)
    common = make_result(method="common")
    cost = common.cost.model_dump() | {
        "parameters": count, "macs": count, "flops": count, "training_seconds": seconds, "energy": seconds,
        "training_images_per_second": rate, "peak_memory": count,
    }  # fmt: skip
    extreme = make_result(steps=count, macs=count, cost=cost)
    (tmp_path / "events.jsonl").write_text(
        "".join(json.dumps({"event": "evaluate", "step": step, "miou": 0.5}) + "\n" for step in (0, count))
    )
    columns = tuple(COLUMNS)
    assert "<svg" in _page([common, extreme], tmp_path, {extreme.run_id: tmp_path}, columns=columns)


def test_the_page_says_why_there_is_no_command(make_result, tmp_path):
    result, kept = make_result(division="custom"), make_result(division="custom", method="kept")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "config.toml").touch()
    reader = Reader(_page([result, kept], tmp_path, {result.run_id: tmp_path, kept.run_id: tmp_path / "runs"}))
    texts = [text for _, text in reader.all("td", class_="wrap")]
    assert "none: set by hand, and there is no config.toml near the page; the record has the settings" in texts
    assert [text.endswith("--config runs/config.toml") for text in texts if text.startswith("semibench run")] == [True]


def test_tables_alone_make_a_page():
    columns = (Column("method", "Method", "left", ("method",)), Column("x", "X", "right", ("x",)))
    table = Table("voc-92", {}, columns, ((Cell("a", ("a",)), Cell("–", (None,), "muted")),), ("A note.",))  # noqa: RUF001
    reader = Reader(html.render([table]))
    assert [text for _, text in reader.all("h2")] == ["voc-92"]
    assert reader.all("td", **{"data-value": ""}, class_="right")[0][1] == "–"  # noqa: RUF001
    assert "A note." in [text for _, text in reader.all("li")]


def test_what_others_report_stands_below_and_is_not_numbered(make_result, tmp_path):
    text = _page([make_result(protocol="voc-92@classic")], tmp_path, published=True)
    rows = [attributes.get("data-row") for attributes, _ in Reader(text).all("tr") if "data-division" in attributes]
    assert rows[0] == "1"
    assert set(rows[1:]) == {None}
    assert len(rows) > 1


def test_more_rows_than_can_be_drawn_are_left_out_of_figures_and_that_is_said(make_result, tmp_path):
    results = [make_result(method=f"m{number:02}") for number in range(45)]
    reader = Reader(_page(results, tmp_path))
    captions = " ".join(text for _, text in reader.all("p"))
    assert "Drawn are the first 20 rows of 45." in captions
    assert "Drawn are the first 40 rows of 45." in captions
    assert len([1 for attributes, _ in reader.all("tr") if "data-row" in attributes]) == 45


def test_pictures_are_embedded_with_what_they_show(results, tmp_path):
    shown = Shown(run_id=results[0].run_id, method="fixmatch", seed=0)
    picture = Picture(id="<b>", reason="worst", image="i.png", truth="t.png", overlays=(Overlay(file="o.png", iou=0.25),))
    index = Gallery(
        protocol="voc-92", digest="a" * 64, dataset="voc", synthetic=False, checkpoint="last",
        runs=(shown,), pictures=(picture,), legend=(Color(name="ring", rgb=(1, 2, 255)),),
    )  # fmt: skip
    uris = {name: f"data:image/png;base64,{name[0]}" for name in ("i.png", "t.png", "o.png")}
    reader = Reader(_page(results, tmp_path, galleries=[Embedded(index, uris)]))
    assert [attributes["src"] for attributes, _ in reader.all("img")] == list(uris.values())
    assert {attributes["alt"] for attributes, _ in reader.all("img")} >= {"Image <b>", "Truth of <b>"}
    assert "#0102ff" in [attributes.get("fill") for attributes, _ in reader.all("rect")]
    assert "The images are those of voc, whose terms say who may show them." in " ".join(text for _, text in reader.all("p"))


STYLE = (Path(html.__file__).parent / "page" / "page.css").read_text()


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_texts_have_the_contrast_that_wcag_aa_asks_for(mode):
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", STYLE.split("prefers-color-scheme: dark")[mode].split("* {")[0]))
    on_paper = [(colors[name], colors[ground]) for name in ("ink", "soft", "accent") for ground in ("paper", "raised")]
    series = [(colors[f"c{number}"], colors["paper"]) for number in range(8)]
    heat = [(colors["on-low" if q < 5 else "on-q5" if q == 5 else "on-high"], colors[f"q{q}"]) for q in range(10)]
    marked = [(colors["ink"], colors["mark"]), (colors["accent"], colors["mark"])]
    assert [(one, f"{_contrast(*one):.2f}") for one in [*on_paper, *series, *heat, *marked] if _contrast(*one) < 4.5] == []


def _contrast(one, other):
    bright, dark = sorted(map(_luminance, (one, other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(color):
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
