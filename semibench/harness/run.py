"""The composition root: the one place where protocol, method, engine, evaluator and record meet."""

import errno
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch

from semibench import plugins
from semibench.errors import DataError, RunFailedError
from semibench.files import write_text
from semibench.harness import callbacks, checkpoint, cost, environment, pictures, processes, signals
from semibench.harness.build import build_method
from semibench.harness.counting import Evaluation
from semibench.harness.engines.base import Callback, Engine, FitSummary, Plan
from semibench.harness.folder import RunFolder
from semibench.harness.loading import BatchSource, batches, worker_deaths
from semibench.harness.out_of_memory import explaining, explaining_scoring
from semibench.harness.prepare import Prepared, device_of
from semibench.harness.progress import Meter
from semibench.harness.recording import Finished, build_result, measure_cost
from semibench.harness.scoring import Scorer
from semibench.harness.trajectory import Follow
from semibench.methods.method import Method
from semibench.methods.networks._weights import WeightReport
from semibench.reports import result as record
from semibench.reports.result import Result, RunState, Status
from semibench.reports.trajectory import Bands, Deviation


def run(prepared: Prepared, *, show_progress: bool = True) -> Result:
    """Train, evaluate, measure and record; resume what was begun; return at once what is finished.

    Where several processes carry out a run, each of them calls this, and the main one alone writes.
    """
    folder, is_main = prepared.folder, processes.is_main()
    folder.check(prepared.run_id)
    if processes.from_main(folder.result.exists):  # read without lock: its folder need not be writable
        return _read_result(prepared)
    with folder.lock() if is_main else nullcontext():
        if is_main:
            folder.write_config(prepared.resolved.to_toml(), prepared.run_id)
        if processes.from_main(folder.result.exists):  # another run of it has finished since
            return _read_result(prepared)
        try:
            with processes.contact(), _user_errors(folder), Meter(is_shown=show_progress and is_main) as meter:
                return _run(prepared, meter)
        except Exception as error:  # whatever it was, the run is no longer under way
            _write_end(prepared, error)
            raise


def _write_end(prepared: Prepared, error: Exception) -> None:
    """Say why a run has ended: the process that knows says it, the main one that others are lost where nobody has.

    An interruption all know, and the main one has saved.
    """
    is_interrupted = isinstance(error, signals.InterruptedRunError)
    is_lost = isinstance(error, processes.LostProcessError)
    if (is_lost or is_interrupted) and not processes.is_main():
        return
    status_now = prepared.folder.read_status()
    if is_lost and status_now is not None and status_now.status == "failed":
        return
    with suppress(RunFailedError):  # a full disk must not hide what went wrong first
        status: RunState = "running" if is_interrupted else "failed"
        _write_status(prepared, status, _saved_step(prepared.folder), str(error) or type(error).__name__)


def _read_result(prepared: Prepared) -> Result:
    """Return the result of a finished run; mend a status that a killed process left behind."""
    result = record.read(prepared.folder.result)
    status = prepared.folder.read_status()
    if processes.is_main() and (status is None or status.status != "complete"):
        with suppress(RunFailedError):  # the folder may be read-only
            _write_status(prepared, "complete", result.steps)
    return result


def _run(prepared: Prepared, meter: Meter) -> Result:
    configuration, folder = prepared.configuration, prepared.folder
    device = device_of(configuration)
    if configuration.run.threads is not None:
        torch.set_num_threads(configuration.run.threads)
    if processes.is_main():
        write_text(folder.environment, json.dumps(environment.describe(), indent=2) + "\n")
    method, weights = build_method(configuration, prepared.dataset, prepared.weights, prepared.teachers.load)
    if meter.is_shown and configuration.division == "custom":
        click.echo(f"division custom: {prepared.resolved.origins['division']}", err=True)
    for report in weights if meter.is_shown else ():
        click.echo(_describe(report), err=True)
    scorer = Scorer(configuration, prepared.protocol, next(iter(method.predictors().values())), device, meter)
    fit, best_step = _fit(prepared, method, scorer)
    tensors = checkpoint.digest_tensors(method.state_dict())
    with explaining_scoring(device):
        best = last = scorer.report(prepared.dataset)
        if best_step != fit.steps:
            best, best_step = _evaluate_best(prepared, method, scorer)

    def finish() -> Result:
        costs = measure_cost(method, configuration.recipe, fit, device)
        finished = Finished(fit=fit, cost=costs, tensors=tensors, last=last, best=best, best_step=best_step, weights=weights)
        return _record(prepared, finished, scorer)

    return processes.from_main(finish)


def _record(prepared: Prepared, finished: Finished, scorer: Scorer) -> Result:
    """Write the result of a finished run and what goes with it."""
    configuration, folder = prepared.configuration, prepared.folder
    result = build_result(prepared, finished)
    ranked = finished.best if configuration.evaluation.checkpoint == "best" else finished.last
    ranked.per_image.save(folder.scores)
    shown = configuration.evaluation.report_on
    path = folder.pictures / f"{shown}.png"
    pictures.save_comparison(prepared.dataset, prepared.dataset.ids(shown), {"prediction": scorer.predict}, path, count=6)
    record.write(result, folder.result)
    _write_status(prepared, "complete", finished.fit.steps)
    return result


def _fit(prepared: Prepared, method: Method, scorer: Scorer) -> tuple[FitSummary, int]:
    """Train to the end from wherever the folder stands; return a summary and the step of the best evaluation."""
    configuration, folder = prepared.configuration, prepared.folder
    options, total = configuration.run, prepared.total
    resume_from = folder.last if processes.from_main(folder.last.exists) else None
    if processes.is_main():
        _begin(prepared, resume_from)
    if not method.trains:
        return _keep(prepared, method, scorer.device), 0
    watchers, best = _watchers(prepared, scorer)
    energy = callbacks.Energy(lambda: cost.power_draw(scorer.device), options.log_every)
    share = processes.rank(), processes.count()
    source = BatchSource(prepared.dataset, prepared.split, configuration.recipe, method.views, configuration.seed, *share)
    engine = plugins.find_class(plugins.ENGINE, options.engine, Engine)()
    plan = Plan(configuration.recipe, total, configuration.seed, scorer.device, options.compile)
    stream = batches(source, options.workers, pin_memory=scorer.device.startswith("cuda"))
    with worker_deaths(), explaining(configuration, scorer.device), ExitStack() as closing:
        for watcher in (energy, *watchers):
            closing.callback(watcher.close)
        fit = engine.fit(method, stream, plan, (energy, *watchers), resume_from=resume_from)
    return replace(fit, energy=energy.total()), best.best_step


def _watchers(prepared: Prepared, scorer: Scorer) -> tuple[list[Callback], callbacks.Evaluate]:
    """Return what watches a training, in its order, and again the one that knows the best evaluation."""
    configuration, folder = prepared.configuration, prepared.folder
    options = configuration.run

    def on_saved(step: int) -> None:
        _write_status(prepared, "running", step)

    def score() -> float:
        with stop.impatient(), explaining_scoring(scorer.device):
            return scorer.miou(prepared.dataset)

    follow = Follow(folder.events, Bands(prepared.references) if prepared.references else None, _warn)
    last = callbacks.Checkpoint(folder.last, options.checkpoint_every, on_saved, follow.keep)
    stop = callbacks.SaveOnSignal(last)
    every = configuration.evaluation.every or max(prepared.total // 10, 1)
    best = callbacks.Evaluate(score, folder.events, every, folder.best, follow.keep)
    log = callbacks.Log(folder.events, options.log_every, folder.tensorboard if options.tensorboard else None)
    bar = callbacks.Bar(scorer.meter, f"{configuration.protocol} {folder.path.parent.name} seed {configuration.seed}")
    writing: list[Callback] = [log, follow] if processes.is_main() else []
    return [*writing, last, bar, stop, best], best


def _begin(prepared: Prepared, resume_from: Path | None) -> None:
    """Bring the folder into the state of the checkpoint, or of a new run; say what begins."""
    folder, step = prepared.folder, 0
    if resume_from:
        step = _load_last(folder)["step"]
        folder.events.cut(step)
    else:
        folder.forget_attempt()
    _write_status(prepared, "running", step)
    folder.events.append("resumed" if resume_from else "started", step, **environment.versions())


def _keep(prepared: Prepared, method: Method, device: str) -> FitSummary:
    """Write the checkpoints of a method that trains nothing, so that its run can be opened again as any other."""
    method.to(device)
    for path in (prepared.folder.last, prepared.folder.best) if processes.is_main() else ():
        checkpoint.save(path, {"step": 0, "method": method.state_dict()})
    return FitSummary(0, 0.0, 0.0, 0, device, cost.peak_memory(device))


def _evaluate_best(prepared: Prepared, method: Method, scorer: Scorer) -> tuple[Evaluation, int]:
    """Score the best checkpoint and return its step; the method's last weights are put back.

    The step is the file's own: where arithmetic is not repeatable, a resumed run may find another evaluation best than the
    one whose weights it had kept.
    """
    best = checkpoint.load(prepared.folder.best)
    last = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    method.load_state_dict(best["method"])
    evaluation = scorer.report(prepared.dataset)
    method.load_state_dict(last)
    return evaluation, best["step"]


@contextmanager
def _user_errors(folder: RunFolder) -> Iterator[None]:
    """Turn Ctrl-C, and what the disk refuses to any writer, TensorBoard's included, into errors for the user."""
    try:
        yield
    except KeyboardInterrupt as error:
        what = f"the run in {folder.path} was stopped by {{}}, its last checkpoint is of step {_saved_step(folder)}"
        raise signals.stopped(signals.number_of(error), what) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO):
            raise
        raise RunFailedError(
            f"the run in {folder.path} cannot be written: {error.strerror}",
            "Free disk space and give the same command again; it resumes from the last checkpoint.",
        ) from error


def _load_last(folder: RunFolder) -> dict[str, Any]:
    """Return the last checkpoint; raise DataError, with what the folder still holds, when it cannot be read."""
    try:
        return checkpoint.load(folder.last)
    except DataError as error:
        next_step = f"It is damaged. Remove {folder.last}, and the same command starts again."
        with suppress(DataError):
            step = checkpoint.load(folder.best)["step"]
            next_step = (
                f"It is damaged, the one of the best evaluation is whole: copy it with 'cp {folder.best} {folder.last}', and "
                f"the same command goes on from step {step}; or remove {folder.last.name}, and it starts again."
            )
        raise DataError(error.what, next_step) from error


def _saved_step(folder: RunFolder) -> int:
    """Return the step of the last checkpoint, which the status names."""
    status = folder.read_status()
    return status.step if status else 0


def _describe(report: WeightReport) -> str:
    def few(names: tuple[str, ...]) -> str:
        return f"{len(names)}" + (f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" if names else "")

    fitted = f"{report.matched} tensors matched, missing {few(report.missing)}, unexpected {few(report.unexpected)}"
    return f"weights {report.name}: {fitted}"


def _warn(deviation: Deviation) -> None:
    click.echo(
        f"{click.style('Warning:', fg='yellow', bold=True)} {deviation}. The run goes on; compare events.jsonl.", err=True
    )


def _write_status(prepared: Prepared, status: RunState, step: int, error: str | None = None) -> None:
    seed = prepared.configuration.seed
    prepared.folder.write_status(Status(status=status, step=step, total=prepared.total, seed=seed, error=error))
