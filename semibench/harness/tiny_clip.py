"""Train the CLIP that comes with semibench: pictures of shapes and their captions, nothing else.

    python -m semibench.harness.tiny_clip tiny_clip.safetensors

Pictures are of the subset ``external``, a stream of its own: none is in ``train`` or ``val``. All that is told of a picture
is its caption, taken apart into phrases; no mask is read. As in CLIP, embeddings of images and texts are compared by their
cosine, times a learnt scale, and other pictures' texts are the wrong answers. Unlike CLIP, patches are compared instead of
whole pictures, since the tower is used densely: each patch must be explained by a phrase of its picture's caption, and each
phrase must explain a few patches.

Shapes: N pictures, T texts, D channels of an embedding, h x w patches.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from semibench.files import replacing
from semibench.harness.transforms import normalize
from semibench.hashing import derive_seed, digest_file
from semibench.methods.networks._clip import DenseClip
from semibench.methods.networks._clip_files import to_clip_tensors, to_metadata
from semibench.methods.networks._clip_text import build_text_tower, word_tokenizer
from semibench.methods.networks._clips import TINY, find_kind
from semibench.protocols.datasets.shapes import COLORS, COUNTS, GROUNDS, STREAMS, Shapes, draw
from semibench.protocols.protocol import load

SUBSET = "external"
WORDS = " ".join(["a", "an", "and", "on", "photo", "of", *Shapes.class_names, *COLORS, *GROUNDS])
TEMPLATE = "a photo of {}"  # of every other step's texts
PATCHES = 6  # that a phrase must explain: about a tenth of a picture, as an object fills


class Schedule(NamedTuple):
    """How long and how fast; our choice."""

    steps: int = 8000
    pictures: int = 32  # per step
    rate: float = 1e-3  # highest, of a cosine after a warm-up
    warmup: int = 100  # steps


def phrases(caption: str) -> list[str]:
    """Return the phrases of a caption, in its words.

    >>> phrases("a red ring and an orange disk on grey")
    ['a red ring', 'an orange disk', 'a grey background']
    """
    objects, _, ground = caption.rpartition(" on ")
    return [*objects.split(" and "), f"a {ground} background"]


def without_color(phrase: str) -> str:
    """Return a phrase without its adjective.

    >>> without_color("an orange disk")
    'a disk'
    """
    return re.sub(r"^an? \w+ ", "a ", phrase)


class TinyClip(nn.Module):
    """Both towers, untrained, and the scale of their cosines."""

    def __init__(self) -> None:
        super().__init__()
        kind = find_kind(TINY)
        self.visual = DenseClip(kind.image, (kind.image.grid, kind.image.grid))
        self.text = build_text_tower(kind.text, kind.image.embedding)
        self.scale = nn.Parameter(torch.tensor(10.0).log())
        self.tokenize = word_tokenizer(WORDS, kind.text.context)
        start_nearby(self.visual)

    def forward(self, images: Tensor, texts: Sequence[str]) -> Tensor:
        """Return the scaled cosines (N, T, h * w) of pictures (N, 3, H, W) and texts."""
        rows = nn.functional.normalize(self.text(self.tokenize(texts)), dim=-1)
        cosines = torch.einsum("ndhw,td->nthw", self.visual(images)[-1], rows)
        return self.scale.exp() * cosines.flatten(2)


@torch.no_grad()
def start_nearby(tower: DenseClip) -> None:
    """Let each patch attend to its neighborhood at first, which a tower would need many pictures to find out.

    Positions are waves of both coordinates, and queries equal keys, so that near patches are alike. The idea is that of
    Trockman and Kolter 2023, mimetic initialization.
    """
    down, across = tower.grid
    waves = tower.pos_embed.shape[1] // 4
    rates = 10.0 ** -torch.linspace(0, 1.5, waves)
    phases = [torch.arange(count)[:, None] * rates for count in (down, across)]
    rows = torch.cat([phases[0].sin(), phases[0].cos()], dim=1)[:, None].expand(-1, across, -1)
    columns = torch.cat([phases[1].sin(), phases[1].cos()], dim=1)[None].expand(down, -1, -1)
    tower.pos_embed[1:] = torch.cat([rows, columns], dim=2).flatten(0, 1)
    for name, parameter in tower.named_parameters():
        if name.endswith("in_proj_weight"):
            width = parameter.shape[1]
            nn.init.orthogonal_(parameter[:width])
            parameter[width : 2 * width] = parameter[:width]


def match(colored: Tensor, plain: Tensor, present: Tensor, place: Tensor) -> Tensor:
    """Return the loss of logits of phrases (N, T, P) and of phrases without adjectives (N, U, P), P = h * w patches.

    ``present`` (N, T) bool says which phrases a picture's caption has, ``place`` (T,) int64 which phrase is left of each
    without its adjective. A patch is unexplained as far as it goes with phrases that are absent; a phrase is unused as far as
    the patches that go with it best do not. Colors tell which patches these are long before outlines do, so that a phrase
    without adjective is to explain the same ones.
    """
    share, plain_share = colored.log_softmax(dim=1), plain.log_softmax(dim=1)
    best = share.topk(PATCHES, dim=-1).indices
    unused = [-each.gather(-1, best).mean(dim=-1)[present].mean() for each in (share, plain_share[:, place])]
    left = present.float() @ nn.functional.one_hot(place, plain.shape[1]).float() > 0
    unexplained = [_unexplained(share, present), _unexplained(plain_share, left)]
    return torch.stack([*unused, *unexplained]).sum()


def _unexplained(share: Tensor, present: Tensor) -> Tensor:
    return -share.masked_fill(~present[..., None], -torch.inf).logsumexp(dim=1).mean()


def learn(clip: TinyClip, schedule: Schedule) -> Iterator[float]:
    """Train both towers in place; yield the loss of each step."""
    optimizer = torch.optim.AdamW(clip.parameters(), schedule.rate, weight_decay=0.05)
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=schedule.warmup)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.steps - schedule.warmup)
    rate = torch.optim.lr_scheduler.SequentialLR(optimizer, [warmup, decay], [schedule.warmup])
    texts = _phrases()
    plain = list(dict.fromkeys(map(without_color, texts)))
    place = torch.tensor([plain.index(without_color(text)) for text in texts])
    for step in range(schedule.steps):
        images, captions = _pictures(step, schedule.pictures)
        template = TEMPLATE if step % 2 else "{}"
        logits = clip(images, [template.format(text) for text in (*texts, *plain)])
        present = torch.tensor([[text in phrases(caption) for text in texts] for caption in captions])
        loss = match(logits[:, : len(texts)], logits[:, len(texts) :], present, place)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's is untyped
        nn.utils.clip_grad_norm_(clip.parameters(), 1.0)
        optimizer.step()
        rate.step()
        yield loss.item()


def _phrases() -> list[str]:
    """Return every phrase that a caption can have."""
    objects = [f"{'an' if color[0] in 'aeiou' else 'a'} {color} {name}" for color in COLORS for name in Shapes.class_names[1:]]
    return [*objects, *(f"a {ground} background" for ground in GROUNDS)]


def _pictures(step: int, count: int) -> tuple[Tensor, list[str]]:
    """Return the pictures of a step, all of them in order and then again, and their captions."""
    drawings = [draw(STREAMS[SUBSET], (step * count + number) % COUNTS[SUBSET]) for number in range(count)]
    normalization = load("shapes-all").recipe.normalization
    return torch.stack([normalize(one.image, normalization) for one in drawings]), [one.caption for one in drawings]


def save(clip: TinyClip, path: Path, schedule: Schedule, seed: int) -> None:
    """Write both towers in open_clip's names, with what made them."""
    pictures = min(schedule.steps * schedule.pictures, COUNTS[SUBSET])
    about = {
        "words": WORDS,
        "trained_on": f"captions of {pictures} pictures of shapes' subset '{SUBSET}'",
        "command": f"python -m semibench.harness.tiny_clip --seed {seed} --steps {schedule.steps}",
        "torch": torch.__version__,
    }
    tensors = to_clip_tensors(clip.visual.state_dict()) | dict(clip.text.named_parameters()) | {"logit_scale": clip.scale}
    with replacing(path) as draft:
        save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, draft, metadata=to_metadata(about))


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True)
@click.option("--steps", default=Schedule().steps, show_default=True)
def command(path: Path, seed: int, steps: int) -> None:
    """Train the tiny CLIP and write it to PATH."""
    torch.set_num_threads(1)  # another number sums in another order
    schedule = Schedule(steps=steps)
    torch.manual_seed(derive_seed(seed, "initial weights"))
    clip = TinyClip()
    for step, loss in enumerate(learn(clip, schedule), start=1):
        if step % 50 == 0 or step == steps:
            click.echo(f"step {step} of {steps}: loss {loss:.3f}")
    save(clip, path, schedule, seed)
    click.echo(f"{path}: sha256 {digest_file(path)}")


if __name__ == "__main__":
    command()
