"""From a configuration to a method with its networks and their weights."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from semibench import plugins
from semibench.errors import UsageError
from semibench.harness.configure import Configuration
from semibench.hashing import derive_seed
from semibench.methods.method import Method, Task
from semibench.methods.networks._clip import DenseClip
from semibench.methods.networks._clip_files import open_clip_file
from semibench.methods.networks._clips import Clip, stand_in
from semibench.methods.networks._norm import set_norm
from semibench.methods.networks._weights import WeightReport, load_weights
from semibench.methods.networks.base import Network
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.protocol import load


def build_method(
    configuration: Configuration,
    dataset: Dataset | type[Dataset],
    weights: Mapping[str, Path],
    load_teacher: Callable[[str], nn.Module] | None = None,
) -> tuple[Method, list[WeightReport]]:
    """Build the method of a configuration; say what of its weight files fitted each of its networks.

    Initial values are a function of the seed alone, so that methods with the same network start from the same point.
    ``weights`` are files by part of the network; that of the part "" is the whole network's, or the CLIP's of a method that
    asks for one. Without ``load_teacher`` untrained networks stand in for teachers and CLIPs: for runs that are opened to
    predict, not to train.
    """
    torch.manual_seed(derive_seed(configuration.seed, "initial weights"))
    reports: list[WeightReport] = []

    def build_network(**overrides: Any) -> Network:
        options = configuration.network.model_dump() | overrides
        network_class = plugins.find_class(plugins.NETWORK, options.pop("name"), Network)
        config = network_class.Config.parse(options, "the options of the network")
        network = network_class(config, len(dataset.class_names))
        is_clip = isinstance(network.encoder, DenseClip)
        if is_clip and "encoder" in weights:
            raise UsageError(
                "the encoder of this network is a CLIP, both towers of which are read", "Give its file without 'encoder='."
            )
        for part, path in sorted(weights.items()):  # the whole first, which parts override
            if part or not is_clip:
                reports.append(load_weights(network, path, part))
        return set_norm(network, configuration.recipe.norm)

    def load_clip(name: str) -> Clip:
        clip, report = open_clip_file(name, weights.get(""))
        reports.append(report)
        return clip

    task = Task(
        dataset=load(configuration.protocol).dataset,
        class_names=dataset.class_names,
        ignore_index=dataset.ignore_index,
        crop=configuration.recipe.crop,
        build_network=build_network,
        load_teacher=load_teacher or (lambda path: build_network()),
        load_clip=load_clip if load_teacher else stand_in,
    )
    method_class = plugins.find_class(plugins.METHOD, configuration.method.model_dump()["name"], Method)
    return method_class(configuration.method, task), reports
