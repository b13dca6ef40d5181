"""Zero-shot: CLIP labels every patch by the texts of the classes, without training (MaskCLIP, Zhou et al. 2022).

Paper: arXiv 2112.01071 (ECCV 2022), whose body was not read; its key smoothing and prompt denoising are left out. Read: the
guidance of SemiVL's code at 13ee65d, which is this (on Cityscapes with ``network.renormalize = true``). The floor that every
method with language must beat: it sees neither labels nor pictures of the data set. A pixel's class is the one whose text is
nearest to the embedding of the last block's value path; a class with several concepts counts by its best. The texts are in
``semibench/protocols/class_definitions/``, or a table in place of the name of one.

Deviations
- One template, as in SemiVL, instead of a mean over many.
- The exact GELU and a small eps, as in SemiVL, where CLIP has QuickGELU; see ``networks/_clip.py``.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Self

from torch import nn

from semibench.errors import UsageError
from semibench.methods.blocks.concepts import embed
from semibench.methods.method import Batch, Method, Progress, StepOutput, Task
from semibench.methods.networks.base import ParameterGroup
from semibench.methods.networks.maskclip import MaskClip
from semibench.protocols.concepts import Concepts, choose
from semibench.records import Record


class ZeroShot(Method):
    """A network that is told the words for its classes, and nothing else."""

    provenance = "other code"
    network_name = "maskclip"
    trains = False

    class Config(Record):
        """The words."""

        concepts: str | Concepts = "single"  # a definition of the data set's file, such as voc's concept4, or one's own

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        network = task.build_network()
        if not isinstance(network, MaskClip):
            raise UsageError(
                f"method 'zeroshot' needs a network that reads text, {type(network).__name__} does not",
                "Leave network.name at maskclip.",
            )
        clip = task.load_clip(network.clip_name)
        concepts = choose(config.concepts, task.dataset, task.class_names)
        network.learn(clip, embed(concepts, clip.encode_text), concepts.counts)
        self.network = network

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return no loss."""
        return StepOutput({})

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return no group."""
        return []

    def predictors(self) -> Mapping[str, nn.Module]:
        """Return the network."""
        return {"network": self.network}

    @classmethod
    def example(cls, task: Task) -> Self:
        """Return an instance with an untrained tiny CLIP."""
        return cls(cls.Config(), replace(task, build_network=lambda: MaskClip(MaskClip.Config(encoder="tiny"), task.n_classes)))
