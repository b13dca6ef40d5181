"""What others report, as rows of a table of results: in columns of their own, so that no cell holds both."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from semibench.reports.columns import MISSING
from semibench.reports.ledger import Claim, Entry, on
from semibench.reports.render.table import Cell, Column

COLUMNS = (
    Column("reported", "Reported mIoU (%)", "right", ("reported_miou", "reported_setting", "reported_grade")),
    Column("reported_under", "Under", "left", ("reported_crop", "reported_evaluation", "reported_checkpoint", "reported_note")),
    Column("source", "Source", "left", ("reported_source",)),
)

_SHOWN: Mapping[str, Callable[[Claim], str]] = {
    "method": lambda claim: claim.method,
    "backbone": lambda claim: claim.backbone,
    "division": lambda _: "reported",
}


def entries(protocol: str, *, unverified: bool) -> list[Entry]:
    """Return what is reported on ``protocol``; without ``unverified``, what was recalled from memory is left out."""
    return [entry for entry in on(protocol) if unverified or entry.claim.grade != "recalled"]


def row(entry: Entry, columns: Sequence[Column]) -> tuple[Cell, ...]:
    """Return an entry as a row below the rows of measured ``columns``, whose figures it leaves empty."""
    claim = entry.claim
    measured = [_text(_SHOWN[column.key](claim)) if column.key in _SHOWN else empty(column) for column in columns]
    figure = Cell(
        f"{100 * entry.value:.4g}{_doubt(entry)}",
        (entry.value, entry.setting, claim.grade),
        "muted" if _doubt(entry) else "none",
    )
    under = Cell(conditions(claim), (claim.crop, claim.evaluation, claim.checkpoint, claim.note or None))
    return (*measured, figure, under, _text(claim.source))


def empty(column: Column) -> Cell:
    """Return a cell without a value."""
    return Cell(MISSING, (None,) * len(column.fields))


def notes(protocol: str, shown: Sequence[Entry]) -> Iterator[str]:
    """Yield what reported figures are, and how many are not shown."""
    yield (
        "Reported: claims of others, under their own recipes and code, not measured by this program and not ranked with it. "
        "In brackets with a question mark: the source does not name its lists, these may not be them."
    )
    hidden = len(on(protocol)) - len(shown)
    if hidden:
        yield f"Not shown: {hidden} reported {'figure' if hidden == 1 else 'figures'} that nobody has checked (--unverified)."


def _text(value: str) -> Cell:
    return Cell(value, (value,))


def _doubt(entry: Entry) -> str:
    doubts = [] if entry.is_known else [f"{entry.setting}?"]
    doubts += ["unverified"] if entry.claim.grade == "recalled" else []
    return f" ({', '.join(doubts)})" if doubts else ""


def conditions(claim: Claim) -> str:
    """Return what is known of how a claim came about."""
    crop = f"crop {claim.crop}" if claim.crop else ""
    grade = "" if claim.grade == "stated" else claim.grade
    parts = (crop, claim.evaluation or "", f"{claim.checkpoint} checkpoint" if claim.checkpoint else "", claim.note, grade)
    return ", ".join(part for part in parts if part) or MISSING
