"""How much of the time of a table is its own: reading results strictly and rendering them, over parsing their JSON alone.

``make bench`` runs it and prints both; it asserts nothing about time, since a busy machine would fail it.
"""

import json
import time
import timeit
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from semibench.reports import compare, store
from semibench.reports.listing import RESULT, find
from semibench.reports.render import markdown
from semibench.reports.result import Result

PROTOCOLS, METHODS, SEEDS = 4, 50, 5
N_CLASSES = 21
ROUNDS = 5


@pytest.fixture
def runs(make_result: Callable[..., Result], save_result: Callable[..., Path], tmp_path: Path) -> Path:
    """A thousand results of 21 classes."""
    generator = np.random.default_rng(0)
    names = tuple(f"class{label}" for label in range(N_CLASSES))
    for number in range(PROTOCOLS * METHODS * SEEDS):
        protocol, method, seed = np.unravel_index(number, (PROTOCOLS, METHODS, SEEDS))
        confusion = generator.integers(0, 10**6, (N_CLASSES, N_CLASSES)) + 10**7 * np.eye(N_CLASSES, dtype=np.int64)
        labels = {"protocol": f"voc-{protocol}", "method": f"method{method}", "seed": int(seed)}
        save_result(make_result(confusion=confusion.tolist(), class_names=names, **labels))
    return tmp_path


def test_a_table_beside_parsing_alone(runs: Path, benchmark: BenchmarkFixture) -> None:
    def table() -> str:
        return markdown.render(compare.build(store.read([runs]), compare.Selection()).tables)

    def parse() -> None:
        for folder in find([runs]):
            json.loads((folder / RESULT).read_bytes())

    assert benchmark.pedantic(table, rounds=1, warmup_rounds=1).count("| method") == PROTOCOLS * METHODS
    own, parsing = (min(timeit.repeat(work, time.process_time, number=1, repeat=ROUNDS)) for work in (table, parse))
    benchmark.extra_info["over parsing"] = round(own / parsing, 2)
    benchmark.extra_info["processor seconds for 10,000 results"] = round(own * 10_000 / len(find([runs])), 2)
