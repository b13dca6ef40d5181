"""HTML: one page that needs nothing else, with figures and where they come from where it is given runs."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any  # what a template is given

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from semibench.hashing import digest_json
from semibench.plain import visible
from semibench.reports import traces
from semibench.reports.aggregate import names
from semibench.reports.columns import MISSING, percent
from semibench.reports.gallery import Gallery
from semibench.reports.page import Page, Section
from semibench.reports.render import _charts, _figures, _rows
from semibench.reports.render.table import Table

_FOLDER = Path(__file__).parent / "page"
_LONG = 200  # rows, from which on sections out of sight are not laid out


def render(tables: Sequence[Table]) -> str:
    """Return a page of tables alone."""
    return render_page(Page(tuple(map(Section, tables))))


def render_page(page: Page) -> str:
    """Return a page with all that is known of the runs behind its tables."""
    style, script = (_read(f"page.{kind}") for kind in ("css", "js"))
    sections = [_section(one, page.sort) for one in page.sections]
    values = {
        "title": "Results",
        "summary": _summary(page),
        "policy": f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        "style": Markup(style),
        "script": Markup(script),
        "left_out": page.left_out,
        "sections": sections,
        "is_long": sum(len(section["rows"]) for section in sections) > _LONG,
        "divisions": sorted({row["division"] for section in sections for row in section["rows"]} - {""}),
        "families": [_figures.efficiency(family) for family in page.families],
        "environments": page.environments,
    }
    text = _template().render(values)
    return visible(text)


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {
        "draw": _charts.draw,
        "swatch": _charts.swatch,
        "square": _charts.color,
        "share": lambda value: MISSING if value is None else f"IoU {percent(value, None)}",
        "percent": lambda value: percent(value, None),
        "gallery_note": _gallery_note,
    }
    return environment.get_template("page.html")


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """Return what a content security policy calls ``text``, so that a browser runs it and nothing else."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _summary(page: Page) -> str:
    runs = sum(traces.count_runs(section.rows) for section in page.sections)
    rows = sum(len(section.table.rows) for section in page.sections)
    counted = [(runs, "run"), (rows, "row"), (len(page.sections), "protocol")]
    return ", ".join(f"{count:,} {name}{'' if count == 1 else 's'}" for count, name in counted if count)


def _section(section: Section, sort: str) -> Mapping[str, Any]:
    table = section.table
    named = names(section.rows)
    first = section.rows[0].first if section.rows else None
    forest = _rows.forest(section)
    return {
        "id": _anchor(table.title),
        "title": table.title,
        "facts": {"synthetic": table.facts.get("synthetic", False)},
        "about": _about(table),
        "columns": _rows.columns(table, sort, forest is not None),
        "forest": forest,
        "rows": _rows.rows(section, forest),
        "first": f"{named[0]}: {percent(section.rows[0].miou.mean, None)} % mIoU" if section.rows else "",
        "n_runs": traces.count_runs(section.rows),
        "notes": table.notes,
        "curves": _figures.curves(section),
        "curves_note": _figures.curves_note(section) if section.curves else "",
        "costs": _figures.costs(section),
        "costs_note": _figures.costs_note(section),
        "heat": _figures.heat(section),
        "galleries": section.galleries,
        "traces": [_trace(number, named[number - 1], one) for number, one in enumerate(section.traces, start=1)],
        "digests": _digests(table) if first else (),
    }


def _about(table: Table) -> str:
    facts = table.facts
    parts = [facts.get("dataset"), f"scored on {facts['subset']}" if "subset" in facts else None]
    parts.append(f"{facts['checkpoint']} checkpoint" if "checkpoint" in facts else None)
    return ", ".join(str(part) for part in parts if part)


def _digests(table: Table) -> list[tuple[str, str]]:
    kinds = {"Protocol": "protocol_digest", "Evaluation rule": "evaluation_digest", "Truth masks": "truth_digest"}
    return [(name, str(table.facts[key])) for name, key in kinds.items() if key in table.facts]


def _trace(number: int, name: str, one: traces.Trace) -> Mapping[str, Any]:
    return {"number": number, "name": name, **vars(one)}


def _anchor(title: str) -> str:
    """Return the id of a section: its protocol's name, with a digest where that cannot be an id as it is.

    >>> _anchor("voc-92@hash0"), _anchor("a b")
    ('voc-92@hash0', 'a-b-5e229e24')
    """
    plain = re.sub(r"[^A-Za-z0-9@._-]+", "-", title)
    return plain if plain == title else f"{plain}-{digest_json(title)[:8]}"


def _gallery_note(index: Gallery) -> str:
    chosen = (
        "Best and worst by the mean of the runs' IoU of an image, disputed by the distance between the highest and the lowest."
    )
    whose = "" if index.synthetic else f" The images are those of {index.dataset}, whose terms say who may show them."
    return f"{chosen} Labels of the {index.checkpoint} checkpoint.{whose}"
