"""A small encoder for drawings of 64 x 64 pixels: plain 3x3 convolutions, quick on a CPU.

Our own: objects there are a few dozen pixels wide and training takes a minute. The five convolutions at stride 8 are what
tells shapes apart, since their view covers a whole object; stride 16 would leave 4 x 4 pixels.
"""

from itertools import pairwise

from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

# Channels of each convolution, by stage; the first convolution of a stage halves the map.
STAGES = ((16,), (32, 32, 32), (48, 48, 48, 48, 48))
LOW_STAGE = 1  # index of the stage whose map is the low one: 1 = stride 4
STRIDE: int = 2 ** len(STAGES)  # pixels, of the high map


class TinyEncoder(nn.Module):
    """Map images (N, 3, H, W) to a low map (N, C, H/4, W/4) and a high map (N, C, H/8, W/8), sizes rounded up."""

    channels = (STAGES[LOW_STAGE][-1], STAGES[-1][-1])

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *(stage[-1] for stage in STAGES))
        stages = [_stage(width, stage) for width, stage in zip(inputs, STAGES, strict=False)]
        self.shallow = nn.Sequential(*stages[: LOW_STAGE + 1])
        self.deep = nn.Sequential(*stages[LOW_STAGE + 1 :])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # as the large encoders start
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return (low, high)."""
        low = self.shallow(image)
        return low, self.deep(low)


def _stage(inputs: int, channels: tuple[int, ...]) -> nn.Sequential:
    widths = pairwise((inputs, *channels))
    return nn.Sequential(*(Conv2dNormActivation(a, b, 3, stride=1 if index else 2) for index, (a, b) in enumerate(widths)))
