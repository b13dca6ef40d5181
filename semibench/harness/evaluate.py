"""The only evaluator: every image once, int64 counts, scores derived from them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

from semibench.harness import processes
from semibench.harness.counting import Evaluation, Judged, Tally, check_list, count
from semibench.harness.inference import Labeler, evaluating
from semibench.harness.streaming import Item, group_by_size, read, size_of
from semibench.harness.threads import in_order
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.protocol import EvaluationRule
from semibench.protocols.recipe import Normalization


def evaluate(
    predictor: nn.Module,
    dataset: Dataset,
    ids: Sequence[str],
    rule: EvaluationRule,
    normalization: Normalization,
    *,
    device: torch.device | str = "cpu",
    detail: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Score ``predictor`` (N, 3, H, W) -> logits (N, K, H, W) on the images ``ids``, each exactly once.

    Processes that have met share the images and all return the same, which is what one would return alone.
    ``detail=False`` leaves out the counts per image: for evaluation during training. ``progress`` is called with the
    number of images done. ``dataset`` is read by several threads. Raises DataError for a list that is empty, names an
    image twice or has no pixel to judge, and RunFailedError for output of the wrong shape or not finite.
    """
    check_list(ids)
    n_classes, ignore_index = len(dataset.class_names), dataset.ignore_index
    labeler = Labeler(predictor, rule, normalization, n_classes, device)
    tally = Tally(n_classes)
    with ThreadPoolExecutor(_threads()) as pool, evaluating(predictor):
        judged = _judge(labeler, _own_batches(pool, dataset, ids, rule, normalization), detail)
        for counted in in_order(pool, lambda item: count(item, n_classes, ignore_index, detail=detail), judged):
            tally.add(counted)
            if progress is not None:
                progress(min(len(tally.digests) * processes.count(), len(ids)))
    return _merge(processes.gather(tally)).evaluation(ids, detail)


def _threads() -> int:
    """Return how many threads decode and count while the network computes; more than that take its time on small images."""
    return max(1, min(4, torch.get_num_threads() // 2))


def _own_batches(
    pool: ThreadPoolExecutor, dataset: Dataset, ids: Sequence[str], rule: EvaluationRule, normalization: Normalization
) -> Iterator[list[Item]]:
    """Yield this process's share of the batches that a process alone would make.

    Whole batches are shared, since the size of a batch may move the last digits of what a network says about each image.
    """

    def items(ids: Iterable[str]) -> Iterator[Item]:
        return in_order(pool, lambda id: read(dataset, id, normalization), ids)

    if processes.count() == 1:
        yield from group_by_size(items(ids), size_of, rule)
        return
    batches = list(group_by_size(ids, dict(zip(ids, in_order(pool, dataset.size, ids), strict=True)).__getitem__, rule))
    own = batches[processes.rank() :: processes.count()]
    stream = items(id for batch in own for id in batch)
    yield from ([next(stream) for _ in batch] for batch in own)


def _judge(labeler: Labeler, batches: Iterable[list[Item]], detail: bool) -> Iterator[Judged]:
    for batch in batches:
        labels, confidence = labeler.label(torch.stack([item.image for item in batch]), with_confidence=detail)
        for index, item in enumerate(batch):
            yield Judged(item.id, item.truth, labels[index], None if confidence is None else confidence[index])


def _merge(tallies: Sequence[Tally]) -> Tally:
    """Return one tally of what several processes have counted."""
    merged, *others = tallies
    for other in others:
        merged.confusion = merged.confusion + other.confusion
        merged.digests |= other.digests
        merged.detail |= other.detail
    return merged
