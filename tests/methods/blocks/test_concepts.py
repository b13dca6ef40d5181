"""Rows of text for classes; and, where they are at hand, the embeddings that SemiVL's authors made."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semibench.methods.blocks.concepts import best_of_each_class, cosines, embed
from semibench.methods.networks._clip_files import open_clip_file
from semibench.protocols.concepts import Concepts, definitions

REAL = Path(__file__).resolve().parents[4] / "shared" / "text_embeddings"
TABLE = {"a photo of a cat": (3.0, 0.0), "a photo of a tv": (0.0, 4.0), "a photo of a monitor": (2.0, 0.0)}
CONCEPTS = Concepts(classes=("cat", ("tv", "monitor")))


def encode(texts: list[str]) -> Tensor:
    return torch.tensor([TABLE[text] for text in texts])


# By hand.


def test_there_is_a_row_of_unit_length_for_each_concept():
    assert embed(CONCEPTS, encode).tolist() == [[1, 0], [0, 1], [1, 0]]


def test_a_class_s_average_is_that_of_embeddings_as_they_come():
    expected = F.normalize(torch.tensor([[3.0, 0.0], [1.0, 2.0]]), dim=1)
    torch.testing.assert_close(embed(CONCEPTS, encode, average=True), expected)


def test_templates_of_a_concept_are_averaged():
    concepts = Concepts(classes=("cat",), templates=("a {name}", "the {name}"))
    rows = embed(concepts, lambda texts: torch.tensor([{"a cat": (2.0, 0.0), "the cat": (0.0, 2.0)}[text] for text in texts]))
    torch.testing.assert_close(rows, torch.tensor([[0.5**0.5, 0.5**0.5]]))


def test_cosines_are_those_of_each_patch_with_each_row():
    embedding = torch.tensor([[1.0, 0.0], [0.6, 0.8]]).T[None, :, None]  # two patches side by side
    assert cosines(embedding, torch.tensor([[0.0, 1.0]])).flatten().tolist() == pytest.approx([0.0, 0.8])


def test_a_class_has_the_score_of_its_best_concept_at_each_patch():
    scores = torch.tensor([[[[1.0, 5.0]], [[3.0, 2.0]], [[0.0, 9.0]]]])
    assert best_of_each_class(scores, (2, 1)).squeeze().tolist() == [[3, 5], [0, 9]]


# SemiVL's embeddings.

FILES = {
    "voc12_wbg_single": ("voc", "single", 21),
    "voc12_wbg_concept4_single": ("voc", "concept4", 98),
    "coco_single": ("coco", "single", 81),
    "ade_single": ("ade20k", "single", 150),
    "cityscapes_single": ("cityscapes", "single", 19),
    "cityscapes_concept3_single": ("cityscapes", "concept3", 54),
}
needs_files = pytest.mark.skipif(not REAL.is_dir(), reason="the reference's text embeddings are not beside the repository")


def read(name: str) -> Tensor:
    return torch.from_numpy(np.load(REAL / f"{name}.npy", allow_pickle=False)).float()


@needs_files
@pytest.mark.parametrize("name", FILES)
def test_a_definition_has_as_many_concepts_as_the_reference_has_rows(name):
    dataset, definition, count = FILES[name]
    rows = read(name)
    assert rows.shape == (count, 512)
    assert len(definitions(dataset)[definition].names) == count
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(count), atol=1e-3, rtol=0)


@needs_files
@pytest.mark.parametrize(
    ("one", "other", "cosine"),
    [
        ("cat", "dog", 0.9153),
        ("background", "person", 0.8771),
        ("bus", "train", 0.9068),
        ("chair", "sofa", 0.8271),
        ("aeroplane", "tvmonitor", 0.7363),
        ("bicycle", "motorbike", 0.9288),
    ],
)
def test_our_order_of_voc_s_names_is_that_of_the_reference_s_rows(one, other, cosine):
    names, rows = definitions("voc")["single"].names, F.normalize(read("voc12_wbg_single"), dim=1)
    assert float(rows[names.index(one)] @ rows[names.index(other)]) == pytest.approx(cosine, abs=1e-4)


@needs_files
@pytest.mark.parametrize(
    ("dataset", "definition", "rows", "single"),
    [
        pytest.param("voc", "concept4", "voc12_wbg_concept4_single", "voc12_wbg_single", id="voc"),
        pytest.param("cityscapes", "concept3", "cityscapes_concept3_single", "cityscapes_single", id="cityscapes"),
    ],
)
def test_equal_names_have_equal_rows_in_the_reference(dataset, definition, rows, single):
    found = dict(zip(definitions(dataset)[definition].names, F.normalize(read(rows), dim=1), strict=True))
    expected = dict(zip(definitions(dataset)["single"].names, F.normalize(read(single), dim=1), strict=True))
    shared = found.keys() & expected.keys()
    assert len(shared) >= 17
    assert min(float(found[name] @ expected[name]) for name in shared) > 0.9999


@needs_files
def test_averages_are_the_reference_s_but_for_lengths_that_its_rows_no_longer_have():
    rows = iter(read("cityscapes_concept3_single"))
    ours = embed(definitions("cityscapes")["concept3"], lambda texts: torch.stack([next(rows) for _ in texts]), average=True)
    assert F.cosine_similarity(ours, read("cityscapes_conceptavg3_single")).min() > 0.999


@needs_files
@pytest.mark.skipif("SEMIBENCH_CLIP" not in os.environ, reason="SEMIBENCH_CLIP names no file of ViT-B-16's weights")
@pytest.mark.parametrize("name", FILES)
def test_our_rows_of_the_same_clip_are_the_reference_s(name):
    dataset, definition, _ = FILES[name]
    clip, _ = open_clip_file("ViT-B-16", Path(os.environ["SEMIBENCH_CLIP"]))
    rows = embed(definitions(dataset)[definition], clip.encode_text)
    assert float((rows * F.normalize(read(name), dim=1)).sum(dim=1).min()) > 0.999
