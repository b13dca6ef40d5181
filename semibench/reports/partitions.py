"""Over partitions: what a configuration reaches whichever images are labelled, from protocols that differ in no more."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from semibench.protocols import names
from semibench.reports import aggregate, baseline
from semibench.reports.aggregate import Group, spread
from semibench.reports.columns import MISSING, percent
from semibench.reports.efficiency import partition, scoring
from semibench.reports.render.table import Cell, Column, Table
from semibench.reports.score_columns import mean_interval, show_interval
from semibench.reports.statistics import CONFIDENCE, MIN_SEEDS

FACT = "partitions"  # in the facts of these tables alone

_COLUMNS = (
    Column("method", "Method", "left", ("method",)),
    Column("backbone", "Backbone", "left", ("backbone",)),
    Column("division", "Division", "left", ("division",)),
    Column("config", "Configuration", "left", ("config",)),
    Column("partitions", "Partitions", "left", ("partitions", "n_partitions")),
    Column("runs", "Runs", "right", ("runs",)),
    Column("miou", "mIoU (%)", "right", ("miou_mean", "miou_std", "miou_by_partition")),
    Column("partition_interval", f"mIoU, {100 * CONFIDENCE:.0f} % over partitions", "right", ("miou_low", "miou_high")),
)

_COMPARED = ("difference", "interval", "pairs", "p")  # of the columns with a baseline

_Partitioned = tuple[Group, ...]  # one configuration on several partitions, in their order


def tables(protocols: Sequence[Sequence[Group]], method: str = "") -> list[Table]:
    """Return a table for each number of labels for which a configuration has results on two hashed partitions or more.

    ``protocols`` are the groups of each protocol; with ``method`` rows are compared with it, too, paired by partition.
    """
    kinds: dict[tuple[str, ...], dict[int, Sequence[Group]]] = {}
    for groups in protocols if len(protocols) > 1 else ():
        labels, family = partition(groups[0]) or (0, "")
        seed = names.hash_seed(family)
        if seed is not None:
            kinds.setdefault((*scoring(groups[0]), str(labels)), {})[seed] = groups
    found = ((kind, by_seed, list(_rows(by_seed))) for kind, by_seed in sorted(kinds.items()))
    return [_table(f"{kind[0]}-{kind[-1]}", by_seed, rows, method) for kind, by_seed, rows in found if rows]


def _rows(by_seed: Mapping[int, Sequence[Group]]) -> Iterator[tuple[tuple[int, ...], _Partitioned]]:
    """Yield the partitions and groups of each configuration that has two of them, the highest mean first."""
    configurations: dict[tuple[str, ...], dict[int, Group]] = {}
    for seed, groups in sorted(by_seed.items()):
        for one in groups:
            configurations.setdefault((*one.label[1:], one.identity), {})[seed] = one
    rows = [(tuple(found), tuple(found.values())) for _, found in sorted(configurations.items()) if len(found) > 1]
    yield from sorted(rows, key=lambda row: -spread([one.miou.mean for one in row[1]]).mean)


def _table(
    base: str, by_seed: Mapping[int, Sequence[Group]], rows: Sequence[tuple[tuple[int, ...], _Partitioned]], method: str
) -> Table:
    labels: Counter[tuple[str, ...]] = Counter(groups[0].label[1:] for _, groups in rows)
    ones = [replace(groups[0], config=_config(groups[0], labels)) for _, groups in rows]  # that stand for their rows
    compared = baseline.compare_over_partitions([groups for _, groups in rows], method) if method else []
    kinds = baseline.columns(ones, method, compared, "partitions") if any(one.pairs for one in compared) else {}
    keys = [key for key in _COMPARED if key in kinds]
    first = ones[0].first
    shown = ", ".join(groups[0].first.protocol for _, groups in sorted(by_seed.items()))
    return Table(
        title=f"{base} over partitions",
        facts={
            FACT: " ".join(f"hash{seed}" for seed in sorted(by_seed)),
            "dataset": first.dataset,
            "synthetic": first.synthetic,
        },
        columns=(*_COLUMNS, *(kinds[key].column(key) for key in keys)),
        rows=tuple(
            (*_cells(seeds, groups, one.config), *(kinds[key].cell(one) for key in keys))
            for one, (seeds, groups) in zip(ones, rows, strict=True)
        ),
        notes=(
            f"Over {shown}, which differ in the labelled images alone; the table of each says how it was scored.",
            "mIoU: mean over partitions of the mean over seeds ± sample standard deviation over partitions, in percent, with "
            f"Student's interval from {MIN_SEEDS} partitions on. Rows over other partitions are means of other things.",
            *(baseline.notes_over_partitions(list(zip(aggregate.names(ones), compared, strict=True)), method) if keys else ()),
        ),
    )


def _config(one: Group, labels: Mapping[tuple[str, ...], int]) -> str:
    """Return what tells the row of ``one`` from those with the same label; on its own partition there may be no other."""
    return "" if labels[one.label[1:]] == 1 else one.config or f"config {one.identity[:12]}"


def _cells(seeds: Sequence[int], groups: _Partitioned, config: str) -> tuple[Cell, ...]:
    means = [one.miou.mean for one in groups]
    mean, std = spread(means)
    interval = mean_interval(means)
    runs = sum(len(one.seeds) for one in groups)
    named = " ".join(f"hash{seed}" for seed in seeds)
    return (
        *(Cell(text or MISSING, (text,)) for text in (*groups[0].label[1:], config)),
        Cell(named, (named, len(seeds))),
        Cell(str(runs), (runs,)),
        Cell(percent(mean, std), (mean, std, " ".join(map(repr, means)))),
        Cell(show_interval(*interval), interval),
    )
