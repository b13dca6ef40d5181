"""Open a CLIP: a local file, the one that comes with semibench, or open_clip's download."""

import json
import socket
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from semibench.errors import DataError
from semibench.hashing import digest_file
from semibench.methods.networks._clip import DenseClip
from semibench.methods.networks._clip_text import TextEncoder, build_text_tower
from semibench.methods.networks._clips import TINY, Clip, find_kind
from semibench.methods.networks._weights import WeightReport, read_metadata, read_tensors

SHIPPED = Path(__file__).with_name("tiny_clip.safetensors")
_ABOUT = "clip"  # key of a file's metadata: words, trained_on
_TAG = "openai"  # of the weights that open_clip downloads
_NAMES = {  # of what DenseClip names otherwise than CLIP's files
    "class_token": "class_embedding",
    "pos_embed": "positional_embedding",
    "patch_embed.weight": "conv1.weight",
    "proj.weight": "proj",
}


def open_clip_file(name: str, path: Path | None) -> tuple[Clip, WeightReport]:
    """Return the CLIP called ``name`` with the weights in ``path``, or its usual ones, and what was read.

    A file is open_clip's or OpenAI's state dict (.safetensors, or torch.save's of tensors alone) or OpenAI's archive, whose
    code is not run. Raises DataError when the weights cannot be had, or are not a whole CLIP of that architecture.
    """
    kind = find_kind(name)
    is_usual = path is None
    path = path or (SHIPPED if name == TINY else _download(name))
    tensors, about = read_tensors(path), _read_about(path)
    with torch.device("meta"):
        image_tower = DenseClip(kind.image, (kind.image.grid, kind.image.grid)).state_dict()
        text_tower = build_text_tower(kind.text, kind.image.embedding).state_dict()
    visual = {own: _to_own(own, tensors[theirs]) for own in image_tower if (theirs := to_clip_name(own)) in tensors}
    text = {own: tensors[own].float() for own in text_tower if own in tensors}
    found = {to_clip_name(own): tensor for own, tensor in visual.items()} | text
    _check(path, name, found, {to_clip_name(own): tensor for own, tensor in image_tower.items()} | text_tower)
    digest = digest_file(path)
    report = WeightReport(
        name=path.name,
        sha256=digest,
        matched=len(found),
        missing=(),
        unexpected=tuple(key for key in tensors if key not in found),
        trained_on=about.get("trained_on", kind.trained_on if is_usual or digest == kind.archive else None),
    )
    return Clip(kind.image, visual, TextEncoder(kind, text, report.sha256, about.get("words"))), report


def to_clip_name(own: str) -> str:
    """Return the name in CLIP's files of a tensor of ``DenseClip``.

    >>> to_clip_name("blocks.3.mlp.0.weight")
    'visual.transformer.resblocks.3.mlp.c_fc.weight'
    """
    name = _NAMES.get(own, own).replace("blocks.", "transformer.resblocks.")
    return f"visual.{name.replace('.mlp.0.', '.mlp.c_fc.').replace('.mlp.2.', '.mlp.c_proj.')}"


def to_clip_tensors(visual: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of ``DenseClip`` as CLIP's files hold them."""
    named = {to_clip_name(own): tensor for own, tensor in visual.items()}
    return named | {"visual.proj": named["visual.proj"][:, :, 0, 0].mT.contiguous()}  # a matrix there, a convolution here


def to_metadata(about: Mapping[str, str]) -> dict[str, str]:
    """Return what a .safetensors file is to say about its CLIP: one entry, since safetensors writes several in any order."""
    return {_ABOUT: json.dumps(about)}


def _read_about(path: Path) -> dict[str, str]:
    about: dict[str, str] = json.loads(read_metadata(path).get(_ABOUT, "{}"))
    return about


def _to_own(own: str, tensor: Tensor) -> Tensor:
    return tensor.float() if own != "proj.weight" else tensor.float().mT[:, :, None, None].contiguous()


def _check(path: Path, name: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    wrong = [key for key, tensor in expected.items() if key not in found or found[key].shape != tensor.shape]
    if wrong:
        raise DataError(
            f"weight file {path.name} is not a whole CLIP '{name}': {len(wrong)} of {len(expected)} tensors are missing or "
            f"have another shape ({', '.join(wrong[:3])}{', ...' if len(wrong) > 3 else ''})",
            f"Give --weights a file of open_clip's or OpenAI's {name} with both of its towers.",
        )


def _download(name: str) -> Path:
    """Return open_clip's own copy of a CLIP's weights, downloaded at the first use."""
    from huggingface_hub import constants
    from open_clip import pretrained  # slow to import, both

    source = pretrained.get_pretrained_cfg(name, _TAG)
    constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE or not _is_reachable(constants.ENDPOINT)  # it would try for a minute
    try:
        return Path(pretrained.download_pretrained(source))
    except Exception as error:  # whatever the network, the hub's library or the disk makes of it
        raise DataError(
            f"the weights of CLIP '{name}' are not on this machine and cannot be downloaded from {source['hf_hub']} "
            f"({type(error).__name__})",
            f"Fetch open_clip_model.safetensors there, or OpenAI's archive ({source['url']}), on a machine with a network and "
            "give the file's path to --weights.",
        ) from error


def _is_reachable(url: str) -> bool:
    """Return whether a host answers; behind a proxy, which this does not ask, that is taken for granted."""
    if urllib.request.getproxies():
        return True
    parts = urllib.parse.urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 443), timeout=10).close()
    except OSError:
        return False
    return True
