"""Names of other libraries' tensors in terms of timm's; torchvision's ResNets agree with timm's in theirs."""

import re
from bisect import bisect_left

# torchvision counts blocks through and timm by stage: the last block of each of timm's stages.
_LAST_BLOCKS = (1, 3, 6, 10, 13, 16, 17)
_OUTSIDE_BLOCKS = {"0.0": "conv_stem", "0.1": "bn1", "18.0": "conv_head", "18.1": "bn2"}
_FIRST_BLOCK = {"0.0": "conv_dw", "0.1": "bn1", "1": "conv_pw", "2": "bn2"}  # does not expand
_OTHER_BLOCKS = {"0.0": "conv_pw", "0.1": "bn1", "1.0": "conv_dw", "1.1": "bn2", "2": "conv_pwl", "3": "bn3"}


def to_timm(name: str) -> str:
    """Return timm's name of a tensor of torchvision's mobilenet_v2, or of the stem of OpenMMLab's ResNetV1c.

    Other names stay as they are.

    >>> to_timm("features.3.conv.1.0.weight"), to_timm("stem.3.weight"), to_timm("stem.7.bias")
    ('blocks.1.1.conv_dw.weight', 'conv1.3.weight', 'bn1.bias')
    """
    if name.startswith("stem."):
        return re.sub(r"^stem\.", "conv1.", re.sub(r"^stem\.7\.", "bn1.", name))
    parts = re.fullmatch(r"features\.(\d+)\.(?:conv\.)?([\d.]+)\.(\w+)", name)
    if parts is None:
        return name
    block, layer, tensor = int(parts[1]), parts[2], parts[3]
    if 1 <= block <= _LAST_BLOCKS[-1]:
        layers = _FIRST_BLOCK if block == 1 else _OTHER_BLOCKS
        return f"{_place(block)}.{layers[layer]}.{tensor}" if layer in layers else name
    outside = f"{block}.{layer}"
    return f"{_OUTSIDE_BLOCKS[outside]}.{tensor}" if outside in _OUTSIDE_BLOCKS else name


def _place(block: int) -> str:
    stage = bisect_left(_LAST_BLOCKS, block)
    first = _LAST_BLOCKS[stage - 1] + 1 if stage else 1
    return f"blocks.{stage}.{block - first}"
