"""What a run would be, for ``--dry-run``: as much as can be said with or without its data set."""

from dataclasses import dataclass

from semibench import plugins
from semibench.harness.build import build_method
from semibench.harness.configure import Resolved, resolve
from semibench.harness.memory import Memory, estimate_memory
from semibench.harness.prepare import Order, Prepared, prepare
from semibench.methods.method import Method
from semibench.protocols.protocol import Protocol
from semibench.protocols.shelf import Shelf


@dataclass(frozen=True)
class Outline:
    """A run before anything of it is done."""

    protocol: Protocol
    resolved: Resolved
    labeled: int  # images
    unlabeled: int
    steps: int  # of the optimizer
    memory: Memory | None  # None: it depends on what the method sees
    prepared: Prepared | None  # None: the data set is not at hand, and nothing is said about its files


def outline(order: Order) -> Outline:
    """Return what a run would be; raise a SemibenchError for whatever would stop it, but for a data set that is not there.

    Numbers of images are then those of the catalogue.
    """
    protocol = order.request.protocol
    is_there = Shelf(data_root=order.data_root).dataset(protocol) is not None
    prepared = prepare(order) if is_there else None
    resolved = prepared.resolved if prepared else resolve(order.request)
    configuration = resolved.configuration
    labeled, unlabeled = map(len, prepared.split) if prepared else protocol.sizes
    name = configuration.method.model_dump()["name"]
    trains = plugins.find_class(plugins.METHOD, name, Method).trains
    steps = configuration.recipe.total_steps(labeled, unlabeled) if trains else 0
    memory = estimate_memory(lambda: build_method(configuration, protocol.dataset_class(), {})[0], configuration.recipe)
    return Outline(protocol, resolved, labeled, unlabeled, steps, memory, prepared)
