"""Runs that learn from other runs: which teachers are taken, which are refused, and what decides about the run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from semibench.errors import DataError, NotConformantError, SemibenchError, UsageError
from semibench.harness import checkpoint
from semibench.harness.build import build_method
from semibench.harness.configure import Request, resolve
from semibench.harness.folder import RunFolder
from semibench.harness.prepare import Order, Prepared, prepare
from semibench.harness.reopen import reopen
from semibench.protocols.protocol import load

SMALL = ("network.channels=8", "network.low_channels=4", "recipe.steps=2", "recipe.batch={labeled = 2, unlabeled = 2}")
SMALL += ("run.workers=0", "run.tensorboard=false", "run.device=cpu")
Teach = Callable[..., Path]
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def teach(tmp_path: Path) -> Teach:
    """Leave the folder of a teacher: its configuration, a last checkpoint of step 7 and a best one of step 3."""

    def write(name: str, *settings: str, protocol: str = "shapes-16", seed: int = 0, method: str = "cps") -> Path:
        folder = RunFolder(tmp_path / "teachers" / name)
        resolved = resolve(Request(method, load(protocol), seed, settings=SMALL + settings))
        folder.write_config(resolved.to_toml(), f"{seed:064x}")
        built, _ = build_method(resolved.configuration, load(protocol).dataset_class(), weights={})
        checkpoint.save(folder.last, {"step": 7, "method": built.state_dict()})
        with torch.no_grad():
            next(built.parameters()).add_(1)
        checkpoint.save(folder.best, {"step": 3, "method": built.state_dict()})
        return folder.path

    return write


def learn(*settings: str, **teachers: Path) -> Prepared:
    named = tuple(f"method.teachers.{role}={path}" for role, path in teachers.items())
    return prepare(Order(Request("mgd", load("shapes-16"), settings=SMALL + settings + named), None, Path("unused")))


# What decides about a run.


def test_the_place_of_a_teacher_does_not_decide_about_the_run(teach: Teach, tmp_path: Path) -> None:
    teacher = teach("a")
    copied = shutil.copytree(teacher, tmp_path / "elsewhere")
    assert learn(deep=teacher).run_id == learn(deep=copied).run_id == learn(deep=teacher / "checkpoints" / "last.pt").run_id


def test_the_weights_of_a_teacher_and_its_role_do(teach: Teach) -> None:
    one, other = teach("a"), teach("b", seed=1)
    runs = [
        learn(deep=one),
        learn(wide=one),
        learn(deep=other),
        learn(deep=one, wide=other),
        learn(deep=other, wide=one),
        learn(deep=one / "checkpoints" / "best.pt"),
    ]
    assert len({run.run_id for run in runs}) == len(runs)


def test_naming_teachers_leaves_the_division_as_it_is(teach: Teach) -> None:
    named = f"method.teachers.deep={teach('a')}"
    assert resolve(Request("mgd", load("shapes-16"), settings=(named,))).configuration.division == "controlled"


def test_a_run_without_teachers_has_the_id_that_it_had(tmp_path: Path) -> None:
    run = prepare(Order(Request("supervised", load("shapes-16")), None, tmp_path))
    assert run.teachers.records == ()


def test_the_student_starts_from_the_same_values_whoever_teaches(teach: Teach) -> None:
    def start(prepared: Prepared) -> dict[str, torch.Tensor]:
        method, _ = build_method(prepared.configuration, prepared.dataset, {}, prepared.teachers.load)
        return next(iter(method.predictors().values())).state_dict()

    alone = start(prepare(Order(Request("supervised", load("shapes-16"), settings=SMALL), None, Path("unused"))))
    taught = start(learn(deep=teach("a"), wide=teach("b", seed=1)))
    assert all(torch.equal(alone[name], taught[name]) for name in alone)


# Which teachers are taken.


def test_the_teacher_is_the_headline_predictor_at_its_checkpoint(teach: Teach) -> None:
    path = teach("a")
    prepared = learn(deep=path / "checkpoints" / "best.pt")
    teacher = prepared.teachers.load(str(path / "checkpoints" / "best.pt"))
    stored = checkpoint.load(path / "checkpoints" / "best.pt")["method"]
    assert all(torch.equal(value, stored[f"first.{name}"]) for name, value in teacher.state_dict().items())
    (record,) = prepared.teachers.records
    assert (record.role, record.step, record.method, record.backbone, record.miou) == ("deep", 3, "cps", "tiny", None)
    assert record.tensors == checkpoint.digest_tensors(teacher.state_dict())


def test_any_method_can_have_trained_a_teacher(teach: Teach) -> None:
    (record,) = learn(wide=teach("a", method="supervised")).teachers.records
    assert (record.role, record.method) == ("wide", "supervised")


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        pytest.param(
            lambda teach: teach("a", protocol="shapes-48"),
            NotConformantError,
            r"the labels of shapes-48, 32 of them of images that are not labelled in shapes-16",
            id="other labels",
        ),
        pytest.param(
            lambda teach: teach("a", "recipe.normalization.mean=[0.1, 0.2, 0.3]"),
            NotConformantError,
            "saw images normalized otherwise",
            id="other normalization",
        ),
        pytest.param(lambda teach: teach("a").parent, UsageError, "is not the folder of a run", id="no run"),
        pytest.param(
            lambda teach: teach("a") / "checkpoints" / "first.pt",
            DataError,
            r"checkpoint first\.pt not found",
            id="no checkpoint",
        ),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused_before_the_run(
    teach: Teach, build: Callable[[Teach], Path], error: type[SemibenchError], message: str
) -> None:
    with pytest.raises(error, match=message):
        learn(deep=build(teach))


def test_an_unknown_role_is_refused(teach: Teach) -> None:
    with pytest.raises(UsageError, match=r"method\.teachers\.depp"):
        learn(depp=teach("a"))


# The whole way.


def test_two_teachers_and_a_student(tmp_path: Path, call: Call) -> None:
    def train(method: str, *settings: str, seed: int = 0) -> Path:
        chosen = [part for setting in SMALL + settings for part in ("--set", setting)]
        wanted = ["run", "--method", method, "--protocol", "shapes-16", "--seed", str(seed), "--output", tmp_path, "--quiet"]
        code, _, errors = call(*wanted, *chosen)
        assert code == 0, errors
        (found,) = (path.parent for path in tmp_path.glob(f"shapes-16/{method}/*/result.json") if str(seed) == seed_of(path))
        return found

    def seed_of(path: Path) -> str:
        return str(json.loads(path.read_text())["seed"])

    deep, wide = train("cps"), train("cps", seed=1)
    student = train("mgd", f"method.teachers.deep={deep}", f"method.teachers.wide={wide}")
    written = (student / "result.json").read_text()
    result = json.loads(written)
    assert [(teacher["role"], teacher["seed"], teacher["step"]) for teacher in result["teachers"]] == [
        ("deep", 0, 2),
        ("wide", 1, 2),
    ]
    assert [teacher["miou"] for teacher in result["teachers"]] == [
        json.loads((path / "result.json").read_text())["miou"] for path in (deep, wide)
    ]
    assert str(tmp_path) not in written
    assert all(name.startswith("network.") for name in checkpoint.load(student / "checkpoints" / "last.pt")["method"])

    shutil.rmtree(deep)  # a finished student needs no teachers to predict
    assert reopen(student, "last", "cpu").step == 2
