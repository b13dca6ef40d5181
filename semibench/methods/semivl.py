"""SemiVL (Hoyer et al. 2024): UniMatch on CLIP, with a decoder and labels that are guided by what classes are called.

Paper: arXiv 2311.16241 (ECCV 2024); its body was not read. Read: the official code, ``google-research/semivl`` at 13ee65d.

One network, ``vlg``: a dense CLIP of which attention and positions are trained, and a decoder that starts from the likeness of
patches and class names. It teaches itself as in UniMatch. A second CLIP, which stays as it is, labels weak views by class
names alone; where it is sure (g), its labels are targets of the same three streams, the less the longer the training:

    L = (L_x + 0.25 U_s1 + 0.25 U_s2 + 0.5 U_fp) / 2 + lambda (0.25 G_s1 + 0.25 G_s2 + 0.5 G_fp),  lambda = 0.1 (1 - t / T)

U divides by the valid pixels, G by all pixels, sure or not. Ablations, each on every data set:
``method.guidance_weight = 0``; ``method.guidance_concepts = single``; ``network.trained = all`` or ``none``;
``network.name = deeplab_clip``, a decoder that knows no names, on the same CLIP.

Deviations
- A weak view's channels are dropped by the seeds of the samples; the labelled half, which the reference perturbs too and
  discards, is left out. Partners are other images unless ``partner = "same"``, as in UniMatch.
- Cityscapes weighs each image by its mean confidence for any number of images; the reference is right for one a GPU alone.
- Published recipes cut a batch into as many parts as the reference has GPUs, so that means are over the same images; batch
  statistics on Cityscapes are those of a part. That fits a GPU of 24 GB; ``recipe.accumulation = 1`` is faster on a larger one.
- Cityscapes: 83,760 steps, there rounded up to whole epochs; its convolutional encoder starts from the file that
  ``--weights conv_encoder=FILE`` names, there OpenMMLab's ``resnet101_v1c`` of ImageNet. Without one it starts at random, a
  rate of 5e-6 hardly moves it, and the published row is out of reach. VOC, as UniMatch, has up to one step an epoch less.
- The code departs from the paper's overview, which has class definitions on the input of all: on VOC guidance alone has them,
  on COCO and ADE20K nothing, on Cityscapes the decoder their mean. There it has a plain cross-entropy, where UniMatch mines.
- The reference decays no norm or bias less than other tensors, though its configuration seems to: nor do the recipes here.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from semibench.errors import UsageError
from semibench.methods.blocks.concepts import embed
from semibench.methods.blocks.guidance import average_confident_cross_entropy, guidance, guidance_loss
from semibench.methods.blocks.losses import confident_cross_entropy, supervised_cross_entropy
from semibench.methods.blocks.mixing import cutmix_boxes, paste
from semibench.methods.blocks.perturb import predict_perturbed
from semibench.methods.blocks.pseudo_labels import Target, coverage, pseudo_labels, teach
from semibench.methods.method import Batch, Crop, Method, Progress, StepOutput, Task, Views
from semibench.methods.networks._clip_network import ClipNetwork
from semibench.methods.networks._clips import TINY, Clip
from semibench.methods.networks._frozen import Frozen
from semibench.methods.networks.base import Network, ParameterGroup
from semibench.methods.networks.maskclip import MaskClip
from semibench.methods.networks.vlg import Vlg
from semibench.protocols.concepts import Concepts, choose
from semibench.protocols.recipe import Options, Published
from semibench.records import Record

Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class SemiVL(Method):
    """A network that teaches itself in three streams, beside a frozen CLIP that teaches it less and less."""

    provenance = "official code"
    network_name = "vlg"
    usual_division = "published"  # no protocol has CLIP as its backbone, but for the drawn pictures

    class Config(Record):
        """Source of every default, where nothing else is said: the official code, Pascal VOC."""

        threshold: Share | None = 0.95  # confidence; None: no pixel is left out, images weigh by their mean, as on Cityscapes
        strong_weight: Weight = 0.25  # of each strong view
        feature_weight: Weight = 0.5  # of the perturbed features
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5  # probability of a channel
        partner: Literal["same", "other"] = "other"  # images that CutMix takes its boxes from; our choice, see above
        guidance_weight: Weight = 0.1  # lambda at the first step; it falls to 0 along a line
        guidance_threshold: Share = 0.9  # confidence of the frozen CLIP
        concepts: str | Concepts = "single"  # definition of the data set's classes for the decoder, the mean of a class's rows
        guidance_concepts: str | Concepts = "single"  # and for guidance, the best of them; concept4 on VOC
        guidance_size: tuple[PositiveInt, PositiveInt] | None = None  # (H, W) pixels for which its positions are resized before
        # they are to an image's own size; 512, 512 in the reference, which tells on Cityscapes alone

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.config = config
        self.ignore_index = task.ignore_index
        self.views = Views(crops=1, strong=2, partner=config.partner)
        self.network = _checked(task.build_network())
        clip = task.load_clip(self.network.clip_name)
        concepts = choose(config.concepts, task.dataset, task.class_names)
        self.network.start_from(clip, embed(concepts, clip.encode_text, average=True))
        self.guide = self._build_guide(clip, task) if config.guidance_weight else None

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return the losses of labelled images, of three streams, and of guidance in each of them."""
        config = self.config
        (crop,), (partner,) = batch.unlabeled, batch.partner
        size = crop.weak.shape[-2], crop.weak.shape[-1]
        boxes = [cutmix_boxes(crop.seeds, size, view).to(crop.weak.device) for view in range(2)]
        taught = teach(self.network, partner.weak, partner.valid)

        images = batch.labeled.image, crop.weak, crop.seeds
        logits_x, logits_w, logits_fp = predict_perturbed(self.network, *images, config.dropout)
        mixed = [paste(own, other, box) for own, other, box in zip(crop.strong, partner.strong, boxes, strict=True)]
        logits = [*self.network(torch.cat(mixed)).chunk(2), logits_fp]

        confidence, label = pseudo_labels(logits_w)  # in training mode, as in the reference
        own = Target(label, confidence, crop.valid)
        targets = [*(own.pasted(taught, box) for box in boxes), own]
        losses = {"supervised": supervised_cross_entropy(logits_x, batch.labeled.mask, self.ignore_index) / 2}
        weights = {"strong_1": config.strong_weight, "strong_2": config.strong_weight, "feature": config.feature_weight}
        for (stream, weight), said, target in zip(weights.items(), logits, targets, strict=True):
            losses[stream] = weight * self._consistency(said, target) / 2
        if self.guide is not None:
            weak, other = self._guidance(self.guide, crop, partner)
            labels = [*(paste(weak, other, box) for box in boxes), weak]
            fading = config.guidance_weight * (1 - progress.fraction)
            for (stream, weight), said, label in zip(weights.items(), logits, labels, strict=True):
                losses[f"guidance_{stream}"] = fading * weight * guidance_loss(said, label, self.ignore_index)
        return StepOutput(losses, {"coverage": coverage(confidence, crop.valid, config.threshold or 0)})

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return what of CLIP is trained, the decoder, and on Cityscapes a convolutional encoder."""
        return self.network.parameter_groups()

    def predictors(self) -> Mapping[str, nn.Module]:
        """Return the network."""
        return {"network": self.network}

    @classmethod
    def example(cls, task: Task) -> Self:
        """Return one with a tiny CLIP and every part that some data set has."""
        config = Vlg.Config(encoder=TINY, conv_encoder="resnet18", channels=16, rates=(1,))
        return cls(cls.Config(), replace(task, build_network=lambda: Vlg(config, task.n_classes)))

    def _consistency(self, logits: Tensor, target: Target) -> Tensor:
        if self.config.threshold is None:
            return average_confident_cross_entropy(logits, target)
        return confident_cross_entropy(logits, *target, self.config.threshold)

    def _build_guide(self, clip: Clip, task: Task) -> Frozen[MaskClip]:
        concepts = choose(self.config.guidance_concepts, task.dataset, task.class_names)
        size, renormalize = self.config.guidance_size, self.network.encoder.renormalize
        options = {"encoder": self.network.clip_name, "image_size": size, "renormalize": renormalize}
        network = MaskClip(MaskClip.Config.model_validate(options), task.n_classes)
        network.learn(clip, embed(concepts, clip.encode_text), concepts.counts)
        return Frozen(network)

    def _guidance(self, guide: nn.Module, *crops: Crop) -> tuple[Tensor, ...]:
        """Return what the frozen CLIP says of the weak views of each of ``crops``, (M, H, W) int64."""
        weak, valid = (torch.cat([getattr(crop, part) for crop in crops]) for part in ("weak", "valid"))
        return guidance(guide(weak), valid, self.config.guidance_threshold, self.ignore_index).chunk(len(crops))


def _checked(network: Network) -> ClipNetwork:
    if not isinstance(network, ClipNetwork):
        raise UsageError(
            "semivl trains a network on CLIP, and network.name is that of another one",
            "Set network.name to vlg, or to deeplab_clip for a decoder without language.",
        )
    return network


def _recipe(lr: float, encoder: float, crop: int, gpus: int, **own: Any) -> Options:
    """Return what the data sets share: 8 + 8 images, one or two of each on a GPU; ``encoder`` is the factor on CLIP's rate."""
    groups = {"encoder": {"lr_multiplier": encoder}, "decoder": {"lr_multiplier": 10}} | own.pop("groups", {})
    jitter = {"name": "jitter", "probability": 0.8, "brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.25}
    blur = {"name": "blur", "probability": 0.5, "radius": [0.1, 2.0]}
    colors = [jitter, {"name": "grayscale", "probability": 0.2}, blur]
    return {
        "optimizer": {"name": "adamw", "lr": lr, "weight_decay": 0.01, "groups": groups},
        "schedule": {"name": "poly", "power": 0.9, "lag": 1},  # set after the step, so that the first two steps share a rate
        "batch": {"labeled": 8, "unlabeled": 8},
        "accumulation": gpus,
        "crop": [crop, crop],
        "augmentation": {"scale": own.pop("scale"), "flip": 0.5, "strong": colors},
        "normalization": {
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
        },  # ImageNet's, on which CLIP did not learn
        "norm": "syncbn",
    } | own


def _published(recipe: Options, rule: str, method: Options = {}, network: Options = {}) -> Published:  # noqa: B006  # not changed
    shared = {"name": "vlg", "image_size": recipe["crop"]}
    document = {"recipe": recipe, "rule": rule, "method": {"partner": "same"} | method, "network": shared | network}
    return Published.model_validate({"source": "google-research/semivl at 13ee65d, experiments.py"} | document)


_SHORT = {"side": "short", "base": 512, "low": 0.5, "high": 2.0}  # there within 2048 x 512, times the factor
_LONG = {"side": "long", "low": 0.5, "high": 2.0}


def _epochs(count: int, rounding: Literal["floor", "ceil"]) -> Options:
    return {"count": count, "over": "unlabeled", "rounding": rounding}


SemiVL.published = {
    "voc": _published(
        _recipe(1e-4, 0.01, crop=512, gpus=4, scale=_SHORT, epochs=_epochs(80, "floor")),
        "semivl-best",
        method={"guidance_concepts": "concept4"},
    ),
    "coco": _published(_recipe(4e-4, 0.001, crop=512, gpus=8, scale=_LONG, epochs=_epochs(10, "ceil")), "semivl-best"),
    "ade20k": _published(
        _recipe(4e-4, 0.001, crop=512, gpus=8, scale=_SHORT, epochs=_epochs(40, "ceil")),
        "semivl-best",
        network={"class_chunk": 25},
    ),
    "cityscapes": _published(
        _recipe(5e-5, 0.1, crop=801, gpus=8, scale=_LONG, steps=83_760, groups={"conv_encoder": {"lr_multiplier": 0.1}}),
        "sliding-801-best",
        method={"threshold": None, "concepts": "concept3", "guidance_concepts": "concept3", "guidance_size": [512, 512]},
        network={"renormalize": True, "conv_encoder": "resnet101c", "skip_channels": [32, 32]},
    ),
}
