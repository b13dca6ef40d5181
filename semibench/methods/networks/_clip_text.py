"""CLIP's text tower, which is open_clip's, and the embeddings that it has already computed."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from semibench.errors import UsageError
from semibench.files import replacing
from semibench.hashing import digest_json
from semibench.methods.networks._clips import Kind, TextArchitecture
from semibench.protocols.cache import cache_folder

Tokenize = Callable[[Sequence[str]], Tensor]  # n texts -> (n, context) int64


def build_text_tower(architecture: TextArchitecture, embedding: int) -> nn.Module:
    """Build open_clip's text tower, (n, context) int64 -> (n, D); the token of the highest number ends a text."""
    from open_clip.transformer import QuickGELU, TextTransformer  # slow to import, and needed once per set of prompts

    tower: nn.Module = TextTransformer(
        context_length=architecture.context,
        vocab_size=architecture.vocabulary,
        width=architecture.width,
        heads=architecture.heads,
        layers=architecture.layers,
        output_dim=embedding,
        act_layer=QuickGELU if architecture.quick else nn.GELU,
    )
    return tower


class TextEncoder:
    """Embeds texts, each list of them once: the rows are kept in the cache folder under the digests of CLIP and texts."""

    def __init__(self, kind: Kind, tensors: Mapping[str, Tensor], digest: str, words: str | None) -> None:
        self.kind = kind
        self.tensors = tensors  # in open_clip's names
        self.digest = digest  # of the file that they are from
        self.words = words  # the vocabulary where it is a list of words; None = CLIP's own parts of words

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return rows (n, D) float32, not of unit length."""
        key = digest_json({"clip": self.digest, "texts": list(texts)})
        path = cache_folder() / "text_embeddings" / f"{key}.safetensors"
        with suppress(FileNotFoundError, SafetensorError):  # damaged or not there: computed anew
            return load_file(path)["rows"]
        rows = self._compute(texts)
        with replacing(path) as draft:
            save_file({"rows": rows}, draft)
        return rows

    @torch.inference_mode()
    def _compute(self, texts: Sequence[str]) -> Tensor:
        tower = build_text_tower(self.kind.text, self.kind.image.embedding).eval()
        tower.load_state_dict(self.tensors)
        tokenize = word_tokenizer(self.words, self.kind.text.context) if self.words else _clip_tokenizer()
        rows: Tensor = tower(tokenize(texts))
        return rows.float().clone()


def word_tokenizer(words: str, context: int) -> Tokenize:
    """Return a tokenizer of whole words: 0 is padding, then come the ``words`` in order, then begin and end.

    >>> word_tokenizer("a disk red", 6)(["a red disk"])
    tensor([[4, 1, 3, 2, 5, 0]])
    """
    numbers = {word: number for number, word in enumerate(words.split(), start=1)}
    begin, end = len(numbers) + 1, len(numbers) + 2

    def number(word: str) -> int:
        if word not in numbers:
            raise UsageError(f"this CLIP does not know the word '{word}'", f"Describe classes by: {', '.join(numbers)}.")
        return numbers[word]

    def tokenize(texts: Sequence[str]) -> Tensor:
        tokens = torch.zeros(len(texts), context, dtype=torch.long)
        for row, text in zip(tokens, texts, strict=True):
            known = [number(word) for word in re.findall(r"[^\s,.]+", text.lower())][: context - 2]
            row[: len(known) + 2] = torch.tensor([begin, *known, end])
        return tokens

    return tokenize


def _clip_tokenizer() -> Tokenize:
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer: Tokenize = SimpleTokenizer()
    return tokenizer
