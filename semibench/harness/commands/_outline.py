"""What 'semibench run --dry-run' prints, as text and as plain JSON."""

from typing import Any

from semibench.harness.memory import Memory
from semibench.harness.outline import Outline
from semibench.harness.prepare import Prepared


def describe(outline: Outline) -> str:
    """Return a table of what would run, and below it the configuration with the origin of each value."""
    configuration, prepared = outline.resolved.configuration, outline.prepared
    name, recipe = configuration.method.model_dump()["name"], configuration.recipe
    digest = f" ({prepared.protocol_digest[:12]})" if prepared else ""
    rows = {
        "run": f"{prepared.run_id[:12]} ({_state(prepared)}) in {prepared.folder.path}"
        if prepared
        else "its data set is not at hand: set --data-root; numbers of images are those of the catalogue",
        "protocol": f"{outline.protocol.name}{digest}, {outline.labeled} labelled + {outline.unlabeled} images",
        "method": f"{name}, {configuration.division} recipe, seed {configuration.seed}",
        "training": f"{outline.steps} steps of {recipe.batch.labeled}+{recipe.batch.unlabeled} images, "
        f"crop {recipe.crop[0]}x{recipe.crop[1]}, {recipe.precision}"
        if outline.steps
        else "none",
        "memory": _memory(outline.memory, recipe.accumulation),
    }
    table = "\n".join(f"{name:10} {text}" for name, text in rows.items())
    return f"{table}\n\n{outline.resolved.to_toml()}"


def summarize(outline: Outline) -> dict[str, Any]:
    """Return the same for scripts; what depends on files is null where the data set is not at hand."""
    configuration, prepared = outline.resolved.configuration, outline.prepared
    return {
        "run_id": prepared.run_id if prepared else None,
        "state": _state(prepared) if prepared else None,
        "folder": str(prepared.folder.path) if prepared else None,
        "digest": prepared.protocol_digest if prepared else None,
        "labeled": outline.labeled,
        "unlabeled": outline.unlabeled,
        "steps": outline.steps,
        "memory": outline.memory._asdict() if outline.memory else None,
        "configuration": configuration.model_dump(mode="json"),
        "origins": dict(outline.resolved.origins),
    }


def _state(prepared: Prepared) -> str:
    return "finished" if prepared.folder.result.exists() else "begun" if prepared.folder.last.exists() else "new"


def _memory(memory: Memory | None, parts: int) -> str:
    if memory is None:
        return "not estimated: it depends on what the method sees"
    named = ", ".join(f"{name} {_size(count)}" for name, count in memory._asdict().items())
    of_parts = f" of one of {parts} parts of a batch" if parts > 1 else ""
    return f"about {_size(memory.total)}: {named}{of_parts}; a device's own workspace comes on top"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
