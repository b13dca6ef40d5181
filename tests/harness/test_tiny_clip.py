"""The CLIP that comes with semibench: what it learns from, and that it has learnt something."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from semibench.harness import tiny_clip
from semibench.harness.tiny_clip import SUBSET, WORDS, Schedule, TinyClip, match, start_nearby
from semibench.hashing import digest_pixels
from semibench.methods.networks._clip import Architecture, DenseClip
from semibench.methods.networks._clip_files import SHIPPED, open_clip_file
from semibench.protocols.concepts import definitions
from semibench.protocols.datasets.shapes import STREAMS, Shapes, draw

TWO = Schedule(steps=2, pictures=2, warmup=1)


# What it learns from.


def test_its_pictures_are_neither_in_train_nor_in_val():
    assert STREAMS[SUBSET] not in (STREAMS["train"], STREAMS["val"])
    ours = {digest_pixels(draw(STREAMS[SUBSET], index).image) for index in range(100)}
    others = {digest_pixels(draw(STREAMS[subset], index).image) for subset in ("train", "val") for index in range(100)}
    assert len(ours) == 100
    assert not ours & others


def test_it_draws_from_that_stream_alone_and_reads_no_mask(monkeypatch):
    drawn = []

    def without_mask(stream: int, index: int) -> object:
        drawn.append((stream, index))
        return draw(stream, index)._replace(mask=None)

    monkeypatch.setattr(tiny_clip, "draw", without_mask)
    torch.manual_seed(0)
    list(tiny_clip.learn(TinyClip(), TWO))
    assert drawn == [(STREAMS[SUBSET], index) for index in range(4)]


def test_it_knows_the_words_of_captions_and_of_prompts():
    words = set(WORDS.split())
    captions = [draw(STREAMS[SUBSET], index).caption for index in range(300)]
    assert {word for text in captions + definitions("shapes")["single"].prompts() for word in text.split()} <= words


def test_a_whole_caption_fits_in_its_context():
    longest = max((draw(STREAMS[SUBSET], index).caption for index in range(300)), key=lambda caption: len(caption.split()))
    tokens = TinyClip().tokenize([f"a photo of {longest}"])
    assert tokens.max() == len(WORDS.split()) + 2  # the end


# How it learns.


def logits_of(*patches: tuple[float, ...]) -> Tensor:
    """Return logits (1, T, P) from those of each patch."""
    return torch.tensor(patches).T[None]


@pytest.fixture
def one_patch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_clip, "PATCHES", 1)


@pytest.mark.usefixtures("one_patch")
def test_a_picture_whose_patches_go_with_its_phrases_has_no_loss():
    sure = logits_of((99.0, 0.0, 0.0), (0.0, 99.0, 0.0))
    present = torch.tensor([[True, True, False]])
    assert match(sure, sure, present, torch.arange(3)) < 1e-6


@pytest.mark.usefixtures("one_patch")
def test_the_loss_by_hand():
    level = torch.zeros(1, 2, 3)  # of two phrases, either is half of every patch; without adjective they are one
    present, place = torch.tensor([[True, False]]), torch.tensor([0, 0])
    unused, unexplained = 2 * [torch.tensor(2.0).log()]
    torch.testing.assert_close(match(level, level[:, :1], present, place), unused + unexplained)


@pytest.mark.usefixtures("one_patch")
def test_a_phrase_without_adjective_is_to_explain_the_patches_of_the_phrase_with_it():
    colored = logits_of((9.0, 0.0), (0.0, 9.0)).requires_grad_()
    plain = torch.zeros(1, 2, 2, requires_grad=True)
    match(colored, plain, torch.tensor([[True, False]]), torch.arange(2)).backward()
    right, wrong = plain.grad[0, 0].neg().tolist()  # pull of "a ring" at the patches that are, and are not, of "a red ring"
    assert right > wrong > 0


def test_at_first_a_patch_attends_to_its_neighborhood():
    torch.manual_seed(0)
    tower = DenseClip(Architecture(width=64, layers=1, heads=1, patch=8, embedding=8, grid=6), (6, 6))
    start_nearby(tower)
    tokens = tower.ln_pre(tower.pos_embed)[1:]
    keys = tower.blocks[0].ln_1(tokens) @ tower.blocks[0].attn.in_proj_weight[:64].T
    weights = (keys @ keys.T)[0].reshape(6, 6)  # of the patch at the top left
    assert weights[0, 0] > weights[0, 1] > weights[0, 2]
    assert weights[0, 0] > weights[1, 0] > weights[2, 0]


def test_the_same_seed_gives_the_same_towers_and_another_one_others(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_clip, "Schedule", TWO._replace)
    runs = [(0, "a"), (0, "b"), (1, "c")]
    for seed, name in runs:
        done = CliRunner().invoke(tiny_clip.command, [str(tmp_path / name), "--seed", str(seed), "--steps", "2"])
        assert done.exit_code == 0, done.output
    a, b, c = ((tmp_path / name).read_bytes() for _, name in runs)
    assert a == b != c


def test_what_it_writes_is_opened_as_any_clip(tmp_path):
    torch.manual_seed(0)
    clip = TinyClip().eval()
    path = tmp_path / "clip.safetensors"
    tiny_clip.save(clip, path, TWO, seed=5)
    opened, report = open_clip_file("tiny", path)
    assert report.unexpected == ("logit_scale",)
    assert report.trained_on == "captions of 4 pictures of shapes' subset 'external'"
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(opened.tower((8, 8))(image)[-1], clip.visual(image)[-1])
        torch.testing.assert_close(opened.encode_text(["a red ring"]), clip.text(clip.tokenize(["a red ring"])))


# The file that is shipped.


def test_the_shipped_file_is_small_and_documented():
    page = (Path(__file__).parents[2] / "docs" / "measurements" / "zeroshot-on-shapes.md").read_text(encoding="utf-8")
    _, report = open_clip_file("tiny", None)
    assert SHIPPED.stat().st_size < 5_000_000
    assert report.sha256 in page


def test_it_labels_pictures_far_above_chance():
    clip, _ = open_clip_file("tiny", None)
    rows = torch.nn.functional.normalize(clip.encode_text(definitions("shapes")["single"].prompts()), dim=1)
    data = Shapes()
    ids = data.ids("val")[:20]
    images = torch.stack([torch.from_numpy(data.image(id)).permute(2, 0, 1) for id in ids]).float().div(255).sub(0.5).div(0.25)
    with torch.no_grad():
        scores = torch.einsum("ndhw,kd->nkhw", clip.tower((8, 8))(images)[-1], rows)
    labels = torch.nn.functional.interpolate(scores, (64, 64), mode="bilinear").argmax(dim=1).numpy()
    truth = np.stack([data.mask(id) for id in ids])
    hits = (labels == truth)[truth > 0].mean()  # among eight kinds of objects and the background, one in nine is chance
    assert hits > 0.3
