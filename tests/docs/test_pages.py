"""The reference pages are what the catalogue and the data sets say."""

import re
import subprocess
import sys

import pytest
from markdown_it import MarkdownIt

from docs.generate import DOCS, generate, names
from docs.pages._markdown import anchor, code, table, text
from docs.pages.methods import UNTESTED
from semibench import plugins
from semibench.protocols import archive, pins
from semibench.protocols import names as catalog
from semibench.protocols.protocol import load

PAGES = {name: generate(name) for name in names()}
PARSER = MarkdownIt("commonmark").enable("table")


def headings(page: str) -> list[str]:
    return re.findall(r"^#+ (.+)$", page, re.MULTILINE)


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_up_to_date(name):
    committed = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert committed == PAGES[name], f"docs/{name}.md is out of date: run 'make docs' and commit it"


@pytest.mark.parametrize("name", ["protocols", "datasets"])
def test_a_page_is_written_without_torch(name):
    work = f"import sys; from docs.generate import generate; generate({name!r}); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", work], cwd=DOCS.parent, check=False)
    assert done.returncode == 0


# What stands there.


def test_every_protocol_has_a_paragraph():
    assert set(catalog.entries()) <= set(headings(PAGES["protocols"]))


@pytest.mark.parametrize(
    "pin", [pin for entry in catalog.entries().values() for pin in pins.own(entry)], ids=lambda pin: pin.title
)
def test_a_pinned_list_stands_below_its_protocol_with_its_whole_digest(pin):
    paragraph = PAGES["protocols"].partition(f"\n#### {pin.owner}\n")[2].partition("\n#")[0]
    assert f"{pin.sha256}" in paragraph
    assert f"{'' if pin.kind == 'labeled' else 'un'}labelled: " in paragraph


@pytest.mark.parametrize("dataset", sorted({entry.dataset for entry in catalog.entries().values()}))
def test_every_rule_stands_there_with_its_source_and_whole_digest(dataset):
    protocol = next(load(name) for name, entry in catalog.entries().items() if entry.dataset == dataset)
    for name, rule in protocol.rules.items():
        assert f"- `{name}`, `{protocol.rule(name).digest()}`: {text(rule.source)}\n" in PAGES["protocols"]


def test_known_defects_stand_there():
    defects = [text(defect) for name in catalog.entries() for defect in load(name).defects]
    assert defects
    assert all(f"- **defect**: {defect}\n" in PAGES["protocols"] for defect in defects)


@pytest.mark.parametrize("name", plugins.summaries(plugins.DATASET))
def test_every_data_set_and_its_archives_stand_there(name):
    section = PAGES["datasets"].partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert "classes and their colours" in section
    for published in archive.archives(name):
        assert all(part in section for part in (text(published.name), text(published.terms), published.page))


def test_a_check_that_is_no_test_stands_there_with_the_reason():
    section = PAGES["methods"].partition("\n## Behavioural checks that are not tests\n")[2]
    for name, what, why in UNTESTED:
        assert name in ("all", *plugins.summaries(plugins.METHOD))
        assert f"| {text(what)} | {text(why)} |" in section


# How it is written.


@pytest.mark.parametrize("name", PAGES)
def test_the_rows_of_a_table_have_as_many_cells_as_its_head(name):
    tables = re.findall(r"(?:^\|.*\n)+", PAGES[name], re.MULTILINE)
    assert tables
    for lines in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines.splitlines()}) == 1


@pytest.mark.parametrize("name", PAGES)
def test_a_parser_finds_every_table(name):
    found = sum(token.type == "table_open" for token in PARSER.parse(PAGES[name]))
    assert found == len(re.findall(r"^\| --- \|", PAGES[name], re.MULTILINE))


@pytest.mark.parametrize("name", PAGES)
def test_links_between_pages_lead_somewhere(name):
    links = re.findall(r"\]\(([\w-]+\.md)?(#[\w-]+)?\)", PAGES[name])
    assert links
    for page, place in links:
        target = (DOCS / (page or f"{name}.md")).read_text(encoding="utf-8")
        assert not place or place in map(anchor, headings(target))


def test_a_bar_in_code_does_not_end_a_cell():
    cells = [
        token.content for token in PARSER.parse(table(("Name", "Value"), [[code("a|b"), text("<c|d>")]]))[-9:] if token.content
    ]
    assert cells == ["`a|b`", r"\<c|d\>"]
