"""What the HTML page costs besides its tables, as a ratio; see ``test_overhead`` for why it asserts nothing about time."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from semibench.reports import compare, page
from semibench.reports.render import html
from semibench.reports.result import Result
from semibench.reports.store import Collection

PROTOCOLS, METHODS, SEEDS, CLASSES = 2, 100, 5, 21


def test_a_page_of_a_thousand_results(benchmark: BenchmarkFixture, make_result: Callable[..., Result], tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    names = tuple(f"class {label}" for label in range(CLASSES))
    results = tuple(
        make_result(
            protocol=f"voc-{92 + protocol}@hash0",
            method=f"method {method}",
            seed=seed,
            class_names=names,
            confusion=(generator.integers(0, 9, (CLASSES, CLASSES)) + 99 * np.eye(CLASSES, dtype=np.int64)).tolist(),
        )
        for protocol in range(PROTOCOLS)
        for method in range(METHODS)
        for seed in range(SEEDS)
    )
    selection = compare.Selection()
    began = time.process_time()
    comparison = compare.build(Collection(results), selection)
    tables = time.process_time() - began
    text = benchmark.pedantic(lambda: html.render_page(page.build(comparison, {}, selection.sort, tmp_path)), rounds=3)
    benchmark.extra_info["page over its tables"] = round(benchmark.stats.stats.min / tables, 2)
    benchmark.extra_info["megabytes"] = round(len(text) / 1e6, 2)
