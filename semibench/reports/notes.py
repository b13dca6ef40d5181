"""What stands below a table: how its numbers were made, and what it leaves out."""

from collections.abc import Iterator, Sequence

from semibench.protocols.protocol import EvaluationRule
from semibench.reports.aggregate import AGREEMENT, DISPUTED, Group, agree, names
from semibench.reports.columns import seconds_per_step
from semibench.reports.listing import RunSummary


def notes(groups: Sequence[Group], statistics: Sequence[str], left_out: Sequence[RunSummary]) -> tuple[str, ...]:
    """Return the notes of the table of ``groups``, which share a protocol, in reading order; ``statistics`` are among them."""
    return (
        *_scoring(groups),
        *statistics,
        *_divisions(groups),
        *_cost(groups),
        *_speed(groups),
        *([leaving_out(left_out)] if left_out else []),
    )


def leaving_out(runs: Sequence[RunSummary]) -> str:
    """Return the sentence that names runs without a result."""
    names = ", ".join(f"{run.name} ({run.status})" for run in runs)
    return f"Left out, not complete: {len(runs)} {'run' if len(runs) == 1 else 'runs'}: {names}."


def _scoring(groups: Sequence[Group]) -> Iterator[str]:
    first = groups[0].first
    if first.synthetic:
        yield f"{first.dataset} is drawn by the program, for trying, testing and teaching: not a benchmark of methods."
    yield (
        "mIoU: mean ± sample standard deviation over seeds, in percent; a single seed has no ±. "
        "Best bold, second best underlined, by the unrounded mean."
    )
    rule, scores = first.evaluation, first.ranked
    scored = f"Scored on {scores.n_images} images (subset {scores.subset})"
    if all(group.first.kind == "external" for group in groups):
        yield f"{scored}; {_mean(rule)}."
    else:
        yield f"{scored} with the {rule.checkpoint} checkpoint{_chosen(rule)}: {_rule(rule)}; {_mean(rule)}."
    yield (
        f"Digests: protocol {first.digest[:12]}, evaluation rule {first.digests.evaluation[:12]}, "
        f"truth masks {first.digests.truth[:12]}."
    )


def _chosen(rule: EvaluationRule) -> str:
    return f" (chosen on {rule.select_on})" if rule.checkpoint == "best" else ""


def _rule(rule: EvaluationRule) -> str:
    parts = ["whole images"]
    if rule.mode == "sliding" and rule.window and rule.stride:
        window, stride = " x ".join(map(str, rule.window)), " x ".join(map(str, rule.stride))
        border = {"shift": "moved inside", "cut": "cut off"}[rule.border]
        parts = [f"windows of {window}, stride {stride}, {border} at the border, mean of {rule.average}"]
    if rule.short_side is not None:
        parts.append(f"short side resized to {rule.short_side}")
    if rule.multiple_of is not None:
        parts.append(f"sides resized to multiples of {rule.multiple_of}")
    return ", ".join(parts)


def _mean(rule: EvaluationRule) -> str:
    if rule.classes == "present":
        return "the mean is over classes that occur in truth or predictions"
    return "the mean is over all classes, absent ones as 0"


def _divisions(groups: Sequence[Group]) -> Iterator[str]:
    divisions = sorted({group.first.division for group in groups})
    if len(divisions) > 1:
        yield f"Rows are of several divisions ({', '.join(divisions)}): they were not trained under equal conditions."
    steps = sorted({result.steps for group in groups if group.first.division == "custom" for result in group.results})
    if steps:
        yield f"custom: recipes were set by hand, with {' or '.join(f'{number:,}' for number in steps)} steps of training."
    external = [group for group in groups if group.first.kind == "external"]
    if external:
        yield (
            "external: label maps that another program made, counted here as those of runs are. Which images it learnt from, "
            "how it predicted and what that cost was not seen."
        )
    for group in external:
        said = dict.fromkeys(result.about for result in group.results if result.about)
        yield from (f"{group.first.method} (external), as its scorer says: {about}" for about in said)


def _cost(groups: Sequence[Group]) -> Iterator[str]:
    costs = [group.first.cost for group in groups if group.first.cost]
    if not costs:
        return
    sizes = sorted({cost.input_size for cost in costs})
    shown = ", ".join(f"{height} x {width}" for height, width in sizes)
    yield (
        f"Operations are of one image of {shown} pixels, 2 FLOPs per multiply-accumulate; "
        "parameters are those of the network that predicts."
    )
    uncounted = sorted({name for cost in costs for name in cost.uncounted})
    if uncounted:
        yield f"Not counted: {', '.join(uncounted)}."


def _speed(groups: Sequence[Group]) -> Iterator[str]:
    conditions = {
        (result.provenance.device, latency.batch, latency.size)
        for group in groups
        for result in group.results
        if result.cost and (latency := result.cost.latency)
    }
    if conditions:
        shown = "; ".join(f"{device}, batch {batch} of {size[0]} x {size[1]}" for device, batch, size in sorted(conditions))
        yield f"Images/s: forward passes after warm-up, on {shown}."
    if any(group.first.cost and not _is_measured_alike(group) for group in groups):
        yield (
            "Images/s, latency and what training cost are shown only where all seeds of a row were measured alike on one "
            f"device and {AGREEMENT}."
        )
    disputed = [name for name, group in zip(names(groups), groups, strict=True) if group.is_disputed]
    if disputed:
        yield (
            f"Images/s {DISPUTED}: {', '.join(disputed)}. They, latencies and times of training of these rows are not shown, "
            "nor is Time/step between two of them."
        )


def _is_measured_alike(group: Group) -> bool:
    steps = [seconds for seconds in map(seconds_per_step, group.results) if seconds is not None]
    return group.measured_speed is not None and agree(steps)
