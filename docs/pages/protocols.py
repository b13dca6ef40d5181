"""Every protocol of the catalogue: counts, digests, sources, rules and recipe."""

from collections.abc import Mapping, Sequence
from typing import Any  # JSON values have no narrower type

from docs.pages._markdown import anchor, blocks, bullets, code, source, table, text
from semibench.protocols import names
from semibench.protocols.describe import describe
from semibench.protocols.protocol import EvaluationRule, Protocol, load

INTRODUCTION = """# Protocols

A protocol is a data set, a partition of its training images into labelled and unlabelled ones, evaluation rules, seeds, and a
controlled recipe. This page is the whole catalogue; the data sets have [a page of their own](datasets.md).

**Names.** `<data set>-<labelled images>[@family]`. A family is a set of lists that were made together: `voc-662@cps` and
`voc-662@u2pl` label 662 images each and have 43 in common. It is nested if each list is part of the next larger one. A name
without family is one protocol where papers agree on the list, such as `voc-92`; elsewhere it is an error that names the
families. What papers say, such as `"voc 1/16 U2PL"`, is understood where it is one protocol's.

**Hashed partitions.** `<data set>-<n>@hash<k>` exists for every data set, every n and every k. It needs no list, and
[anyone can recompute it](hashed-partitions.md).

**Digests.** That of a list is the SHA-256 of its ids, sorted and joined by line feeds; tables show its first 12 digits, the
paragraphs below them all 64. Unlabelled is what the pool has besides the labelled images, unless another list was published.
"Shuffled with seed k" means the first n of the sorted pool after Python's `random.Random(k).shuffle`.

    semibench protocol fetch voc-92                    the lists, from the public sources named here
    semibench protocol verify voc-92                   its lists against these digests
    semibench protocol verify --all --lists FOLDER     the same for all lists in a folder
    semibench protocol show voc-92                     what this page says, and which lists are at hand
    semibench protocol diff voc-662@cps voc-662@u2pl   how far two are the same

**Rules.** Whole images are scored at once, sliding windows (height x width) every `stride` pixels; at the border the last ones
are moved inside the image (`shift`) or cut off (`cut`), and where they overlap, probabilities or logits are averaged. Images
are first resized to a short side of `short_side`, then to sides of the nearest `multiple_of`. The mean is over the `classes`
that are `present` in truth or predictions, or over `all`. `checkpoint` says which one ranks; `best` is the best on `select_on`
among evaluations `every` so many steps. The number is measured on `report_on`. Results share a table only if they share the
digest of their rule."""

SHORT = 12  # digits of a digest, as in tables of results
NAMED = {"aliases": "also called", "used_by": "used by"}
WINDOWS = ("window", "stride", "border", "average")  # what only sliding windows have
UNSET = {"short_side": "as it is", "multiple_of": "as it is", "every": "a tenth of the run"}


def page() -> str:
    """Return the page."""
    members: dict[str, list[Protocol]] = {}
    for name, entry in names.entries().items():
        members.setdefault(entry.dataset, []).append(load(name))
    contents = bullets(
        f"[{dataset}]({anchor(dataset)}): {text(protocols[0].title)}, {len(protocols)} protocols"
        for dataset, protocols in members.items()
    )
    return blocks(INTRODUCTION, contents, *(_section(*member) for member in members.items())) + "\n"


def _section(dataset: str, protocols: Sequence[Protocol]) -> str:
    first, described = protocols[0], [describe(protocol) for protocol in protocols]
    seeds = ", ".join(map(str, first.seeds))
    return blocks(
        f"## {dataset}",
        f"{text(first.title)}: [classes, files and terms](datasets.md{anchor(dataset)}).",
        f"Seeds {seeds}; version {first.version}. Source: {text(first.source)}.",
        table(("Protocol", "Labelled", "Unlabelled", "Pool", "Labelled list", "Rule"), map(_row, described)),
        *map(_details, described),
        f"### Rules of {dataset}",
        _rules(first),
        bullets(f"{code(name)}, {code(first.rule(name).digest())}: {text(rule.source)}" for name, rule in first.rules.items()),
        f"### Controlled recipe of {dataset}",
        "Names are those of `semibench show`; what is not named has its default.",
        table(("Setting", "Value"), _settings(first)),
    )


def _row(described: Mapping[str, Any]) -> list[str]:
    name, digest = described["name"], _digest(described)
    return [
        f"[{name}]({anchor(name)})",
        f"{described['labeled']['count']:,}",
        f"{described['unlabeled']['count']:,}",
        text(" + ".join(filter(None, (described["pool"], described["unlabeled"].get("pool"))))),
        code(digest[:SHORT]) if digest else "[hashed](hashed-partitions.md)",
        text(described["evaluation"]),
    ]


def _details(described: Mapping[str, Any]) -> str:
    labeled, unlabeled = described["labeled"], described["unlabeled"]
    lines = [text(described["about"]), f"labelled: {_listed(labeled['source'], _digest(described))}"]
    if unlabeled["count"]:
        lines.append(f"unlabelled: {_listed(unlabeled['source'], unlabeled.get('sha256'))}")
    lines += [
        *(f"{words}: {text(', '.join(described[key]))}" for key, words in NAMED.items() if described[key]),
        *(f"**defect**: {text(defect)}" for defect in described["defects"]),
    ]
    return blocks(f"#### {described['name']}", bullets(lines))


def _digest(described: Mapping[str, Any]) -> str | None:
    """Return the digest of the labelled list, None where it is hashed."""
    pool, labeled = described["subsets"][described["pool"]], described["labeled"]
    pinned: str | None = (pool if labeled["count"] == pool["count"] else labeled).get("sha256")
    return pinned


def _listed(origin: str, digest: str | None) -> str:
    return f"{source(origin)}, {code(digest)}" if digest else source(origin)


def _rules(protocol: Protocol) -> str:
    """Return a table with a column for each rule and a row for each of its values."""
    rules = [protocol.rule(name) for name in protocol.rules]
    rows = [[code(field), *(_value(rule, field) for rule in rules)] for field in EvaluationRule.model_fields]
    digests = ["digest", *(code(rule.digest()[:SHORT]) for rule in rules)]
    return table(("", *map(text, protocol.rules)), [*rows, digests])


def _value(rule: EvaluationRule, field: str) -> str:
    value = getattr(rule, field)
    if rule.mode == "whole" and field in WINDOWS:
        return "-"
    if isinstance(value, tuple):
        return text(" x ".join(map(str, value)))
    return text(UNSET.get(field, "-") if value is None else value)


def _settings(protocol: Protocol) -> list[list[str]]:
    """Return what the catalogue sets of the network and of the recipe, one part a row."""
    recipe = protocol.recipe.model_dump(mode="json", exclude_unset=True)
    return [[code(name), text(_words(value))] for name, value in {"network": protocol.network, **recipe}.items()]


def _words(value: Any, *, is_nested: bool = False) -> str:
    """Return a value as names and numbers, with brackets around what is nested.

    >>> _words({"name": "sgd", "groups": {"decoder": {"lr_multiplier": 10}}})
    'name sgd, groups (decoder (lr_multiplier 10))'
    """
    if isinstance(value, dict):
        inner = ", ".join(f"{key} {_words(part, is_nested=True)}" for key, part in value.items())
    elif isinstance(value, list):
        inner = ", ".join(_words(part, is_nested=True) for part in value)
    else:
        return str(value)
    return f"({inner})" if is_nested else inner
