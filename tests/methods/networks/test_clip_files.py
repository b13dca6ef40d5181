"""Files of CLIP. A small one of open_clip's own making stands for those that exist."""

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from open_clip import pretrained
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file
from torch import Tensor, nn

from semibench.errors import DataError
from semibench.hashing import digest_file
from semibench.methods.networks import _clip_text, _clips
from semibench.methods.networks._clip import Architecture
from semibench.methods.networks._clip_files import _download, _is_reachable, open_clip_file
from semibench.methods.networks._clips import Kind, TextArchitecture

KIND = Kind(
    Architecture(width=32, layers=2, heads=2, patch=8, embedding=16, grid=4),
    TextArchitecture(width=24, layers=2, heads=2, context=77, vocabulary=49408, quick=True),
    "pictures of nothing",
)
TEXTS = ["a photo of a cat", "a photo of a dining table"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a CLIP called small known."""
    monkeypatch.setattr(_clips, "KINDS", {"small": KIND})


@pytest.fixture
def model() -> CLIP:
    torch.manual_seed(0)
    image = CLIPVisionCfg(layers=2, width=32, head_width=16, patch_size=8, image_size=32)
    return CLIP(16, image, CLIPTextCfg(width=24, layers=2, heads=2), quick_gelu=True).eval()


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


Save = Callable[[CLIP, Path], None]
SAVES: dict[str, tuple[str, Save]] = {
    "safetensors": ("clip.safetensors", lambda model, path: save_file(tensors_of(model), path)),
    "state dict": ("clip.pt", lambda model, path: torch.save(model.state_dict(), path)),
    "open_clip's training": ("epoch_1.pt", lambda model, path: torch.save(_as_checkpoint(model), path)),
}


def _as_checkpoint(model: CLIP) -> dict[str, object]:
    return {"epoch": 1, "name": "x", "state_dict": {f"module.{name}": t for name, t in model.state_dict().items()}}


@pytest.mark.parametrize("form", SAVES)
def test_both_towers_are_read_from_every_form_of_file(form, model, tmp_path):
    name, save = SAVES[form]
    save(model, tmp_path / name)
    clip, report = open_clip_file("small", tmp_path / name)
    assert torch.equal(clip.visual["proj.weight"][:, :, 0, 0], model.visual.proj.mT)
    assert torch.equal(clip.visual["blocks.1.mlp.2.weight"], model.visual.transformer.resblocks[1].mlp.c_proj.weight)
    with torch.no_grad():
        torch.testing.assert_close(clip.encode_text(TEXTS), model.encode_text(SimpleTokenizer()(TEXTS)))
    assert (report.name, report.sha256) == (name, digest_file(tmp_path / name))
    assert (report.missing, report.unexpected) == ((), ("logit_scale",))
    assert report.matched == len(model.state_dict()) - 1


def test_half_precision_becomes_single(model, tmp_path):
    save_file({name: tensor.half() for name, tensor in tensors_of(model).items()}, tmp_path / "clip.safetensors")
    clip, _ = open_clip_file("small", tmp_path / "clip.safetensors")
    assert {tensor.dtype for tensor in clip.visual.values()} == {torch.float32}
    assert clip.encode_text(TEXTS).dtype == torch.float32


def test_an_image_tower_alone_is_not_a_clip(model, tmp_path):
    save_file({name: t for name, t in tensors_of(model).items() if name.startswith("visual.")}, tmp_path / "half.safetensors")
    with pytest.raises(DataError, match=r"half\.safetensors is not a whole CLIP 'small': 29 of 61 tensors"):
        open_clip_file("small", tmp_path / "half.safetensors")


def test_weights_of_another_architecture_are_refused(model, tmp_path):
    torch.save({**model.state_dict(), "visual.proj": torch.zeros(32, 8)}, tmp_path / "clip.pt")
    with pytest.raises(DataError, match=r"1 of 61 tensors .* \(visual\.proj\)"):
        open_clip_file("small", tmp_path / "clip.pt")


def test_what_a_file_learnt_from_is_not_guessed(model, tmp_path, monkeypatch):
    torch.save(model.state_dict(), tmp_path / "clip.pt")
    assert open_clip_file("small", tmp_path / "clip.pt")[1].trained_on is None
    kind = replace(KIND, archive=digest_file(tmp_path / "clip.pt"))
    monkeypatch.setattr(_clips, "KINDS", {"small": kind})
    assert open_clip_file("small", tmp_path / "clip.pt")[1].trained_on == kind.trained_on


def test_without_a_network_the_hub_is_not_tried_for_a_minute(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://localhost:1")  # nobody listens
    monkeypatch.setattr("urllib.request.getproxies", dict)
    seen = []
    monkeypatch.setattr(pretrained, "download_pretrained", lambda _: seen.append(constants.HF_HUB_OFFLINE) or "file")
    assert _download("ViT-B-16") == Path("file")
    assert seen == [True]
    with socket.create_server(("localhost", 0)) as host:
        assert _is_reachable(f"http://localhost:{host.getsockname()[1]}")


def test_without_file_and_network_the_error_names_the_option_and_what_to_fetch(monkeypatch):
    def fail(source: object) -> str:
        raise FileNotFoundError("no route to host")

    monkeypatch.setattr(_clips, "KINDS", {"ViT-B-16": KIND})
    monkeypatch.setattr(pretrained, "download_pretrained", fail)
    with pytest.raises(DataError, match=r"vit_base_patch16_clip_224\.openai.*ViT-B-16.pt.*--weights"):
        open_clip_file("ViT-B-16", None)


# Text.


def test_texts_are_embedded_once(model, tmp_path, cache, monkeypatch):
    torch.save(model.state_dict(), tmp_path / "clip.pt")
    first = open_clip_file("small", tmp_path / "clip.pt")[0].encode_text(TEXTS)
    monkeypatch.setattr(_clip_text.TextEncoder, "_compute", None)
    assert torch.equal(open_clip_file("small", tmp_path / "clip.pt")[0].encode_text(TEXTS), first)
    assert len(list((cache / "text_embeddings").iterdir())) == 1


def test_other_texts_and_other_weights_are_not_taken_from_the_cache(model, tmp_path, cache):
    for number, texts in enumerate([TEXTS, TEXTS[::-1]]):
        torch.save({**model.state_dict(), "logit_scale": torch.tensor(float(number))}, tmp_path / f"{number}.pt")
        open_clip_file("small", tmp_path / f"{number}.pt")[0].encode_text(TEXTS)
        open_clip_file("small", tmp_path / f"{number}.pt")[0].encode_text(texts)
    assert len(list((cache / "text_embeddings").iterdir())) == 3


def test_damaged_rows_in_the_cache_are_computed_anew(model, tmp_path, cache):
    torch.save(model.state_dict(), tmp_path / "clip.pt")
    clip, _ = open_clip_file("small", tmp_path / "clip.pt")
    first = clip.encode_text(TEXTS)
    next((cache / "text_embeddings").iterdir()).write_bytes(b"rows")
    assert torch.equal(clip.encode_text(TEXTS), first)
