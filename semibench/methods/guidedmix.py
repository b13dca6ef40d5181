"""GuidedMix-Net (Tu et al. 2022): labelled images guide unlabelled ones by mixing with them and being subtracted again.

Papers: arXiv 2106.15064 and 2112.14015 (AAAI 2022); only the abstracts were read. Read: the official code,
``yh-pengtu/GuidedMix-Net``, in full. Where the two disagree, ``variant = "released"`` is the code.

Each unlabelled image is mixed with a labelled one, labelled share lambda < 1/2. A second head judges the mixture; subtracting
lambda times the logits of the labelled image leaves a prediction for the unlabelled one ("decoupling"), whose target is what
the network says about that image alone. No mean teacher, no threshold, no ramp.

    L = CE(z_l, y) + 10 focal(z_mix - lambda z_l, argmax z_u)

``released`` mixes the branches of the atrous pyramid of random pairs. ``paper`` is a RECONSTRUCTION from the abstracts, and its
numbers are to be reported as one: it pairs similar images, mixes the images themselves, and passes the encoder's map through
MITrans, which exists in the code and is used by none of its configurations. The network is the same in both.

Deviations
- Any numbers of labelled and unlabelled images; the reference needs as many. Labelled images are permuted, not unlabelled ones.
- With a decoder (``deeplabv3plus``) its low map is mixed like the branches. The reference has none (``deeplabv3``).
- The reference keeps the area of any class in a crop below 75 %, of unlabelled images by their ground truth: a label leak,
  left out for both kinds of images.
- Its photometric distortion is a jitter of the same ranges here, though brightness is multiplied instead of added. Its rate
  falls towards 1e-4 all the way; here it falls towards 0 and stays at 1e-4 when it gets there. Its dropout leaves out whole
  channels, here single values. Its classifiers start from normal values of deviation 0.01, here 0.001.
- VOC recipes are of up to 1,464 labels; for more the reference takes ResNet-101, and for 1,323 also 40,000 steps.

Both abstracts claim 7 points more than earlier methods, without saying where. The leaderboards below do not name their lists.
"""

from collections.abc import Mapping
from random import Random
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from semibench.errors import UsageError
from semibench.methods.blocks.focal import sigmoid_focal
from semibench.methods.blocks.losses import masked_mean, supervised_cross_entropy
from semibench.methods.blocks.pairing import most_similar_pairs, random_pairs
from semibench.methods.method import Batch, Method, Progress, StepOutput, Task, Views
from semibench.methods.networks._mitrans import MITrans
from semibench.methods.networks._pyramid import PyramidNetwork
from semibench.methods.networks.base import Features, ParameterGroup
from semibench.protocols.recipe import Published
from semibench.records import Record

# Four changes, each with probability 1/2; the reference adds brightness where a jitter multiplies.
_JITTER = {"name": "jitter", "probability": 0.5, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
DISTORTION = [_JITTER | change for change in ({"brightness": 32 / 255}, {"contrast": 0.5}, {"saturation": 0.5}, {"hue": 0.1})]


def _published(encoder: str, crop: int, short_side: int, batch: int, rule: str | None = None) -> Published:
    """Return what the data sets share: configs/_base_/schedules/schedule_20k.py on the 4 GPUs of tools/train_3seg.py."""
    recipe = {
        "optimizer": {"name": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4},
        "schedule": {"name": "poly", "power": 0.9, "floor": 0.01},
        "steps": 20_000,
        "batch": {"labeled": batch, "unlabeled": batch},
        "crop": [crop, crop],
        "augmentation": {
            "scale": {"side": "short", "base": short_side, "low": 0.5, "high": 2.0},
            "flip": 0.5,
            "pad_value": [124, 116, 104],  # the mean; colors change after padding, so that it is not quite 0
            "labeled": DISTORTION,
            "weak": DISTORTION,
        },
        "normalization": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        "norm": "syncbn",
    }
    network = {"name": "deeplabv3", "encoder": encoder, "output_stride": 8, "rates": [12, 24, 36], "channels": 512}
    network |= {"pooled_norm": True}
    source = "yh-pengtu/GuidedMix-Net, configs/"
    return Published.model_validate({"source": source, "recipe": recipe, "network": network, "rule": rule})


class GuidedMixNet(Method):
    """A network and a second head that only sees mixtures."""

    provenance = "official code"
    views = Views(crops=1)
    published = {
        "voc": _published("resnet50c", 512, 512, 16, rule="whole-512"),
        "cityscapes": _published("resnet101c", 769, 1025, 8, rule="whole"),  # there resized to 2049 x 1025
        "pascal_context": _published("resnet101c", 512, 512, 16),
    }

    class Config(Record):
        """Source of every default, where nothing else is said: the official code."""

        variant: Literal["released", "paper"] = "released"  # paper: a reconstruction, see above
        lambda_factor: Annotated[float, Field(gt=0, le=0.5)] = 0.5  # upper end of the labelled share
        unlabeled_weight: Annotated[float, Field(ge=0)] = 10.0
        alpha: Annotated[float, Field(ge=0, le=1)] = 0.5  # of the focal loss: share of the class of the label
        gamma: Annotated[float, Field(ge=0)] = 0.5  # of the focal loss: power of the error
        detach_labeled_logits: bool = False  # keep the unlabelled loss from training through lambda z_l; our option
        mask_padding: bool = False  # leave padding out of the unlabelled loss; our option
        mitrans_channels: PositiveInt | None = None  # paper: inside MITrans, None: as many as it gets

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.config = config
        self.ignore_index = task.ignore_index
        self.network = _checked(task.build_network())
        self.mix_head = _checked(task.build_network())
        self.mix_head.encoder = nn.Identity()
        if config.variant == "released":  # the branches are the first head's
            self.mix_head.pyramid.branches, self.mix_head.pyramid.pooling = nn.ModuleList(), nn.Identity()
        self.mitrans = None if config.variant == "released" else MITrans(self.network.pyramid.inputs, config.mitrans_channels)

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return the supervised loss and that of the decoupled mixture."""
        labeled, (crop,), network = batch.labeled, batch.unlabeled, self.network
        joint = network.encode(torch.cat([labeled.image, crop.weak]))  # shares batch statistics
        features_l = tuple(maps[: len(labeled.image)] for maps in joint)
        features_u = tuple(maps[len(labeled.image) :] for maps in joint)
        gathered_l = network.gather(features_l)
        with torch.set_grad_enabled(self.mitrans is None):  # in the paper's variant no more than a target
            gathered_u = network.gather(features_u)
        z_l = network.classify(network.merge(gathered_l)).float()
        target = self._judge(gathered_u).argmax(dim=1)

        share = labeled_share(crop.seeds, self.config.lambda_factor)
        if self.mitrans is None:
            pairs = random_pairs(crop.seeds, len(z_l)).to(z_l.device)
            mixture = mix(gathered_l, gathered_u, pairs, share)
        else:
            pairs = most_similar_pairs(_describe(features_u), _describe(features_l)).to(z_l.device)
            (image,) = mix((labeled.image,), (crop.weak,), pairs, share)
            *others, high = network.encode(image)
            mixture = self.mix_head.gather((*others, self.mitrans(high)))
        z_mix = self.mix_head.classify(self.mix_head.merge(mixture)).float()
        guide = z_l.detach() if self.config.detach_labeled_logits else z_l
        decoupled = z_mix - share * guide[pairs]

        size = (labeled.image.shape[-2], labeled.image.shape[-1])
        losses = {
            "supervised": self._supervise(network.resize(z_l, size), labeled.mask),
            "unlabeled": self.config.unlabeled_weight * self._compare(decoupled, target, crop.valid),
        }
        return StepOutput(losses, {"labeled_share": z_l.new_tensor(share)})

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return encoder and decoder; the second head and MITrans are part of the decoder."""
        encoder, decoder = self.network.parameter_groups()
        more = [*self.mix_head.parameters(), *(self.mitrans.parameters() if self.mitrans else ())]
        learned = [parameter for parameter in more if parameter.requires_grad]
        return [encoder, ParameterGroup("decoder", [*decoder.parameters, *learned])]

    def predictors(self) -> Mapping[str, nn.Module]:
        """Return the network with its own head."""
        return {"network": self.network}

    @torch.no_grad()
    def _judge(self, gathered: Features) -> Tensor:
        """Return logits (M, K, h, w) of unlabelled images alone, which are only a target."""
        return self.network.classify(self.network.merge(gathered))

    def _supervise(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the cross-entropy of labelled pixels, divided by the number of all pixels."""
        mean = supervised_cross_entropy(logits, mask, self.ignore_index)
        return mean * (mask != self.ignore_index).float().mean()

    def _compare(self, decoupled: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the focal loss of the decoupled logits (M, K, h, w) against ``target`` (M, h, w), averaged over classes."""
        loss = sigmoid_focal(decoupled, target, self.config.alpha, self.config.gamma).mean(dim=1)
        if not self.config.mask_padding:
            return loss.mean()
        counted = F.interpolate(valid[:, None].float(), loss.shape[-2:], mode="nearest")[:, 0]
        return masked_mean(loss, counted.bool())


def labeled_share(seeds: Tensor, factor: float) -> float:
    """Return lambda, uniform in [0, factor), one for the step.

    The reference draws from Beta(1, 1), takes the smaller of the number and its complement, and repeats until that is below
    the factor: the same for factors up to 1/2.
    """
    return Random(f"labeled share/{seeds.tolist()}").random() * factor


def mix(labeled: Features, unlabeled: Features, pairs: Tensor, share: float) -> Features:
    """Return lambda times the labelled partner of each unlabelled image plus (1 - lambda) times itself."""
    return tuple(share * one[pairs] + (1 - share) * other for one, other in zip(labeled, unlabeled, strict=True))


def _describe(features: Features) -> Tensor:
    return features[-1].detach().mean(dim=(2, 3))


def _checked(network: nn.Module) -> PyramidNetwork:
    if not isinstance(network, PyramidNetwork):
        raise UsageError(
            f"method 'guidedmix' mixes the branches of an atrous pyramid, which {type(network).__name__} does not have",
            "Take deeplabv3plus or deeplabv3 as its network.",
        )
    return network
