"""The plan of the house, held by tests: what may import what, how long things may be, and that nothing is left unused."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from semibench import plugins
from semibench.harness.configure import RunOptions
from semibench.methods.method import Method
from semibench.methods.networks.base import Network
from semibench.protocols import recipe
from semibench.protocols.protocol import EvaluationRule
from semibench.records import Record
from semibench.reports.result import Result

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "semibench"
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 300  # of a file
MAX_FUNCTION_LINES = 50

# Prints the top-level modules that ``work`` loads besides those of a bare interpreter.
PROBE = """
import sys
before = set(sys.modules)
{work}
print("LOADED", *sorted({{name.partition(".")[0] for name in set(sys.modules) - before}}))
"""
CALL = """
from semibench.harness.cli import main
try:
    main(sys.argv[1:])
except SystemExit as done:
    assert not done.code, done.code
"""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    return {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


# Imports.


def loaded_by(work: str, *arguments: str | Path) -> tuple[set[str], str]:
    """Run ``work`` in a fresh interpreter; return the packages of others that it loads, and what it prints."""
    command = [sys.executable, "-c", PROBE.format(work=work), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    output, _, names = done.stdout.rpartition("LOADED ")
    return set(names.split()) - sys.stdlib_module_names - {"semibench"}, output


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--help"], "Commands:"),
        (["--version"], "semibench, version"),
        (["list", "methods"], "fixmatch"),
        (["list", "protocols"], "shapes-48"),
        (["list", "datasets"], "camvid"),
        (["list", "methods", "--json"], '"fixmatch"'),
        (["protocol", "list"], "voc-92@classic"),
        (["protocol", "list", "coco", "--json"], '"coco 1/512"'),
        (["run", "--help"], "--protocol"),
    ],
    ids=" ".join,
)
def test_a_quick_command_loads_click_and_the_standard_library_alone(arguments: list[str], shown: str) -> None:
    loaded, output = loaded_by(CALL, *arguments)
    assert shown in output
    assert loaded == {"click"}


def test_listing_runs_loads_click_and_the_standard_library_alone(
    make_result: Callable[..., Result], save_result: Callable[[Result], Path], tmp_path: Path
) -> None:
    folder = save_result(make_result())
    begun = folder.with_name("begun")
    begun.mkdir()
    (begun / "status.json").write_text('{"status": "running", "step": 1, "total": 2, "seed": 0}')
    loaded, output = loaded_by(CALL, "list", "runs", tmp_path)
    assert "60.00 mIoU" in output
    assert "running" in output
    assert loaded == {"click"}


@pytest.mark.parametrize("room", ["semibench.protocols", "semibench.reports", "semibench.metrics"])
def test_what_is_measured_and_what_is_shown_never_import_torch(room: str) -> None:
    folder = ROOT.joinpath(*room.split("."))
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files]
    loaded, _ = loaded_by(f"import {', '.join(modules)}")
    assert "numpy" in loaded
    assert not loaded & {"torch", "torchvision", "timm", "accelerate"}


def test_the_layers_hold() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout
    assert ", 0 broken" in done.stdout


def test_an_init_file_holds_a_docstring_and_nothing_else(trees: dict[str, ast.Module]) -> None:
    others = [name for name, tree in trees.items() if name.endswith("__init__.py") and not is_docstring_only(tree)]
    assert others == []


def is_docstring_only(tree: ast.Module) -> bool:
    return len(tree.body) == 1 and ast.get_docstring(tree) is not None


# Nothing is left unused.


def defined_in(module: str) -> list[type[BaseModel]]:
    """Return the records that a module defines itself, those inside its classes too."""
    found = importlib.import_module(module)
    tops = [value for value in vars(found).values() if isinstance(value, type) and value.__module__ == module]
    inner = [value for top in tops for value in vars(top).values() if isinstance(value, type)]
    return [value for value in (*tops, *inner) if issubclass(value, Record)]


def config_of(kind: plugins.Kind, base: type[Method] | type[Network]) -> list[object]:
    parts = [(name, plugins.find_class(kind, name, base)) for name in plugins.summaries(kind)]
    own = [(name, part) for name, part in parts if part.__module__.startswith("semibench.")]
    return [pytest.param(part.Config, [name_of_module(module) for module in origins(part)], id=name) for name, part in own]


def origins(part: type[Method] | type[Network]) -> set[str]:
    """Return the modules that a part and its configuration are from: a base class reads its own values."""
    return {
        part.__module__,
        *(base.__module__ for base in part.Config.__mro__ if base.__module__.startswith("semibench.methods.")),
    }


def name_of_module(module: str) -> str:
    return f"{module.replace('.', '/')}.py"


def anywhere() -> list[object]:
    records = [*defined_in(recipe.__name__), EvaluationRule, RunOptions]
    return [pytest.param(model, [name_of(path) for path in FILES], id=model.__name__) for model in records]


def attributes_read(tree: ast.AST) -> set[str]:
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}


def unread(model: type[BaseModel], sources: Iterable[ast.AST]) -> set[str]:
    """Return the fields that no source reads; ``name`` only chooses between records."""
    return set(model.model_fields) - {"name"} - set().union(*map(attributes_read, sources))


@pytest.mark.parametrize(
    ("model", "files"),
    [*config_of(plugins.METHOD, Method), *config_of(plugins.NETWORK, Network), *anywhere()],
)
def test_every_value_that_can_be_set_is_read(model: type[BaseModel], files: list[str], trees: dict[str, ast.Module]) -> None:
    assert unread(model, [trees[name] for name in files]) == set()


def test_a_value_that_nobody_reads_would_be_found() -> None:
    class Config(Record):
        used: int = 0
        dead: int = 0

    sources = [ast.parse("config.dead = config.used"), ast.parse("Config(dead=1)"), ast.parse("dead")]
    assert unread(Config, sources) == {"dead"}


# Small and plain.


def functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1


def test_no_file_is_too_long_to_read() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_no_function_is_too_long_to_see_at_once(trees: dict[str, ast.Module]) -> None:
    lengths = {f"{path}:{name}": length for path, tree in trees.items() for name, length in functions(tree)}
    assert len(lengths) > len(FILES)
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}


def is_print(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"


def is_silent_except(node: ast.AST) -> bool:
    return isinstance(node, ast.ExceptHandler) and (node.type is None or all(isinstance(line, ast.Pass) for line in node.body))


@pytest.mark.parametrize("is_banned", [is_print, is_silent_except], ids=["print", "bare or silent except"])
def test_what_is_banned_is_not_there(is_banned: Callable[[ast.AST], bool], trees: dict[str, ast.Module]) -> None:
    sample = ast.parse("try:\n    print(1)\nexcept:\n    raise\ntry:\n    print(2)\nexcept ValueError:\n    pass")
    assert sum(map(is_banned, ast.walk(sample))) == 2
    found = [f"{name}:{node.lineno}" for name, tree in trees.items() for node in ast.walk(tree) if is_banned(node)]
    assert found == []
