"""semibench protocol: what it prints, what it keeps, and how it ends."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semibench.protocols import names
from semibench.protocols.protocol import load

Call = Callable[..., tuple[int, str, str]]
SPLITS = Path(__file__).parents[3].parent / "shared" / "splits"


@pytest.fixture
def data(published: Any, tmp_path: Path) -> Path:
    """A CamVid folder with the images of the small catalogue."""
    folder = tmp_path / "camvid"
    subsets = {"train": published.lists["lists/train.txt"], "val": ("val0", "val1"), "test": ("val0", "val1")}
    for subset, ids in subsets.items():
        (folder / subset).mkdir(parents=True)
        (folder / f"{subset}annot").mkdir()
        shown = ids if subset != "test" else ("test0", "test1")
        (folder / f"{subset}.txt").write_text("\n".join(shown))
        for number, id in enumerate(shown):
            Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(folder / subset / f"{id}.png")
            Image.fromarray(np.full((16, 16), number % 2, np.uint8)).save(folder / f"{subset}annot" / f"{id}.png")
    return folder


# list and show.


def test_list_says_what_is_at_hand_and_what_papers_call_it(call: Call, published: Any) -> None:
    call("protocol", "import", published.checkout / "lists/random.txt")
    code, output, _ = call("protocol", "list", "camvid")
    assert code == 0
    lines = {line.split()[0]: line for line in output.splitlines()}
    assert "at hand" in lines["camvid-4@random"]
    assert "to fetch" in lines["camvid-4@classic"]
    assert lines["camvid-4@classic"].endswith("(camvid-4, camvid 1/5 Classic)")
    assert "computed" in lines["camvid-all"]


def test_list_gives_scripts_the_same(call: Call) -> None:
    rows = {row["name"]: row for row in json.loads(call("protocol", "list", "--json")[1])}
    assert rows["coco-232@classic"]["aliases"] == ["coco-232", "coco 1/512"]
    assert len(rows) == len(names.entries())


def test_list_names_the_data_sets_that_there_are(call: Call) -> None:
    code, _, errors = call("protocol", "list", "vox")
    assert code == 2
    assert "data set 'vox' not found; nearest: voc" in errors


def test_show_prints_lists_rules_and_defects(call: Call) -> None:
    code, output, _ = call("protocol", "show", "voc 1/16 few-supervision")
    assert code == 0
    assert output.startswith("name: voc-92@cpsfew\n")
    assert "the labelled id 2008_004822 is also unlabelled" in output
    assert "  multiple-of-14\n" in output


def test_show_counts_classes_where_there_is_data(call: Call, data: Path) -> None:
    call("protocol", "import", data.parent / "checkout")
    shown = json.loads(call("protocol", "show", "camvid-4@random", "--data-root", data, "--json")[1])
    assert shown["images_on_disk"] == 4
    assert shown["images_per_class"]["Sky"] == shown["images_per_class"]["Building"] == 2


# fetch and import.


def test_fetch_keeps_what_it_can_and_names_what_it_cannot(call: Call, published: Any, tmp_path: Path) -> None:
    site = tmp_path / "site" / "owner" / "lists"
    site.mkdir(parents=True)
    (site / ("c" * 40)).symlink_to(published.checkout)
    (published.checkout / "lists/random.txt").unlink()
    base = (tmp_path / "site").as_uri()  # a mirror may be a folder
    code, output, errors = call("protocol", "fetch", "--all", "--base-url", base)
    assert code == 4
    assert "fetched  list 'labeled' of camvid-4@classic" in output
    assert "failed   list 'labeled' of camvid-4@random" in errors
    assert "1 of 6 lists could not be fetched" in errors


def test_what_is_kept_is_not_fetched_again(call: Call, published: Any) -> None:
    call("protocol", "import", published.checkout)
    code, output, _ = call("protocol", "fetch", "camvid-4@leaky", "--base-url", "http://127.0.0.1:1")
    assert code == 0
    assert "kept     list 'unlabeled' of camvid-4@leaky" in output


@pytest.mark.parametrize("arguments", [[], ["camvid-4", "--all"], ["--all", "--dataset", "camvid"]], ids=" ".join)
def test_fetch_wants_to_know_which_protocols(call: Call, arguments: list[str]) -> None:
    code, _, errors = call("protocol", "fetch", *arguments)
    assert code == 2
    assert "it is not said which protocols" in errors


def test_import_says_what_was_taken_and_what_was_refused(call: Call, published: Any) -> None:
    (published.checkout / "lists/random.txt").write_text("image01")
    code, output, errors = call("protocol", "import", published.checkout)
    assert code == 4
    assert "classic.txt: list 'labeled' of camvid-4@classic, list 'labeled' of camvid-4@leaky" in output
    assert "refused " in output
    assert "1 of 6 files were refused" in errors


def test_import_of_a_folder_without_lists_fails(call: Call, published: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, errors = call("protocol", "import", tmp_path / "empty")
    assert code == 4
    assert "holds no list of the catalogue" in errors


def test_as_names_the_list_of_one_file(call: Call, published: Any) -> None:
    code, output, _ = call("protocol", "import", published.checkout / "lists/random.txt", "--as", "camvid-4@random")
    assert (code, output.count("taken")) == (0, 1)
    code, _, errors = call("protocol", "import", published.checkout, "--as", "camvid-4@random")
    assert code == 2
    assert "--as names the list of one file" in errors


# verify.


def test_verify_accepts_sound_lists_and_prints_the_digest_of_a_named_protocol(call: Call, data: Path) -> None:
    checkout = data.parent / "checkout"
    assert call("protocol", "verify", "--all", "--lists", checkout)[0] == 0
    code, output, _ = call("protocol", "verify", "camvid-4@random", "--lists", checkout)
    official = load("camvid-4@random")
    call("protocol", "import", checkout)
    split = official.divide(load("camvid-all").open(data).ids("train"), official._find)
    assert code == 0
    assert f"digest of protocol camvid-4@random: {official.official_digest(split)}" in output


def test_verify_ends_with_4_and_names_protocol_and_both_digests(call: Call, published: Any) -> None:
    path = published.checkout / "lists/random.txt"
    path.write_text(path.read_text().replace("image03", "image00"))
    code, output, errors = call("protocol", "verify", "--all", "--lists", published.checkout)
    assert code == 4
    assert "7 lists accepted, 1 wrong" in output
    assert (
        f"of camvid-4@random is wrong: expected 4 ids with the digest {load('camvid-4@random').list.sha256}, found 4" in errors
    )


def test_verify_of_a_named_protocol_fails_when_its_list_is_not_at_hand(call: Call, published: Any) -> None:
    code, _, errors = call("protocol", "verify", "camvid-4")
    assert code == 4
    assert "Run 'semibench protocol fetch camvid-4@classic'" in errors
    assert call("protocol", "verify", "--all")[0] == 0


def test_verify_checks_a_named_protocol_against_the_data_set(call: Call, data: Path) -> None:
    (data / "train.txt").write_text("image00\nimage01")
    call("protocol", "import", data.parent / "checkout")
    code, _, errors = call("protocol", "verify", "camvid-4", "--data-root", data)
    assert code == 4
    assert "the list 'train' of camvid has 2 ids" in errors


@pytest.mark.skipif(not SPLITS.is_dir(), reason="needs the real lists, ../shared/splits")
def test_verify_accepts_the_real_lists_and_notices_one_other_id(call: Call, tmp_path: Path) -> None:
    assert call("protocol", "verify", "--all", "--lists", SPLITS)[0] == 0
    copy = tmp_path / "splits"
    shutil.copytree(SPLITS, copy, copy_function=os.symlink)
    path = copy / "cityscapes" / "u2pl-186" / "labeled.txt"
    ids = path.read_text().splitlines()
    path.unlink()
    path.write_text("\n".join(["aachen_999999_000019", *ids[1:]]))
    code, _, errors = call("protocol", "verify", "--all", "--lists", copy)
    assert code == 4
    assert (
        f"of cityscapes-186@u2pl is wrong: expected 186 ids with the digest {load('cityscapes-186@u2pl').list.sha256}" in errors
    )


# diff.


def test_diff_shows_two_protocols_side_by_side(call: Call, published: Any) -> None:
    code, output, _ = call("protocol", "diff", "camvid-4", "camvid-4@random", "--lists", published.checkout)
    assert code == 0
    rows = [line.split() for line in output.splitlines()]
    assert rows[0] == ["camvid-4@classic", "camvid-4@random", "common"]
    assert ["labelled", "4", "4", "1"] in rows
    assert ["unlabelled", "16", "16", "13"] in rows


def test_diff_gives_scripts_numbers_and_classes(call: Call, data: Path) -> None:
    arguments = ["camvid-4", "camvid-4@random", "--lists", data.parent / "checkout", "--data-root", data, "--json"]
    compared = json.loads(call("protocol", "diff", *arguments)[1])
    assert compared["labeled"] == {"first": 4, "second": 4, "common": 1}
    assert compared["classes"]["camvid-4@random"]["images_per_class"]["Sky"] == 2


# What a run makes of it.


def test_a_part_of_the_data_set_gives_a_custom_run_of_another_digest(call: Call, data: Path, tmp_path: Path) -> None:
    wanted = ["run", "--method", "supervised", "--protocol", "camvid-2@hash0", "--data-root", data, "--dry-run", "--json"]
    wanted += ["--output", tmp_path / "runs", "--set", "network.encoder=tiny", "--set", "network.output_stride=8"]
    (data / "train.txt").write_text("image00\nimage01\nimage02")
    assert call(*wanted)[0] == 4
    (part,) = json.loads(call(*wanted, "--partial")[1])
    assert (part["labeled"], part["unlabeled"], part["configuration"]["division"]) == (2, 1, "custom")
