"""Every method: what it is, what it follows and where it departs from it, and what its authors report."""

import inspect
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from docs.pages._markdown import anchor, blocks, bullets, code, table, text
from docs.pages.datasets import prose
from semibench import plugins
from semibench.methods.method import Method
from semibench.protocols.recipe import Published
from semibench.reports import ledger
from semibench.reports.ledger import Claim
from semibench.reports.reported import conditions

INTRODUCTION = """# Methods

Each method is one file of `semibench/methods/`, whose docstring stands below; its settings are the `Config` there.
[CONTRIBUTING](../CONTRIBUTING.md) shows how to add one, in this repository or in a package of your own.

    semibench run --method METHOD --protocol shapes-48                         the recipe that all methods of a protocol share
    semibench show --method METHOD --protocol voc-92 --division published      the authors' own, where it is known
    semibench check METHOD                                                     whether a method keeps the contract

Provenance says what was read to write a method: *official code* of its authors, *other code*, such as that of another paper's
baseline, the *paper* alone, or less, which makes it a *reconstruction*. Scores below are reported, not measured by this
program; lists, networks, crops and the choice of a checkpoint differ between them. `semibench compare --published`
shows them beside results."""

# Methods, what their sources would let one check, why no test does.
UNTESTED = (
    ("all", "scores in the tables above", "they take data sets and days on a GPU"),
    (
        "unimatch",
        "losses, shares of confident pixels and scores of the training logs from the second step on, and wall times",
        "the same; of the first step the labelled loss is tested",
    ),
    ("maskmatch", "that it is no worse than FixMatch on VOC with the same seeds", "the same"),
    ("guidedmix", "that as many labelled as unlabelled images are demanded", "it takes any numbers"),
    ("mgd", "parameters and operations of whole networks", "the decoder is another; those of the encoders are tested"),
    (
        "deeplabv3plus",
        "parameters and operations of Detectron2's DeepLabV3+",
        "its pyramid and decoder are others; those of UniMatch's network, the default, are tested",
    ),
    (
        "deeplabv2",
        "the dense CRF with kernels that are not normalized",
        "it is not offered: the grid keeps no constant factors",
    ),
)
MEASURED = "measurements/methods-on-shapes-48.md"  # scores and cost per step, measured
DOCS = Path(__file__).parents[1]


def page() -> str:
    """Return the page."""
    summaries = plugins.summaries(plugins.METHOD)
    measured = f"[Measured on shapes-48]({MEASURED}): scores, and the cost of a step." if (DOCS / MEASURED).is_file() else ""
    rows = [(f"[{name}]({anchor(name)})", prose(summary), *_facts(name)) for name, summary in summaries.items()]
    overview = table(("Method", "What it is", "Provenance", "Published recipes"), rows)
    return blocks(INTRODUCTION, measured, overview, *map(_section, summaries), _untested()) + "\n"


def _facts(name: str) -> tuple[str, str]:
    method = plugins.find_class(plugins.METHOD, name, Method)
    return method.provenance, ", ".join(method.published) or "-"


def _section(name: str) -> str:
    real = plugins.real_name(plugins.METHOD, name)
    first, *others = (inspect.getdoc(plugins.find(plugins.METHOD, name)) or "").split("\n\n")
    parts = [f"## {name}", prose(first), *map(_paragraph, others)]
    if real != name:
        return blocks(*parts)
    method = plugins.find_class(plugins.METHOD, name, Method)
    settings = [_settings(dataset, published) for dataset, published in method.published.items()]
    published = blocks("Published recipes:", bullets(settings)) if settings else "There is no published recipe."
    return blocks(*parts, f"Provenance: {method.provenance}.", published, _scores(ledger.by(name)))


def _untested() -> str:
    rows = [(name if name == "all" else f"[{name}]({anchor(name)})", text(what), text(why)) for name, what, why in UNTESTED]
    checks = table(("Method", "What its sources would let one check", "Why no test does"), rows)
    return (
        blocks("## Behavioural checks that are not tests", "All others are tests in `tests/methods`.", checks) if rows else ""
    )


def _paragraph(paragraph: str) -> str:
    """Return a paragraph of a docstring: indented, it is a program's; what follows a line without a period is a list."""
    if paragraph.startswith(" "):
        return f"```text\n{textwrap.dedent(paragraph)}\n```"
    head, *items = re.split(r"\n- ", paragraph)
    return blocks(prose(head) + (":" if items and not head.endswith((".", ":")) else ""), bullets(map(prose, items)))


def _settings(dataset: str, published: Published) -> str:
    network = published.network.get("encoder", published.network["name"])
    rule = f", rule {code(published.rule)}" if published.rule else ""
    return f"{code(dataset)}: {text(published.source)}; {text(network)}{rule}"


def _scores(claims: Sequence[Claim]) -> str:
    """Return the claims on mIoU that somebody has checked."""
    rows = [
        (
            ", ".join(f"{text(protocol)} {100 * score:.4g}" for protocol, score in claim.values.items()),
            text(claim.backbone),
            text(conditions(claim)),
            text(claim.source),
        )
        for claim in claims
        if claim.metric == "miou" and claim.grade != "recalled"
    ]
    if not rows:
        return "There is no reported score that could be read at its source."
    return blocks("Reported mIoU, in percent:", table(("Scores", "Network", "Under", "Source"), rows))
